"""Prints the lower bounds of pyproject.toml as constraints, for `make test-lowest`."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """The lowest release that a requirement allows.

    >>> lowest("lightning[extra]>=2.6,!=2.6.2")
    'lightning==2.6'
    """
    match = re.match(r"([\w.-]+)(?:\[[^]]*\])?(?:>=|==)([\w.]+)", requirement)
    if match is None:
        raise SystemExit(f"pyproject.toml: '{requirement}' has no lower bound; write one that is tested")
    return "==".join(match.groups())


def constraints(project: Path = PROJECT) -> list[str]:
    """The lowest release of every declared package, including all extras."""
    declared = tomllib.loads(project.read_text("utf-8"))["project"]
    extras = declared["optional-dependencies"].values()
    return [lowest(requirement) for group in (declared["dependencies"], *extras) for requirement in group]


if __name__ == "__main__":
    print("\n".join(constraints()))
