"""Lengths and distances of points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def length(points: Points) -> float:
    """The length of the line through `(n, 2)` points."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def squared_distances(some: Points, others: Points) -> Points:
    """The square of the distance of each of `(n, 2)` points from each of `(m, 2)` others, `(n, m)`."""
    return np.asarray((some**2).sum(1)[:, None] - 2 * some @ others.T + (others**2).sum(1))
