"""Ranks, accuracy and the statistics that say whether two accuracies differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import load_arrays, save_arrays
from fgsbir.sketch.strokes import FloatArray, IntArray

if TYPE_CHECKING:  # reports read rankings and should not wait for torch
    from torch import Tensor

Float64Array = npt.NDArray[np.float64]
StrArray = npt.NDArray[np.str_]

PAIRED_SAMPLES = 10_000
"""Bootstrap samples of a paired comparison."""


def compute_ranks(distances: Tensor, target: Tensor) -> Tensor:
    """The rank of each query's true photo: 1 + photos strictly nearer + other photos at the same distance.

    A tie counts against the query (as in the evaluation of Sain et al. 2020), so a model that gives every
    photo the same distance gets the last rank, not the first. Compared in float32.

    Args:
        distances: distance of each query to each gallery photo, `(Q, G)`, floating.
        target: gallery index of each query's true photo, `(Q,)`, integer.

    Returns:
        Ranks from 1 to G, `(Q,)`, long.

    Raises:
        ValueError: if the shapes or types do not fit, a target is outside the gallery, or a distance is
            not finite.

    Example:
        >>> import torch
        >>> compute_ranks(torch.tensor([[0.2, 0.1, 0.9], [0.5, 0.5, 0.7]]), torch.tensor([0, 0]))
        tensor([2, 2])
    """
    if distances.ndim != 2 or not distances.is_floating_point():
        raise ValueError(f"distances must be floating (Q, G), got {distances.dtype} {tuple(distances.shape)}")
    if target.shape != distances.shape[:1] or target.is_floating_point():
        raise ValueError(f"target must be integer ({len(distances)},), got {target.dtype} {tuple(target.shape)}")
    if ((target < 0) | (target >= distances.shape[1])).any():
        raise ValueError(f"a target is outside the gallery of {distances.shape[1]} photos")
    distances = distances.float()
    if not distances.isfinite().all():
        raise ValueError("a distance is not finite")
    # The true photo is counted too: that is the 1.
    return (distances <= distances.gather(1, target.long()[:, None])).sum(dim=1)


def accuracy_at(ranks: npt.ArrayLike, k: int) -> float:
    """Percentage of queries whose true photo is among the first `k` (acc@k).

    Raises:
        ValueError: if there are no ranks or a rank is below 1.

    Example:
        >>> accuracy_at([1, 3, 7, 1], k=1)
        50.0
    """
    return 100.0 * float(np.mean(_as_ranks(ranks) <= k))


def summarise(ranks: npt.ArrayLike) -> dict[str, float]:
    """The metrics reported for a set of ranks `(Q,)`.

    Returns:
        `acc1`, `acc5`, `acc10` and `mrr` (mean reciprocal rank) in percent, and `mean_rank`.

    Raises:
        ValueError: if there are no ranks or a rank is below 1.

    Example:
        >>> summarise([1, 2, 6])["mean_rank"], round(summarise([1, 2, 6])["mrr"], 2)
        (3.0, 55.56)
    """
    ranks = _as_ranks(ranks)
    accuracies = {f"acc{k}": accuracy_at(ranks, k) for k in (1, 5, 10)}
    return accuracies | {"mean_rank": float(np.mean(ranks)), "mrr": 100.0 * float(np.mean(1.0 / ranks))}


class Ranking(NamedTuple):
    """The outcome of one retrieval run, all that tables, figures and galleries need.

    Attributes:
        query_ids: sketch ids, `(Q,)`.
        gallery_ids: photo ids, `(G,)`.
        target: gallery index of each true photo, `(Q,)`.
        ranks: rank of each true photo, from 1, `(Q,)`.
        top: gallery indices of the nearest photos, nearest first, `(Q, K)`; among equal distances the true
            photo comes last, so `top[q, ranks[q] - 1] == target[q]` wherever `ranks[q] <= K`.
        top_distances: their distances, `(Q, K)`, float32.
    """

    query_ids: StrArray
    gallery_ids: StrArray
    target: IntArray
    ranks: IntArray
    top: IntArray
    top_distances: FloatArray


def rank_gallery(
    distances: Tensor, target: Tensor, query_ids: Sequence[str], gallery_ids: Sequence[str], top_k: int = 50
) -> Ranking:
    """Ranks the gallery for every query.

    Args:
        distances: `(Q, G)`, floating.
        target: gallery index of each query's true photo, `(Q,)`, integer.
        query_ids: Q sketch ids.
        gallery_ids: G photo ids.
        top_k: how many of the nearest photos to keep; at most G are.

    Raises:
        ValueError: as `compute_ranks`, or if the ids are not as many as the distances or are repeated.
    """
    ranks = compute_ranks(distances, target)
    if distances.shape != (len(query_ids), len(gallery_ids)):
        raise ValueError(
            f"distances are {tuple(distances.shape)} for {len(query_ids)} queries and {len(gallery_ids)} photos"
        )
    if len(set(query_ids)) < len(query_ids) or len(set(gallery_ids)) < len(gallery_ids):
        raise ValueError("an id is repeated")
    values = distances.detach().float().cpu().numpy()
    true = target.cpu().numpy().astype(np.int64)
    # Last key first: by distance, then the true photo behind its equals, then by index (lexsort is stable).
    is_true = np.arange(len(gallery_ids)) == true[:, None]
    top = np.lexsort((is_true, values), axis=1)[:, :top_k]
    return Ranking(
        np.asarray(query_ids, dtype=np.str_),
        np.asarray(gallery_ids, dtype=np.str_),
        true,
        ranks.cpu().numpy(),
        top,
        np.take_along_axis(values, top, axis=1),
    )


def save_ranking(ranking: Ranking, path: Path) -> None:
    """Writes a ranking as a compressed NumPy archive, atomically and without pickle.

    Raises:
        InputError: if the file cannot be written.
    """
    save_arrays(path, **ranking._asdict())


def load_ranking(path: Path) -> Ranking:
    """Reads what `save_ranking` wrote.

    Raises:
        InputError: if the file is missing, damaged or no ranking.
    """
    if not path.exists():
        raise InputError(path, "no such ranking", "run the test of this experiment first")
    try:
        ranking = Ranking(**load_arrays(path, *Ranking._fields))
        _check(ranking)
    except ValueError as error:
        raise InputError(path, f"not a ranking ({error})", "delete it and run the test again") from None
    return ranking


def bootstrap_interval(
    ranks: npt.ArrayLike,
    groups: npt.ArrayLike,
    k: int = 1,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Confidence interval of acc@k by a cluster bootstrap.

    Sketches of one photo succeed or fail together, so whole photos are drawn with replacement, each with
    all its sketches; drawing single sketches would give too narrow an interval. Percentile method
    (Efron and Tibshirani 1993, chapter 13).

    Args:
        ranks: `(Q,)`, or `(R, Q)` of R runs of one system on the same queries, for the interval of their mean acc@k.
        groups: the photo of each query, `(Q,)`, any type that compares.
        k: the k of acc@k.
        samples: number of bootstrap samples.
        seed: seed of the draws.
        level: coverage, between 0 and 1.

    Returns:
        Lower and upper end, percent.

    Raises:
        ValueError: if there are no ranks, or not one group a rank.
    """
    low, high = mean_interval(_hit_shares(ranks, k), groups, samples, seed, level)
    return 100.0 * low, 100.0 * high


