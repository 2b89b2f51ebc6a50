"""Agreement of discovered hierarchies with the part trees of the drawn objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.datasets import Embedded
from fgsbir.data.sample import stacked
from fgsbir.errors import InputError
from fgsbir.metrics.tree_agreement import Agreement, agreement, joined_owners, random_merges
from fgsbir.runs.folder import find_runs
from fgsbir.runs.loading import load_run
from fgsbir.sketch.detail import detail
from fgsbir.sketch.strokes import IntArray
from fgsbir.systems.base import System
from fgsbir.systems.explanation import Explainable
from fgsbir.visualization.tables import Column, Table, plain, rounded

DRAWS = 20
"""Random trees a sketch."""
SEED = 0
BATCH = 32


class Score(NamedTuple):
    """A row of the table; means over sketches, in percent.

    Attributes:
        run: folder of the run.
        system: name of the system.
        sketches: number of test sketches whose part tree resolves a triplet.
        triplets: triplet agreement.
        random_triplets: triplet agreement of random merges.
        clusters: cluster recall, over the sketches with a true cluster.
        random_clusters: cluster recall of random merges.
    """

    run: str
    system: str
    sketches: int
    triplets: float
    random_triplets: float
    clusters: float
    random_clusters: float


def score_runs(root: Path) -> list[Score]:
    """The scores of all runs below a folder that have merge trees, and true ones to compare them with.

    Raises:
        InputError: if there is no such folder or run, or one is damaged.
    """
    scores = []
    for folder in find_runs(root):
        result = folder.read_result()
        if not result.dataset.startswith("embedded_") or result.best_epoch is None:  # another, or never trained
            continue
        system, data = load_run(folder)
        if isinstance(system, Explainable) and isinstance(data.source, Embedded):
            scores.append(score(str(folder.path.relative_to(root)), system, data))
    if not scores:
        problem = "no finished run of a system with merge trees on the embedded dataset"
        fix = "train and test one, e.g. fgsbir run --system proposed --dataset embedded"
        raise InputError(root, problem, fix)
    return scores


def score(name: str, system: System, data: SketchPhotoDataModule) -> Score:
    """Explains each test sketch of the embedded dataset with its true photo and compares the trees.

    Raises:
        InputError: if no test sketch tells good trees from bad ones.
    """
    owners = leaf_owners(data)
    trees = _sketch_merges(system, data)
    assert isinstance(data.source, Embedded)
    parents = {sketch: tree.parents for sketch, tree in data.source.part_trees().items()}
    found = [agreement(trees[sketch], owners[sketch], parents[sketch]) for sketch in owners]
    rng = np.random.default_rng(SEED)
    by_chance = [
        agreement(random_merges(len(owners[sketch]), rng), owners[sketch], parents[sketch])
        for sketch in owners
        for _ in range(DRAWS)
    ]
    resolved = sum(a.triplets is not None for a in found)
    if not resolved:
        raise InputError(name, "no test sketch has three strokes that its parts set apart", "use more test sketches")
    (triplets, clusters), (random_triplets, random_clusters) = _means(found), _means(by_chance)
    return Score(name, system.name, resolved, triplets, random_triplets, clusters, random_clusters)


def leaf_owners(data: SketchPhotoDataModule) -> dict[str, IntArray]:
    """The part that each sketch node of each test sketch stands for, -1 for none, by sketch id."""
    assert isinstance(data.source, Embedded)
    queries, trees = data.queries("test"), data.source.part_trees()
    rendering, owners = queries.rendering, {}
    for record in queries.sketches:
        drawn = detail(record.sketch, queries.detail)
        joined = drawn.grouped(rendering.max_strokes)
        # Less detail is the first strokes of a sketch.
        parts = joined_owners(trees[record.id].owners[: len(drawn)], drawn.offsets, joined.offsets)
        owners[record.id] = np.append(parts, -1) if rendering.whole_sketch_node else parts
    return owners


@torch.no_grad()
def _sketch_merges(system: System, data: SketchPhotoDataModule) -> dict[str, list[tuple[int, int]]]:
    """The merges of each test sketch, climbing with its true photo, by sketch id."""
    assert isinstance(system, Explainable)
    data.prepare_data()
    data.setup("test")
    queries, gallery = data.queries("test"), data.gallery("test")
    merges = {}
    for start in range(0, len(queries), BATCH):
        sketches = stacked(queries[i] for i in range(start, min(start + BATCH, len(queries))))
        photos = stacked(gallery[int(index)] for index in sketches.photo)
        for position, explained in zip(sketches.position, system.explain_images(sketches, photos), strict=True):
            merges[queries.sketches[int(position)].id] = explained.sketch_merges
    return merges


def _means(found: list[Agreement]) -> tuple[float, float]:
    """Mean triplet agreement and cluster recall, in percent, each over those that have one."""
    columns = ([value for value in column if value is not None] for column in zip(*found, strict=True))
    triplets, clusters = (100 * float(np.mean(column)) if column else float("nan") for column in columns)
    return triplets, clusters


def score_table(scores: Sequence[Score]) -> Table:
    """A row for each run."""
    columns = tuple(Column("", name.split("_")[0], (name,), name in ("run", "system")) for name in Score._fields)
    rows = tuple((*map(plain, row[:3]), *(rounded(percent, 1) for percent in row[3:])) for row in scores)
    return Table("trees", "", {}, columns, (rows,))
