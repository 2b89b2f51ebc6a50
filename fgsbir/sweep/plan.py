"""The plan of a sweep: its runs, each resolved to its folder. It is written beside the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fgsbir.files import atomic_write
from fgsbir.runs.config import ResolvedRun, Settings, resolve
from fgsbir.runs.folder import RunFolder
from fgsbir.sweep.spec import Parameters, Sweep, arguments


@dataclass(frozen=True)
class PlannedRun:
    """A run of a sweep.

    Attributes:
        parameters: what the sweep file gives it.
        resolved: the run itself.
    """

    parameters: Parameters
    resolved: ResolvedRun

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        return self.resolved.folder

    @property
    def training(self) -> RunFolder:
        """Folder of its training; another one where it shares that of another run."""
        return self.resolved.trained.folder

    @property
    def unfinished(self) -> set[Path]:
        """Folders of the unfinished trainings that it needs; of runs that share one, one had better wait."""
        backbone = self.resolved.trained.backbone
        needed = [self.training, *([backbone.folder] if backbone is not None else [])]
        return {folder.path for folder in needed if not folder.is_trained}

    @property
    def label(self) -> str:
        """Its name for people, e.g. "embedded/proposed-s0"; its hash as well where settings of its own set it apart."""
        parent, (hashed, _, seed) = self.folder.path.parent, self.folder.path.name.rpartition("-")
        name = f"{parent.parent.name}/{parent.name}"
        plain = {"experiment", "dataset", "recipe", "seed", "experiments", "runs_dir"}
        return f"{name}-{seed}" if self.parameters.keys() <= plain else f"{name}/{hashed}-{seed}"

    @property
    def arguments(self) -> list[str]:
        """The argv of `fgsbir run`."""
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
        path: the file that the plan is written to.
        runs: those that train first, then those that only test what another one trained.
    """

    name: str
    path: Path
    runs: list[PlannedRun]

    @property
    def digest(self) -> str:
        """Names the set of runs, 16 hexadecimal digits."""
        folders = sorted(str(run.folder.path) for run in self.runs)
        return hashlib.sha256("\n".join(folders).encode()).hexdigest()[:16]

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


def make_plan(sweep: Sweep, runs_dir: Path) -> Plan:
    """Resolves every run of a sweep.

    Raises:
        InputError: if an experiment is missing or a setting is misspelt.
    """
    chosen = [{str(run[name]): None for run in sweep.runs if name in run} for name in ("dataset", "recipe")]
    path = runs_dir / "sweeps" / ("_".join([sweep.name, *("+".join(values) for values in chosen if values)]) + ".json")
    runs = [PlannedRun(run, resolve(Settings.of(list(run.items())))) for run in sweep.runs]
    return Plan(sweep.name, path, sorted(runs, key=lambda run: run.resolved.training is not None))