def mean_interval(
    values: Float64Array, groups: npt.ArrayLike, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """As `bootstrap_interval`, of the mean of any figure of the queries, `values (Q,)`: lower and upper end.

    Raises:
        ValueError: if there is not one group a query.
    """
    means = _resampled_means(values, groups, samples, seed)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def paired_test(
    ranks_a: npt.ArrayLike,
    ranks_b: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    k: int = 1,
    samples: int = PAIRED_SAMPLES,
) -> tuple[float, float]:
    """Paired bootstrap test of the difference in acc@k between two systems on the same queries.

    The null distribution is the distribution of the resampled difference, shifted to mean zero (Efron and Tibshirani
    1993, chapter 16); the smallest p-value is `1 / (samples + 1)`.

    Args:
        ranks_a: ranks of system A, `(Q,)`, or `(R, Q)` of R runs of it, whose mean acc@k is compared.
        ranks_b: ranks of system B for the same queries in the same order; R may differ.
        groups: the photo of each query, `(Q,)`, to draw whole photos; without it, queries are drawn.
        k: the k of acc@k.
        samples: number of bootstrap samples.

    Returns:
        acc@k of A minus acc@k of B in percentage points, and the two-sided p-value.

    Raises:
        ValueError: if there are no ranks, or the lengths differ.
    """
    differences = _hit_differences(ranks_a, ranks_b, k)
    observed = differences.mean()
    shifted = _resampled_means(differences, np.arange(len(differences)) if groups is None else groups, samples)
    shifted -= observed
    # Equal values may differ in the last bit; they must count as equal.
    extreme = np.count_nonzero(np.abs(shifted) >= abs(observed) - 1e-12)
    return 100.0 * float(observed), (extreme + 1) / (samples + 1)


def paired_interval(
    ranks_a: npt.ArrayLike, ranks_b: npt.ArrayLike, groups: npt.ArrayLike, k: int = 1
) -> tuple[float, float]:
    """95 % interval of the difference that `paired_test` tests, by the same draws of whole photos.

    Returns:
        Lower and upper end, percentage points.

    Raises:
        ValueError: as `paired_test`.
    """
    low, high = mean_interval(_hit_differences(ranks_a, ranks_b, k), groups, PAIRED_SAMPLES)
    return 100.0 * low, 100.0 * high


def _hit_differences(ranks_a: npt.ArrayLike, ranks_b: npt.ArrayLike, k: int) -> Float64Array:
    """For each query, share of A's runs that find its photo among the first `k`, minus B's share, `(Q,)`."""
    hits_a, hits_b = _hit_shares(ranks_a, k), _hit_shares(ranks_b, k)
    if len(hits_a) != len(hits_b):
        raise ValueError(f"{len(hits_a)} and {len(hits_b)} ranks cannot be paired")
    return hits_a - hits_b


def _hit_shares(ranks: npt.ArrayLike, k: int) -> Float64Array:
    """For each query, the share of the runs that find its photo among the first `k`, `(Q,)`."""
    shares: Float64Array = np.mean([_as_ranks(run) <= k for run in np.atleast_2d(ranks)], axis=0)
    return shares


def _resampled_means(values: Float64Array, groups: npt.ArrayLike, samples: int, seed: int = 0) -> Float64Array:
    """Means of `values` `(Q,)` over `samples` draws of whole groups with replacement, `(samples,)`."""
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups must be {values.shape}, got {groups.shape}")
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.bincount(group, weights=values)
    # How often each group is drawn: all that a mean needs, and smaller than the draws themselves.
    draws = np.random.default_rng(seed).multinomial(len(sizes), np.full(len(sizes), 1.0 / len(sizes)), size=samples)
    return (draws @ sums) / (draws @ sizes)


def _as_ranks(ranks: npt.ArrayLike) -> IntArray:
    """The ranks as a non-empty array of integers from 1."""
    array = np.asarray(ranks)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer) or array.min() < 1:
        raise ValueError("ranks must be a non-empty list of integers from 1")
    return array.astype(np.int64)


def require_arrays(arrays: Mapping[str, npt.NDArray[Any]], expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raises ValueError for an array that is not of the expected kind, as in `dtype.kind`, and shape."""
    for name, description in expected.items():
        if (arrays[name].dtype.kind, arrays[name].shape) != description:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}")


def _check(ranking: Ranking) -> None:
    """Raises ValueError if the arrays do not belong together."""
    q, g = ranking.query_ids.size, ranking.gallery_ids.size
    nearest = (q, *ranking.top.shape[-1:])
    expected = {"query_ids": ("U", (q,)), "gallery_ids": ("U", (g,)), "target": ("i", (q,)), "ranks": ("i", (q,))}
    require_arrays(ranking._asdict(), expected | {"top": ("i", nearest), "top_distances": ("f", nearest)})
    for name, low, high in (("target", 0, g - 1), ("top", 0, g - 1), ("ranks", 1, g)):
        array = getattr(ranking, name)
        if array.size and (array.min() < low or array.max() > high):
            raise ValueError(f"{name} leaves {low}..{high}")
