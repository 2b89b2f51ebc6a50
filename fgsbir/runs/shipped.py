"""Where the experiment and sweep files lie: at the top of a checkout, inside the package of an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parents[1]


def shipped(name: Literal["experiments", "sweeps"]) -> Path:
    """The folder of the experiments, or of the sweeps, that come with fgsbir.

    Args:
        name: name of the folder.

    Returns:
        The absolute path of an existing folder.

    >>> (shipped("sweeps") / "ablation.yaml").is_file()
    True
    """
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
