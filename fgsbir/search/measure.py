"""How many candidates the first stage must give for the second to find what an exhaustive ranking finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fgsbir.errors import InputError
from fgsbir.search.index import IntArray, Recall
from fgsbir.search.model import LoadedModel
from fgsbir.search.searcher import Searcher
from fgsbir.sketch.strokes import VectorSketch

TOP = 10
PAIRS = 200_000
"""That are matched at most: some minutes."""
_BLOCK = 2048  # photos matched at a time


def own_queries(run: LoadedModel, count: int) -> list[VectorSketch]:
    """Sketches of the run's validation split, or where it has none of its test split, spread over it.

    Raises:
        InputError: if the dataset's files are missing or it has neither.
    """
    records = run.data.records.split_sketches("val") or run.data.records.split_sketches("test")
    if not records:
        raise InputError("--measure", "the run's dataset has no sketches to ask with", "give --depth when searching")
    places = np.linspace(0, len(records) - 1, min(count, len(records))).astype(int)
    return [records[place].sketch for place in places]


def measure_recall(searcher: Searcher, sketches: Sequence[VectorSketch], backend: str, progress: bool = True) -> Recall:
    """Asks the first stage and ranks exhaustively.

    Args:
        searcher: with a first stage.
        sketches: queries; fewer are asked where that would match more than `PAIRS` pairs.
        backend: of the first stage, for the record.
        progress: show a bar on a terminal.
    """
    rows = searcher.index.rows()
    asked = sketches[: max(1, PAIRS // len(rows))]
    places = []
    for sketch in tqdm(asked, "Measuring", unit="query", disable=None if progress else True):
        encoded = searcher.encode(sketch)
        distances = np.concatenate(
            [searcher.distances(encoded, rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK)]
        )
        best = rows[np.lexsort((rows, distances))[:TOP]]
        places.append(places_in(best, searcher.nearest(encoded, len(rows))))
    depths, shares = recall_curve(np.concatenate(places), len(rows))
    return Recall(len(rows), len(asked), backend, depths, shares)


def places_in(best: IntArray, found: IntArray) -> npt.NDArray[np.float64]:
    """The place from 1 of each of `best` in `found`; infinite where it was not found."""
    place = {int(row): i for i, row in enumerate(found, start=1)}
    return np.array([place.get(int(row), np.inf) for row in best])


def recall_curve(places: npt.NDArray[np.float64], photos: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Which share of the places lies within each of some depths, ten a decade from `TOP` to all photos.

    Example:
        >>> recall_curve(np.array([1.0, 12.0, 14.0, np.inf]), 15)
        ((10, 13, 15), (0.25, 0.5, 0.75))
    """
    steps = np.unique(np.ceil(TOP * 10 ** np.arange(0, np.log10(max(photos, TOP) / TOP), 0.1)).astype(int))
    depths = tuple(sorted({*(int(step) for step in steps if step < photos), photos}))
    return depths, tuple(float((places <= depth).mean()) for depth in depths)
