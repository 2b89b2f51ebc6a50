"""Promises that the project files make to each other."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from checkout import ROOT, tracked
from packaging.requirements import Requirement

from fgsbir import __version__

LAYERS = ("sketch", "regions", "data", "models", "retrieval", "losses", "metrics", "systems", "visualization")
LAYERS += ("runs", "sweep", "report", "search", "serve", "commands", "cli")
FREE = ("errors", "files", "progress")  # importable by all
WITHOUT_TORCH = ("fgsbir/sketch", "fgsbir/regions", "fgsbir/data/records.py")


def imported(source: str) -> list[str]:
    """The modules that a file names in its imports, wherever they stand."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def upward(layer: str, source: str) -> list[str]:
    """The imports of a file in `layer` that point at a later layer; FREE files may point at none."""
    place = LAYERS.index(layer) if layer in LAYERS else -1
    targets = [name.split(".")[1] for name in imported(source) if name.startswith("fgsbir.")]
    return [t for t in targets if t in LAYERS and LAYERS.index(t) > place]


def requirements() -> list[Requirement]:
    """The packages that pyproject.toml declares, including all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in project["dependencies"] + extras]


def makefile_targets() -> dict[str, str]:
    """Each target of the Makefile with its help line."""
    rules = re.findall(r"^([a-z][\w-]*):(?!=)([^\n]*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name: rest.partition("## ")[2] for name, rest in rules}


def test_the_import_check_sees_an_arrow_the_wrong_way() -> None:
    assert upward("sketch", "from fgsbir.errors import InputError") == []
    assert upward("models", "def f():\n    from fgsbir.systems.base import System") == ["systems"]
    assert upward("data", "from fgsbir import report") == ["report"]
    assert upward("report", "import fgsbir.runs.folder") == []
    assert upward("errors", "import fgsbir.sketch.strokes") == ["sketch"]


def test_imports_point_up_the_list_of_layers() -> None:
    wrong = []
    for path in (ROOT / "fgsbir").rglob("*.py"):
        layer = path.relative_to(ROOT / "fgsbir").parts[0].removesuffix(".py")
        assert layer in (*LAYERS, *FREE, "__init__", "__main__"), f"{path} is in no layer"
        if layer not in ("__init__", "__main__"):  # the public names come from all layers
            wrong += [f"{path.relative_to(ROOT)} imports {t}" for t in upward(layer, path.read_text("utf-8"))]
    assert wrong == []


def test_only_the_command_line_imports_commands() -> None:
    wrong = []
    for path in (ROOT / "fgsbir").rglob("*.py"):
        place = path.relative_to(ROOT / "fgsbir").as_posix()
        if place != "cli.py" and not place.startswith("commands/"):
            names = imported(path.read_text("utf-8"))
            wrong += [f"{place} imports {name}" for name in names if f"{name}.".startswith("fgsbir.commands.")]
    assert wrong == []


def test_a_module_lies_in_a_room() -> None:
    loose = sorted(path.name for path in (ROOT / "fgsbir").glob("*.py"))
    assert len(loose) <= 6, loose


def test_sketches_regions_and_records_do_not_import_torch() -> None:
    heavy = {"torch", "torchvision", "lightning", "timm"}
    for start in WITHOUT_TORCH:
        path = ROOT / start
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            assert not heavy & {name.split(".")[0] for name in imported(file.read_text("utf-8"))}, file


def test_every_make_target_has_a_help_line() -> None:
    targets = makefile_targets()
    assert {"help", "install", "demo", "test", "lint", "format", "bench", "clean"} <= set(targets)
    assert [name for name, text in targets.items() if not text] == []


def test_make_alone_lists_every_target() -> None:
    try:
        shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("make is not installed")
    assert re.findall(r"^  make ([a-z0-9-]+)", shown, re.MULTILINE) == list(makefile_targets())


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE)
    assert commands[:2] == ["sweep-ablation", "test"]  # the two that do all the set-up
    assert set(commands) <= set(makefile_targets())


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111, "it is not executable"
    assert path.read_text().splitlines()[-1] == "make test"


def test_makefile_and_readme_use_experiments_that_exist() -> None:
    text = (ROOT / "Makefile").read_text() + (ROOT / "README.md").read_text("utf-8")
    files = set(re.findall(r"experiments/\S+\.yaml", text))
    pairs = re.findall(r"--system (\w+) --dataset (\w+)", text)
    assert len(pairs) >= 3
    for system, dataset in pairs:
        files |= {f"experiments/systems/modern/{system}.yaml", f"experiments/datasets/{dataset}.yaml"}
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_no_file_names_a_machine_or_a_package_index() -> None:
    # Written in pieces, so that this file does not find itself.
    banned = [
        "/wo" + "rk/",
        "pypi." + "org",
        "python" + "hosted",
        "download.py" + "torch",
        "index" + "-url",
    ]
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in banned if word in text]
    assert found == []


def test_malicious_releases_of_lightning_are_excluded() -> None:
    (lightning,) = [requirement for requirement in requirements() if requirement.name == "lightning"]
    assert not any(lightning.specifier.contains(version) for version in ("2.6.2", "2.6.3"))
    assert lightning.specifier.contains("2.6.4")


def test_constraints_pin_every_declared_package_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    assert [version for version in pins.values() if not re.fullmatch(r"[\w.]+", version)] == []
    for requirement in requirements():
        version = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_every_declared_package_has_a_lowest_release_that_is_tested() -> None:
    command = [sys.executable, ROOT / "tests" / "packaging" / "lowest.py"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    lowest = [line.split("==") for line in lines]
    assert [name for name, _ in lowest] == [requirement.name for requirement in requirements()]
    for requirement, (_, version) in zip(requirements(), lowest, strict=True):
        assert requirement.specifier.contains(version), requirement


def test_the_citation_names_this_version() -> None:
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text("utf-8").splitlines()


def test_links_in_the_documentation_lead_somewhere() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert len(pages) >= 20
    dead = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if not target.startswith("https://") and not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []
