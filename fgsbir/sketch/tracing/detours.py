"""Fewer strokes for the same ink: strokes become detours of others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgsbir.sketch.tracing.points import Points, length, squared_distances

_GAP = 5.0  # a pixel across the paper, drawn though there is no ink, costs as much as so many pixels of ink drawn again
_COARSE = 4  # points; every fourth one will do to find the nearest stroke

Pairs = list[tuple[int, int]]


def absorbed(strokes: list[Points], max_strokes: int) -> list[Points]:
    """At most `max_strokes` strokes: the others become detours.

    A detour leaves its stroke where the two are nearest, draws the other one there and back, and goes on. It may have
    detours of its own, which are drawn once, on the way there. So no ink is drawn more than twice. What is joined is
    chosen step by step, and costs the ink of the shorter side, which is drawn again, and five times the gap that is
    crossed. So the letters of a word are joined before the word is joined with its frame, and a long line that touches
    another is joined with it before a dot far from all else is.

    Args:
        strokes: `(n, 2)` in pixels, points about a pixel apart.
        max_strokes: largest number of strokes.

    Returns:
        The strokes that are left, in the order of the longest stroke of each.
    """
    if len(strokes) <= max_strokes:
        return strokes
    lengths = np.array([length(stroke) for stroke in strokes])
    order = np.argsort(-lengths, kind="stable")
    strokes, lengths = [strokes[number] for number in order], lengths[order]
    beside: list[list[int]] = [[] for _ in strokes]
    for one, other in _joins(_gaps(strokes), lengths, len(strokes) - max_strokes):
        beside[one].append(other)
        beside[other].append(one)
    parent: dict[int, int] = {}
    for root in range(len(strokes)):  # the longest stroke of each tree is met first
        if root not in parent:
            parent[root] = root
            reached = [root]
            for number in reached:
                for child in beside[number]:
                    if child not in parent:
                        parent[child] = number
                        reached.append(child)
    return _drawn(strokes, parent)


def _gaps(strokes: list[Points]) -> npt.NDArray[np.float64]:
    """How far each stroke is from each other, `(n, n)`, about."""
    coarse = [stroke[:: _COARSE if len(stroke) > 2 * _COARSE else 1] for stroke in strokes]
    starts = np.cumsum([0] + [len(stroke) for stroke in coarse[:-1]])
    every = np.concatenate(coarse)
    rows = [np.minimum.reduceat(squared_distances(every, stroke).min(1), starts) for stroke in coarse]
    return np.asarray(np.sqrt(np.stack(rows).clip(0)))


def _joins(gaps: npt.NDArray[np.float64], ink: npt.NDArray[np.float64], count: int) -> Pairs:
    """Which strokes are joined, the cheapest first. Groups of them have the smallest gap of their members."""
    gaps, ink = gaps.copy(), ink.copy()
    np.fill_diagonal(gaps, np.inf)
    ends = np.indices(gaps.shape)  # of the gap between two groups: the member of the first and of the second
    costs = _GAP * gaps + np.minimum(ink[:, None], ink)
    best = costs.argmin(1)
    pairs = []
    for _ in range(count):
        one = int(costs[np.arange(len(best)), best].argmin())
        other = int(best[one])
        pairs.append((int(ends[0, one, other]), int(ends[1, one, other])))
        nearer = gaps[other] < gaps[one]
        gaps[one, nearer] = gaps[other, nearer]
        ends[:, one, nearer] = ends[:, other, nearer]
        gaps[one, one] = np.inf
        gaps[:, one], ends[:, :, one] = gaps[one], ends[::-1, one]
        gaps[other] = gaps[:, other] = np.inf
        ink[one] += ink[other]
        costs[one] = costs[:, one] = _GAP * gaps[one] + np.minimum(ink[one], ink)
        costs[other] = costs[:, other] = np.inf
        stale = (best == one) | (best == other)  # joined groups are no nearer to the rest than the two were
        stale[one] = True
        best[stale] = costs[stale].argmin(1)
    return pairs


def _drawn(strokes: list[Points], parent: dict[int, int]) -> list[Points]:
    """One line for each tree of strokes; `parent` names each stroke's, a root its own, parents before children."""
    detours: list[dict[int, list[Points]]] = [{} for _ in strokes]  # at the points of each stroke
    lines = {}
    for number in reversed(parent):
        stroke, above = strokes[number], parent[number]
        if above == number:
            lines[number] = _with_detours(stroke, np.arange(len(stroke)), detours[number])
            continue
        distances = squared_distances(strokes[above], stroke)
        leave, enter = (int(i) for i in np.unravel_index(distances.argmin(), distances.shape))
        there_and_back = np.r_[enter : len(stroke), len(stroke) - 2 : -1 : -1, 1 : enter + 1]
        detours[above].setdefault(leave, []).append(_with_detours(stroke, there_and_back, detours[number]))
    return [lines[root] for root in sorted(lines)]


def _with_detours(stroke: Points, path: npt.NDArray[np.int64], detours: dict[int, list[Points]]) -> Points:
    """A path over the points of a stroke, with each detour the first time that the path comes by."""
    parts, start = [], 0
    for at in sorted(int(np.argmax(path == leave)) for leave in detours):
        parts += [stroke[path[start : at + 1]], *detours[int(path[at])]]
        start = at
    return np.concatenate([*parts, stroke[path[start:]]])
