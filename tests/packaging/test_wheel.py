"""The wheel holds what it should and, installed outside the checkout, does what README says."""

import os
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from checkout import ROOT, tracked

from fgsbir import __version__

SMALLEST = {
    "model.init_args.backbone.init_args.name": "test_efficientnet",
    "model.init_args.backbone.init_args.level": 3,
    "model.init_args.backbone.init_args.weights": "none",
    "data.source.init_args.train": 6,
    "data.source.init_args.val": 3,
    "data.source.init_args.test": 3,
    "data.source.init_args.size": 64,
    "data.rendering.image_size": 64,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "trainer.max_epochs": 1,
    "trainer.accelerator": "cpu",
}


class Built(NamedTuple):
    """A wheel and the source distribution that it was made from."""

    wheel: Path
    sdist: Path


def call(*argv: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; it sees nothing of the checkout or of this process's path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    done = subprocess.run(argv, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """`make build` in another folder: the wheel is made from the source distribution, not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def bin_folder(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the wheel; it borrows the other packages of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check"]
    call(*pip, "install", "--no-deps", "--no-index", built.wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file comes last, and .pth files behind it, such as an editable fgsbir's, are not read.
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    found = call(programs / "python", "-c", "import fgsbir; print(fgsbir.__file__)", cwd=folder)
    assert Path(found.strip()) == packages / "fgsbir" / "__init__.py"
    return programs


@pytest.fixture
def fgsbir(bin_folder: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the installed command in an empty folder and returns what it prints."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return lambda *argv: call(bin_folder / "fgsbir", *argv, cwd=folder, OMP_NUM_THREADS="1")


def package_files() -> set[str]:
    """What belongs to the package, as paths inside a wheel."""
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    moved = {f"fgsbir/{name}" for name in names if name.startswith(("experiments/", "sweeps/"))}
    return moved | {name for name in names if name.startswith("fgsbir/")}


@pytest.mark.slow
def test_the_wheel_holds_the_package_the_experiments_and_the_sweeps(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"fgsbir-{__version__}.dist-info/METADATA").decode()
    assert names == package_files()
    for part in ("py.typed", "experiments/datasets/chair_v2.yaml", "sweeps/ablation.yaml", "serve/static/index.html"):
        assert f"fgsbir/{part}" in names
    assert "License-Expression: Apache-2.0" in metadata.splitlines()


@pytest.mark.slow
def test_the_source_distribution_holds_that_and_no_tests_or_results(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    ours = {path.relative_to(ROOT).as_posix() for path in tracked()}
    ours = {name for name in ours if name.startswith(("fgsbir/", "experiments/", "sweeps/"))}
    beside = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", ".gitignore", "PKG-INFO"}
    assert names == ours | beside


@pytest.mark.slow
def test_the_installed_command_tells_its_version(fgsbir: Callable[..., str]) -> None:
    assert fgsbir("--version").strip() == __version__


@pytest.mark.slow
def test_the_installed_command_lists_the_systems(fgsbir: Callable[..., str]) -> None:
    lines = fgsbir("list", "--format", "csv").splitlines()
    costs = {line.partition(",")[0]: line.split(",")[-4:] for line in lines}
    assert {"proposed", "b_siamese", "triplet_sn"} <= set(costs)
    assert all(costs["proposed"]), "there is no experiment to take the costs from"


@pytest.mark.slow
def test_the_installed_command_resolves_a_composition(fgsbir: Callable[..., str]) -> None:
    config = yaml.safe_load(fgsbir("fit", "--system", "b_siamese", "--dataset", "embedded", "--print_config"))
    assert config["model"]["class_path"] == "fgsbir.systems.b_siamese.BSiamese"
    assert config["data"]["source"]["class_path"].rpartition(".")[2] == "Embedded"


@pytest.mark.slow
def test_the_installed_command_trains_tests_reports_and_indexes(fgsbir: Callable[..., str], tmp_path: Path) -> None:
    settings = [f"--{name}={value}" for name, value in SMALLEST.items()]
    fgsbir("run", "--system", "b_siamese", "--dataset", "embedded", *settings)
    (result,) = (tmp_path / "empty" / "runs").rglob("result.json")
    assert result.parent.parent.relative_to(tmp_path / "empty") == Path("runs/embedded/b_siamese")
    fgsbir("report", "runs", "--out", "report")  # from templates in the wheel
    assert "B-Siamese" in (tmp_path / "empty" / "report" / "index.html").read_text("utf-8")
    photos = fgsbir("index", "--split", "test", "--run", result.parent, "--out", "indexes/mine")
    assert "3 photos" in photos


@pytest.mark.slow
def test_the_installed_command_plans_a_shipped_sweep(fgsbir: Callable[..., str], bin_folder: Path) -> None:
    program = "from fgsbir.runs.shipped import shipped; print(shipped('sweeps') / 'ablation.yaml')"
    sweep = call(bin_folder / "python", "-c", program, cwd=bin_folder).strip()
    assert Path(sweep).is_relative_to(bin_folder.parent)
    planned = fgsbir("sweep", "run", sweep, "--dry-run")
    for name in yaml.safe_load((ROOT / "sweeps" / "ablation.yaml").read_text())["parameters"]["experiment"]["values"]:
        assert name in planned
