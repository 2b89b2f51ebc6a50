import json
import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import fgsbir
from fgsbir.runs.environment import environment, git_commit, hardware, is_first_process, versions


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_environment_is_plain_and_private() -> None:
    env = environment([{"source": "/home/me/a.pt", "sha256": "ab"}, {"source": "timm/lite0", "sha256": "cd"}])
    assert json.loads(json.dumps(env)) == env
    assert env["weights"] == [{"source": "a.pt", "sha256": "ab"}, {"source": "timm/lite0", "sha256": "cd"}]
    assert not [text for text in strings(env) if text.startswith("/") or platform.node() in text.split()]
    assert env["python"] == platform.python_version()
    assert env["cores"] >= 1
    assert len(env["gpus"]) == torch.cuda.device_count()


def test_versions_are_those_imported() -> None:
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["fgsbir"] == fgsbir.__version__


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgsbir.runs.environment._PACKAGES", {"numpy": "numpy", "none": "no-such-distribution"})
    assert set(versions()) == {"fgsbir", "numpy"}


def test_hardware_is_one_line_with_equal_gpus_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.match(r"\d+ x \S.*", hardware())
    monkeypatch.setattr("fgsbir.runs.environment.usable_cores", lambda: 16)
    monkeypatch.setattr("fgsbir.runs.environment._cpu_model", lambda: "AMD EPYC")
    monkeypatch.setattr("fgsbir.runs.environment.usable_memory_gib", lambda: 128)
    monkeypatch.setattr("fgsbir.runs.environment._gpu_names", lambda: ["H200", "A100", "H200"])
    assert hardware() == "16 x AMD EPYC, 128 GiB, 2 x H200, 1 x A100"
    elsewhere = environment() | {"cores": 4, "memory_gib": None, "gpus": []}
    assert hardware(elsewhere) == "4 x AMD EPYC"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in a checkout of its own, one commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    git(folder.parent, "init")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-m", "first")
    return folder


def test_commit_of_a_clean_and_of_a_changed_checkout(package: Path) -> None:
    commit = git(package, "rev-parse", "HEAD")
    assert git_commit(package) == commit
    (package.parent / "notes.txt").write_text("outside the package")
    assert git_commit(package) == commit
    (package / "new.py").write_text("")
    assert git_commit(package) == f"{commit}-dirty"
    (package / "new.py").unlink()
    (package / "__init__.py").write_text("changed = True\n")
    assert git_commit(package) == f"{commit}-dirty"


def test_no_commit_outside_a_checkout_or_deep_inside_another(package: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert git_commit(tmp_path / "plain") is None
    installed = package / "venv" / "package"
    installed.mkdir(parents=True)
    assert git_commit(installed) is None


def test_no_commit_without_git(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_commit(package) is None


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # torchrun, second node
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),  # Lightning's own launcher, second node
        ({"NODE_RANK": "0", "LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "3", "SLURM_LOCALID": "0"}, False),
        ({"SLURM_PROCID": "0"}, True),
    ],
)
def test_the_first_process_of_a_training_knows_it(variables, first, monkeypatch):
    for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first
