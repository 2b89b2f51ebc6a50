"""Recall of the first stage: how many candidates it takes to find what an exhaustive ranking finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.progress import progress
from fgsbir.search.index import Recall, spread
from fgsbir.search.model import LoadedModel
from fgsbir.search.searcher import Searcher
from fgsbir.sketch.strokes import IntArray, VectorSketch

TOP = 10
"""Photos of the exhaustive ranking that should be found."""
MAX_PAIRS = 200_000
"""Most pairs that are matched, which takes some minutes."""
_BLOCK = 2048  # photos matched at a time


def own_queries(model: LoadedModel, count: int) -> list[VectorSketch]:
    """At most `count` sketches of the validation split of the model's dataset, or of its test split if that is empty.

    Raises:
        InputError: if the dataset is missing, or both splits are empty.
    """
    records = model.data.records.split_sketches("val") or model.data.records.split_sketches("test")
    if not records:
        raise InputError("--measure", "the run's dataset has no validation or test sketches", "search with --depth")
    return [records[i].sketch for i in spread(len(records), count)]


def measure_recall(searcher: Searcher, sketches: Sequence[VectorSketch], backend: str) -> Recall:
    """Compares the first stage with the exhaustive ranking.

    Args:
        searcher: searcher with a first stage.
        sketches: queries; the first ones only, if all would make more than `MAX_PAIRS` pairs.
        backend: backend of the first stage, for the record.
    """
    rows = searcher.index.rows()
    queries = sketches[: max(1, MAX_PAIRS // len(rows))]
    ranks = []
    for sketch in progress(queries, "Measuring", unit="query"):
        encoded = searcher.encode(sketch)
        ranks.append(ranks_in(exhaustive_top(searcher, encoded), searcher.nearest(encoded, len(rows))))
    depths, shares = recall_curve(np.concatenate(ranks), len(rows))
    return Recall(len(rows), len(queries), backend, depths, shares)


def exhaustive_top(searcher: Searcher, encoded: Any) -> IntArray:
    """The rows of the `TOP` photos nearest to an encoded sketch when all photos are matched, nearest first."""
    rows = searcher.index.rows()
    blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    distances = np.concatenate([searcher.distances(encoded, block) for block in blocks])
    return rows[np.lexsort((rows, distances))[:TOP]]


def ranks_in(best: IntArray, found: IntArray) -> npt.NDArray[np.float64]:
    """The rank, from 1, of each of `best` in `found`; infinite if it was not found."""
    rank = {int(row): i for i, row in enumerate(found, start=1)}
    return np.array([rank.get(int(row), np.inf) for row in best])


def recall_curve(ranks: npt.NDArray[np.float64], photos: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Depths, ten a decade from `TOP` to all photos, and the share of the ranks within each.

    Example:
        >>> recall_curve(np.array([1.0, 12.0, 14.0, np.inf]), 15)
        ((10, 13, 15), (0.25, 0.5, 0.75))
    """
    steps = np.unique(np.ceil(TOP * 10 ** np.arange(0, np.log10(max(photos, TOP) / TOP), 0.1)).astype(int))
    depths = tuple(sorted({*(int(step) for step in steps if step < photos), photos}))
    return depths, tuple(float((ranks <= depth).mean()) for depth in depths)
