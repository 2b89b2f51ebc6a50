"""The plan of a sweep: its runs, each resolved to its folder. It is written beside the runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

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
        """Folder of its training; another run's folder if it shares the training of that run."""
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

    def wanted(self, setting: str) -> int:
        """The whole number that the run gives for a setting of the trainer, "devices" or "num_nodes"; 1 by default."""
        value = self.resolved.config["trainer"].get(setting)
        return value if isinstance(value, int) and value > 0 else 1

    def write_config(self, folder: Path) -> Path:
        """Writes the configuration of the run to a folder: all that a process needs to make it.

        Raises:
            InputError: if it cannot be written.
        """
        path = folder / f"{self.folder.path.parent.name}-{self.folder.path.name}.yaml"
        with atomic_write(path, "w") as file:
            file.write(yaml.safe_dump(self.resolved.config, sort_keys=False))
        return path.absolute()


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep.

    Attributes:
        name: name of the sweep.
        path: the file that the plan is written to.
        runs: those that train first, then those that only test what another one trained.
    """

    name: str
    path: Path
    runs: list[PlannedRun]

    @property
    def digest(self) -> str:
        """Names the runs and their settings, 16 hexadecimal digits."""
        runs = sorted(f"{run.folder.path} {json.dumps(run.resolved.config, sort_keys=True)}" for run in self.runs)
        return hashlib.sha256("\n".join(runs).encode()).hexdigest()[:16]

    @property
    def configs(self) -> Path:
        """Folder of the configurations of runs that are started."""
        return self.path.with_suffix("")

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
