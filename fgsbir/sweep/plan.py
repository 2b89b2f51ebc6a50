"""The plan of a sweep: its runs, each with its folder. It is written beside the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import fgsbir
from fgsbir.files import atomic_write
from fgsbir.runs.config import load_experiment
from fgsbir.runs.environment import versions
from fgsbir.runs.folder import RunFolder
from fgsbir.sweep.spec import Parameters, Sweep, arguments, fit_words

Locate = Callable[[list[list[str]]], list[tuple[str, str]]]
"""For the options of `fgsbir fit` of some runs: the folder of each, and that of its training."""


@dataclass(frozen=True)
class PlannedRun:
    """A run and where it goes.

    Attributes:
        parameters: what is run.
        folder: the run's.
        training: the folder of its training; another one where the experiment is trained as another.
    """

    parameters: Parameters
    folder: RunFolder
    training: RunFolder

    @property
    def label(self) -> str:
        """Its name for people, e.g. "embedded/proposed-s0"; its hash as well where settings of its own set it apart."""
        parent, (hashed, _, seed) = self.folder.path.parent, self.folder.path.name.rpartition("-")
        name = f"{parent.parent.name}/{parent.name}"
        plain = {"experiment", "dataset", "recipe", "seed", "experiments", "runs_dir"}
        return f"{name}-{seed}" if self.parameters.keys() <= plain else f"{name}/{hashed}-{seed}"

    @property
    def arguments(self) -> list[str]:
        """The options of `fgsbir run`."""
        return arguments(self.parameters)


def wanted(runs: Sequence[PlannedRun], setting: str) -> int:
    """The largest whole number that a run gives for a setting, such as `trainer.devices`; 1 if none does."""
    values = [run.parameters.get(setting) for run in runs]
    return max([1, *(value for value in values if isinstance(value, int))])


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep.

    Attributes:
        name: of the sweep.
        path: the file that holds the plan, whether or not it is written yet.
        runs: those that train first, then those that only test what another one trained.
        digest: of all that decides the folders.
    """

    name: str
    path: Path
    runs: list[PlannedRun]
    digest: str

    def write(self) -> None:
        """Writes the plan as JSON.

        Raises:
            InputError: if it cannot be written.
        """
        root = self.path.parents[1]
        runs = [
            {
                "parameters": run.parameters,
                "command": ["fgsbir", "run", *run.arguments],
                "folder": run.folder.path.relative_to(root).as_posix(),
                "training": run.training.path.relative_to(root).as_posix(),
            }
            for run in self.runs
        ]
        text = json.dumps({"sweep": self.name, "digest": self.digest, "runs": runs}, indent=2)
        with atomic_write(self.path, "w") as file:
            file.write(text + "\n")


def make_plan(sweep: Sweep, runs_dir: Path, locate: Locate) -> Plan:
    """Finds the folder of every run.

    A folder is named by all settings, defaults of the code included, so to find it takes the training code, which is
    slow to load. A plan that was written is therefore used again as long as nothing that decides the folders changed.

    Args:
        sweep: what to run.
        runs_dir: the folder of all runs.
        locate: asks the training code.

    Raises:
        InputError: if an experiment is missing or a setting is wrong.
    """
    words = [fit_words(run) for run in sweep.runs]
    digest = _digest(words)
    chosen = [{str(run[name]): None for run in sweep.runs if name in run} for name in ("dataset", "recipe")]
    path = runs_dir / "sweeps" / ("_".join([sweep.name, *("+".join(values) for values in chosen if values)]) + ".json")
    known = _read(path)
    if known.get("digest") == digest:
        return Plan(sweep.name, path, [_planned(run, runs_dir) for run in known["runs"]], digest)
    folders = [(RunFolder(Path(folder)), RunFolder(Path(training))) for folder, training in locate(words)]
    runs = [PlannedRun(run, *found) for run, found in zip(sweep.runs, folders, strict=True)]
    return Plan(sweep.name, path, sorted(runs, key=lambda run: run.folder != run.training), digest)


def _planned(entry: dict[str, Any], runs_dir: Path) -> PlannedRun:
    folder, training = (RunFolder(runs_dir / entry[name]) for name in ("folder", "training"))
    return PlannedRun(entry["parameters"], folder, training)


def _read(path: Path) -> dict[str, Any]:
    """A plan as it was written; nothing if there is none, or a damaged one."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def _digest(words: list[list[str]]) -> str:
    """Names all that decides the folders of runs: options, the files they name, and the code with its defaults."""
    files = {word for run in words for option, word in pairwise(run) if option == "--config"}
    inputs = [words, {file: load_experiment(Path(file)) for file in sorted(files)}, versions(), version("jsonargparse")]
    digest = hashlib.sha256(json.dumps(inputs, default=str).encode())
    package = Path(fgsbir.__file__).parent
    for module in sorted(package.rglob("*.py")):
        digest.update(module.relative_to(package).as_posix().encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()[:16]
