"""The finished runs below a folder, sorted by what may be compared: test split, recipe, configuration."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fgsbir.errors import InputError
from fgsbir.metrics.on_the_fly import DrawingRanks, DrawingScores, drawing_scores
from fgsbir.metrics.ranking import Ranking, accuracy_at
from fgsbir.report.cells import detail_of, label_of, stem_of_experiment, title_of
from fgsbir.runs.folder import RunFolder, find_runs
from fgsbir.runs.result import Result
from fgsbir.sketch.strokes import IntArray


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run as read from its folder: the result, the test ranking and, where measured, ranks while drawing."""

    folder: RunFolder
    result: Result
    ranking: Ranking
    drawing: DrawingRanks | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one configuration, one a seed, in the order of their seeds; tables give their mean."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Result:
        """The result of the lowest seed; the seeds share all that is not measured."""
        return self.runs[0].result

    @property
    def stem(self) -> str:
        """Name of the experiment without dataset and recipe, e.g. "proposed_coarse"."""
        return stem_of_experiment(self.first.experiment)

    @cached_property
    def ranks(self) -> IntArray:
        """Ranks of all runs, `(R, Q)`."""
        return np.stack([run.ranking.ranks for run in self.runs])

    @cached_property
    def drawing(self) -> DrawingScores | None:
        """Scores while drawing of the runs that were measured, `(R, Q, S)`; None where none was."""
        measured = [run.drawing.ranks for run in self.runs if run.drawing is not None]
        return drawing_scores(np.stack(measured), self.first.n_gallery) if measured else None

    @property
    def photos(self) -> IntArray:
        """Gallery index of each query's true photo, `(Q,)`."""
        return self.runs[0].ranking.target


@dataclass(frozen=True, eq=False)
class Dataset:
    """The runs on one test split; in all of them queries and gallery stand in one order.

    Args:
        name: name of the dataset, e.g. "chair_v2".
        groups: configurations that were run; none for a dataset that only the paper has.
    """

    name: str
    groups: tuple[Group, ...] = ()

    @property
    def title(self) -> str:
        """Its name for people."""
        return title_of(self.name)

    @property
    def recipes(self) -> list[str]:
        """The recipes of its runs. "none", for systems without training, is listed only if there is no other."""
        return sorted({group.first.recipe for group in self.groups} - {"none"}) or ["none"]

    def filling(self, recipe: str, stem: str) -> list[Group]:
        """The configurations that fill a cell: none, one, or several that differ in a setting."""
        return [group for group in self.groups if (group.first.recipe, group.stem) == (recipe, stem)]

    def only(self, recipe: str, stem: str) -> Group | None:
        """The configuration that fills a cell; None if there is none, or several, of which none is the one."""
        found = self.filling(recipe, stem)
        return found[0] if len(found) == 1 else None

    def on_full_sketches(self, recipe: str) -> list[Group]:
        """The groups of a recipe that were tested on full sketches."""
        return [g for g in self.groups if g.first.recipe == recipe and detail_of(g.stem) == "full"]

    def label(self, group: Group, row: str | None = None) -> str:
        """Name of a group in a table: its row, with the hash of its configuration if others fill the row too."""
        row = row or label_of(group.stem)
        alone = self.only(group.first.recipe, group.stem) is not None
        return row if alone else f"{row} ({group.first.config_hash})"


def load_runs(root: Path) -> list[Dataset]:
    """Reads the finished runs below a folder; unfinished ones are skipped.

    Of two runs of one experiment, configuration and seed, as when a folder was copied, the one that finished last is
    taken.

    Raises:
        InputError: if there is none, or one is damaged or does not belong with the others of its split.
    """
    taken: dict[tuple[str, ...], Run] = {}
    for folder in find_runs(root):
        drawing = folder.read_on_the_fly() if folder.on_the_fly.exists() else None
        run = Run(folder, folder.read_result(), folder.read_ranking(), drawing)
        _check(run)
        result = run.result
        key = (result.dataset, result.split_hash, result.experiment, result.config_hash, str(result.seed))
        if key not in taken or taken[key].result.finished <= result.finished:
            taken[key] = run
    if not taken:
        raise InputError(
            root, "holds no finished run", "make some with `make demo`, or with `fgsbir fit` and `fgsbir test`"
        )
    splits: defaultdict[tuple[str, ...], defaultdict[tuple[str, ...], list[Run]]]
    splits = defaultdict(lambda: defaultdict(list))
    for (dataset, split, *configuration, _), run in taken.items():
        splits[dataset, split][tuple(configuration)].append(run)
    found = []
    for (dataset, _), groups in sorted(splits.items()):
        _check_order([run for runs in groups.values() for run in runs])
        ordered = (tuple(sorted(runs, key=lambda run: run.result.seed)) for _, runs in sorted(groups.items()))
        found.append(Dataset(dataset, tuple(map(Group, ordered))))
    return found


def _check(run: Run) -> None:
    """Refuses a result that differs from its ranking."""
    counted = accuracy_at(run.ranking.ranks, 1)
    if abs(counted - run.result.acc1) > 1e-6 or run.result.n_test != len(run.ranking.ranks):
        problem = f"it says acc@1 {run.result.acc1:.2f} where ranking.npz has {counted:.2f}"
        raise InputError(run.folder.result, problem, "delete it and test the run again")


def _check_order(runs: list[Run]) -> None:
    """Refuses runs whose queries or photos are in another order: their rows could not be compared."""
    first = runs[0]
    for run in runs[1:]:
        for name in ("query_ids", "gallery_ids"):
            if not np.array_equal(getattr(run.ranking, name), getattr(first.ranking, name)):
                problem = f"its {name} are in another order than in {first.folder.path}"
                raise InputError(run.folder.ranking, problem, "test both runs again with one version")
