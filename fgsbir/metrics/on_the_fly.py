"""How soon a photo is found while its sketch is being drawn (Bhunia et al., CVPR 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import load_arrays, save_arrays
from fgsbir.metrics.ranking import Float64Array, StrArray, require_arrays
from fgsbir.sketch.strokes import IntArray

MOMENTS = 20
"""Of a drawing, at equal shares of its ink; before the first there is no ink, and so no rank."""
SHARES: Float64Array = np.arange(1, MOMENTS + 1) / MOMENTS


class DrawingRanks(NamedTuple):
    """Ranks while drawing.

    Attributes:
        query_ids: sketch ids, `(Q,)`, in the order of the test ranking.
        shares: share of the ink drawn at each moment, `(S,)`, equal to `SHARES`.
        ranks: rank of each true photo at each moment, from 1, `(Q, S)`.
        finished: when the test of the same checkpoint was, as in the result of the run.
    """

    query_ids: StrArray
    shares: Float64Array
    ranks: IntArray
    finished: str


class DrawingScores(NamedTuple):
    """Two scores of ranks, of their shape, in percent; their means over sketches and moments are m@A and m@B.

    Attributes:
        percentile: 100 where the true photo is first, 0 where it is last.
        reciprocal: 100 / rank.
    """

    percentile: Float64Array
    reciprocal: Float64Array


def drawing_scores(ranks: npt.ArrayLike, gallery: int) -> DrawingScores:
    """Ranking percentile, `(G - rank) / (G - 1)`, and reciprocal rank of each rank.

    The reciprocal rank is as in the paper's released code, the percentile as in later ones that report m@A;
    `docs/on-the-fly.md` has the sources.

    Deviations: the released code has 17 moments, at equal numbers of pen points; ours are at equal shares of the ink.

    Args:
        ranks: from 1, of any shape.
        gallery: number of photos, G; of a single photo the percentile is 100.

    Example:
        >>> drawing_scores([1, 3, 5], gallery=5).percentile.tolist()
        [100.0, 50.0, 0.0]
    """
    ranks = np.asarray(ranks)
    return DrawingScores(100.0 * (1.0 - (ranks - 1) / max(gallery - 1, 1)), 100.0 / ranks)


def save_drawing_ranks(drawing: DrawingRanks, path: Path) -> None:
    """Writes the ranks as a compressed NumPy archive, atomically and without pickle.

    Raises:
        InputError: if the file cannot be written.
    """
    save_arrays(path, **drawing._asdict())


def load_drawing_ranks(path: Path) -> DrawingRanks:
    """Reads what `save_drawing_ranks` wrote.

    Raises:
        InputError: if the file is missing, damaged, or has other moments.
    """
    try:
        arrays = load_arrays(path, *DrawingRanks._fields)
        drawing = DrawingRanks(arrays["query_ids"], arrays["shares"], arrays["ranks"], str(arrays["finished"]))
        _check(drawing)
    except ValueError as error:
        raise InputError(path, f"no ranks while drawing ({error})", "run fgsbir on-the-fly again") from None
    return drawing


def _check(drawing: DrawingRanks) -> None:
    """Raises ValueError if the arrays do not belong together."""
    q = drawing.query_ids.size
    expected = {"query_ids": ("U", (q,)), "shares": ("f", SHARES.shape), "ranks": ("i", (q, MOMENTS))}
    require_arrays(drawing._asdict(), expected)
    if not np.allclose(drawing.shares, SHARES):
        raise ValueError(f"shares are not {MOMENTS} equal ones")
    if not drawing.ranks.size or drawing.ranks.min() < 1:
        raise ValueError("there are no ranks, or one is below 1")
