"""The run folder: the only reader and writer of what a run leaves behind.

runs/<experiment>/<config hash>-s<seed>/
    config.yaml       the resolved configuration
    env.json          machine, versions, weights
    wandb_id          its name at Weights & Biases, if it is logged there
    metrics.csv       losses and val metrics of every epoch
    checkpoints/      best.ckpt (highest MRR on val), last.ckpt (to resume from)
    ranking.npz       the test ranking
    thumbnails.npz    small images of the test split, for galleries
    hierarchy.json    fusion trees of a few pairs
    on_the_fly.npz    ranks while the test sketches are being drawn, where they were measured
    log.txt           what a launcher's processes printed
    .lock             held by the process that works on the run
    result.json       the test metrics; written last, so its presence means that the run is done
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import yaml

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, is_locked, load_arrays, locked, save_arrays
from fgsbir.metrics.on_the_fly import DrawingRanks, load_drawing_ranks, save_drawing_ranks
from fgsbir.metrics.ranking import Ranking, load_ranking, save_ranking
from fgsbir.runs.environment import environment
from fgsbir.runs.result import Result

T = TypeVar("T")

THUMBNAIL_SIZE = 96


class Thumbnails(NamedTuple):
    """Small images of the test split, uint8 RGB.

    Attributes:
        photos: in gallery order, `(G, 96, 96, 3)`.
        sketches: in query order, `(Q, 96, 96, 3)`.
    """

    photos: npt.NDArray[np.uint8]
    sketches: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RunFolder:
    """One run's folder; it need not exist yet.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """config.yaml, written by the command line at the start of training."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """metrics.csv, written after every epoch."""
        return self.path / "metrics.csv"

    @property
    def env(self) -> Path:
        """env.json."""
        return self.path / "env.json"

    @property
    def checkpoints(self) -> Path:
        """The folder that checkpoints are saved in."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint with the highest MRR on `val`, the one that is tested."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint to resume from."""
        return self.checkpoints / "last.ckpt"

    @property
    def ranking(self) -> Path:
        """ranking.npz."""
        return self.path / "ranking.npz"

    @property
    def thumbnails(self) -> Path:
        """thumbnails.npz."""
        return self.path / "thumbnails.npz"

    @property
    def hierarchy(self) -> Path:
        """hierarchy.json."""
        return self.path / "hierarchy.json"

    @property
    def on_the_fly(self) -> Path:
        """on_the_fly.npz."""
        return self.path / "on_the_fly.npz"

    @property
    def result(self) -> Path:
        """result.json."""
        return self.path / "result.json"

    @property
    def log(self) -> Path:
        """log.txt."""
        return self.path / "log.txt"

    @property
    def exists(self) -> bool:
        """Whether the run was ever started."""
        return self.path.is_dir()

    @property
    def is_done(self) -> bool:
        """Whether the run has a valid result; a damaged one means that it must be tested again."""
        try:
            self.read_result()
        except InputError:
            return False
        return True

    @property
    def is_trained(self) -> bool:
        """Whether the training came to its end, tested or not: metrics and then a checkpoint of its last epoch."""
        try:
            epochs = self.read_config()["trainer"]["max_epochs"]
            saved, logged = self.last_checkpoint.stat().st_mtime_ns, self.metrics.stat().st_mtime_ns
            return saved >= logged and self.read_metrics()[-1]["epoch"] + 1 >= epochs > 0
        except (InputError, OSError, LookupError, TypeError):
            return False

    @property
    def is_locked(self) -> bool:
        """Whether a process works on the run."""
        return is_locked(self._lock_file)

    def lock(self) -> AbstractContextManager[None]:
        """Holds the run for this process, and waits while another has it; see `fgsbir.files.locked`.

        Raises:
            InputError: if the folder cannot be written or its file system has no locks.
        """
        return locked(self._lock_file)

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"

    def copy_training(self, other: RunFolder) -> None:
        """Copies checkpoints and metrics from `other`; the two runs differ only in evaluation.

        Raises:
            InputError: if a file cannot be copied.
        """
        with other.lock():  # it may be training
            for theirs in (other.env, other.metrics, other.last_checkpoint, other.best_checkpoint):
                if theirs.exists():
                    _copy(theirs, self.path / theirs.relative_to(other.path))

    def copy_outcome(self, other: RunFolder) -> None:
        """Copies what tables are made of from `other`, a finished run: no weights and no images.

        Raises:
            InputError: if a file cannot be copied.
        """
        # The result last: it says that all is there.
        for theirs in (other.env, other.metrics, other.ranking, other.on_the_fly, other.result):
            if theirs.exists():
                _copy(theirs, self.path / theirs.name)

    def write_env(self, weights: Sequence[Mapping[str, Any]] = (), extra: Mapping[str, Any] | None = None) -> None:
        """Records this machine and process, the pretrained `weights`, and what is in `extra`.

        Raises:
            InputError: if the file cannot be written.
        """
        _write_json(self.env, {**environment(weights), **(extra or {})})

    def read_env(self) -> dict[str, Any]:
        """What `write_env` wrote.

        Raises:
            InputError: if it is missing or damaged.
        """
        return _read_json(self.env, dict)

    def write_result(self, result: Result) -> None:
        """Marks the run as done: write everything else first.

        Raises:
            ValueError: if a figure is not finite.
            InputError: if the file cannot be written.
        """
        _write_json(self.result, result.to_dict())

    def read_result(self) -> Result:
        """The test metrics.

        Raises:
            InputError: if the run is not finished or its result is damaged.
        """
        try:
            return Result.from_dict(_read_json(self.result, dict))
        except ValueError as error:
            raise InputError(self.result, str(error), "delete it and test the run again") from None

    def wandb_id(self) -> str:
        """The run's id at Weights & Biases, made up when it is first asked for, so that fit and test share a W&B run.

        A W&B agent expects the id that it gives (WANDB_RUN_ID).

        Raises:
            InputError: if it cannot be read or written.
        """
        path = self.path / "wandb_id"
        if not path.exists():
            with atomic_write(path, "w") as file:
                file.write(os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4))
        return _read_text(path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Saves the resolved configuration.

        Raises:
            InputError: if the file cannot be written.
        """
        with atomic_write(self.config, "w") as file:
            file.write(yaml.safe_dump(dict(config), sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration.

        Raises:
            InputError: if it is missing or damaged.
        """
        try:
            config = yaml.safe_load(_read_text(self.config))
        except yaml.YAMLError as error:
            problem = f"not valid YAML ({str(error).splitlines()[0]})"
            raise InputError(self.config, problem, "restore it or train again") from None
        if not isinstance(config, dict):
            raise InputError(self.config, "not a configuration", "restore it or train again")
        return config

    def read_metrics(self) -> list[dict[str, float]]:
        """The logged rows in order; a row holds what was logged at that step, and nothing else.

        Raises:
            InputError: if it is missing or damaged.
        """
        rows = csv.DictReader(_read_text(self.metrics).splitlines())
        try:
            return [{name: float(value) for name, value in row.items() if value} for row in rows]
        except (TypeError, ValueError) as error:
            raise InputError(self.metrics, f"line {rows.line_num}: {error}", "delete the line") from None

    def write_ranking(self, ranking: Ranking) -> None:
        """Saves the test ranking.

        Raises:
            InputError: if the file cannot be written.
        """
        save_ranking(ranking, self.ranking)

    def read_ranking(self) -> Ranking:
        """The test ranking.

        Raises:
            InputError: if it is missing or damaged.
        """
        return load_ranking(self.ranking)

    def write_thumbnails(self, photos: npt.NDArray[np.uint8], sketches: npt.NDArray[np.uint8]) -> None:
        """Saves small images of the test split.

        Args:
            photos: in gallery order, `(G, 96, 96, 3)` uint8 RGB.
            sketches: in query order, `(Q, 96, 96, 3)` uint8 RGB.

        Raises:
            ValueError: if an array is of another shape or type.
            InputError: if the file cannot be written.
        """
        thumbnails = Thumbnails(photos, sketches)
        _check_thumbnails(thumbnails)
        save_arrays(self.thumbnails, **thumbnails._asdict())

    def read_thumbnails(self) -> Thumbnails:
        """The small images.

        Raises:
            InputError: if they are missing or damaged.
        """
        try:
            thumbnails = Thumbnails(**load_arrays(self.thumbnails, *Thumbnails._fields))
            _check_thumbnails(thumbnails)
        except ValueError as error:
            raise InputError(self.thumbnails, f"no thumbnails ({error})", "test the run again") from None
        return thumbnails

    def write_hierarchy(self, pairs: Sequence[Mapping[str, Any]]) -> None:
        """Saves the fusion trees of a few pairs, one plain dictionary a pair.

        Raises:
            InputError: if the file cannot be written.
        """
        _write_json(self.hierarchy, list(pairs))

    def read_hierarchy(self) -> list[dict[str, Any]]:
        """The fusion trees.

        Raises:
            InputError: if they are missing or damaged.
        """
        return _read_json(self.hierarchy, list)

    def write_on_the_fly(self, drawing: DrawingRanks) -> None:
        """Saves the ranks while drawing.

        Raises:
            InputError: if the file cannot be written.
        """
        save_drawing_ranks(drawing, self.on_the_fly)

    def read_on_the_fly(self) -> DrawingRanks:
        """The ranks while drawing.

        Raises:
            InputError: if they are missing, damaged or not of the run's last test.
        """
        drawing, ranking = load_drawing_ranks(self.on_the_fly), self.read_ranking()
        if drawing.finished != self.read_result().finished:
            problem = "measured before the last test of the run"
        elif not np.array_equal(drawing.query_ids, ranking.query_ids):
            problem = "its sketches differ from those in ranking.npz"
        elif drawing.ranks.max() > len(ranking.gallery_ids):
            problem = f"a rank is beyond the {len(ranking.gallery_ids)} photos of ranking.npz"
        else:
            return drawing
        raise InputError(self.on_the_fly, problem, "run fgsbir on-the-fly again")


def find_runs(root: Path) -> list[RunFolder]:
    """The finished runs below `root`, sorted by path; one with a damaged result is listed, to be reported.

    Raises:
        InputError: if there is no such folder.
    """
    if not root.is_dir():
        raise InputError(root, "no such folder of runs", "check the path or run an experiment first")
    return [RunFolder(path.parent) for path in sorted(root.rglob("result.json"))]


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file, atomic_write(target) as copy:
        shutil.copyfileobj(file, copy)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(path, "no such file", "the run is not finished or not a run") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})", "restore it or run again") from None


def _read_json(path: Path, kind: type[T]) -> T:
    """The content of a JSON file whose outermost value is a `kind`."""
    try:
        value = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(path, f"damaged ({error})", "delete it and test the run again") from None
    if not isinstance(value, kind):
        raise InputError(path, f"not a JSON {kind.__name__}", "delete it and test the run again")
    return value


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic_write(path, "w") as file:
        file.write(text + "\n")


def _check_thumbnails(thumbnails: Thumbnails) -> None:
    """Raises ValueError for another shape or type."""
    for name, images in thumbnails._asdict().items():
        if images.dtype != np.uint8 or images.shape[1:] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3):
            raise ValueError(f"{name} must be (N, {THUMBNAIL_SIZE}, {THUMBNAIL_SIZE}, 3) uint8, got {images.shape}")
