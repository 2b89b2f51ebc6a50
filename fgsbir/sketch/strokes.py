"""`VectorSketch`: a drawing as an ordered list of strokes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VectorSketch:
    """Strokes in drawing order, in the unit frame of their image: x right, y down, both in [0, 1].

    Everything about a sketch (its raster, its stroke boxes, its sequence of pen moves) is derived from
    this. Points may leave the unit frame after an augmentation; a rasteriser clips them.

    Args:
        points: all points of all strokes, `(N, 2)`, float32.
        offsets: `(S + 1,)`; stroke `i` is `points[offsets[i]:offsets[i + 1]]` and is never empty.

    Raises:
        ValueError: if the arrays do not fit this description or a coordinate is not finite.
    """

    points: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        points = np.array(self.points, dtype=np.float32, order="C")  # copies: the caller's arrays stay writeable
        offsets = np.array(self.offsets, dtype=np.int64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points must be (N, 2), got {points.shape}")
        if offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(points):
            raise ValueError("offsets must run from 0 to the number of points")
        if (np.diff(offsets) < 1).any():
            raise ValueError("a stroke has no points")
        if not np.isfinite(points).all():
            raise ValueError("a coordinate is not finite")
        points.flags.writeable = False
        offsets.flags.writeable = False
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_strokes(cls, strokes: Iterable[npt.ArrayLike]) -> VectorSketch:
        """Builds a sketch from one `(n, 2)` array a stroke; empty strokes are dropped.

        Raises:
            ValueError: if no stroke is left, or one has another shape.
        """
        arrays = [np.asarray(s, dtype=np.float32) for s in strokes]
        arrays = [a for a in arrays if a.size]
        if not arrays:
            raise ValueError("the sketch has no strokes")
        for a in arrays:
            if a.ndim != 2 or a.shape[1] != 2:
                raise ValueError(f"a stroke must be (n, 2), got {a.shape}")
        return cls(np.concatenate(arrays), np.cumsum([0] + [len(a) for a in arrays]))

    def __len__(self) -> int:
        """Number of strokes, S."""
        return len(self.offsets) - 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, VectorSketch)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.points, other.points)
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (VectorSketch, (np.array(self.points), np.array(self.offsets)))

    @cached_property
    def strokes(self) -> list[FloatArray]:
        """One read-only `(n, 2)` view a stroke, in drawing order."""
        return np.split(self.points, self.offsets[1:-1])

    @cached_property
    def ink(self) -> FloatArray:
        """Length of each stroke, `(S,)`, in units of the frame's side. A dot has length 0."""
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))[:-1]
        return np.bincount(owner, self._steps, minlength=len(self)).astype(np.float32)

    @property
    def _steps(self) -> FloatArray:
        """Ink from each point to the next, `(N - 1,)`: 0 from the end of a stroke to the start of the next one."""
        steps: FloatArray = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        steps[self.offsets[1:-1] - 1] = 0
        return steps

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Ink bounding box `(x1, y1, x2, y2)`."""
        (x1, y1), (x2, y2) = self.points.min(0), self.points.max(0)
        return float(x1), float(y1), float(x2), float(y2)

    def boxes(self, min_side: float = 0.03) -> FloatArray:
        """Axis-aligned box of each stroke, `(S, 4)` as `(x1, y1, x2, y2)`, clipped to the unit frame.

        Args:
            min_side: A box thinner than this (a dot, a straight horizontal line) is widened about its
                centre to this side, in frame units, so that it has an area to pool over. ChairV2
                has hundreds of such strokes.
        """
        low = np.minimum.reduceat(self.points, self.offsets[:-1])
        high = np.maximum.reduceat(self.points, self.offsets[:-1])
        low, high = low.clip(0, 1), high.clip(0, 1)
        half = np.maximum(high - low, min_side) / 2
        centre = ((low + high) / 2).clip(half.clip(max=0.5), 1 - half.clip(max=0.5))
        return np.concatenate([centre - half, centre + half], axis=1).clip(0, 1).astype(np.float32)

    def select(self, indices: Sequence[int] | IntArray) -> VectorSketch:
        """The strokes at `indices`, in the given order."""
        return VectorSketch.from_strokes([self.strokes[int(i)] for i in indices])

    def drawn(self, share: float) -> VectorSketch:
        """The drawing at the moment when a share of its ink is on the paper, where it was drawn at an even pace.

        The stroke that is being drawn then ends inside, at the exact length. A dot has no ink and takes no time: it is
        there once the ink before it is exceeded. A drawing of dots alone is there from the start.

        Args:
            share: share of the total ink, in (0, 1]; 1 gives the drawing itself.

        Raises:
            ValueError: if the share is out of range.
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share must be in (0, 1], got {share}")
        steps = self._steps
        reached = np.concatenate([[0.0], np.cumsum(steps, dtype=np.float64)])  # ink at each point
        length = share * reached[-1]
        if share == 1 or not length:
            return self
        end = int(np.searchsorted(reached, length))  # the first point that is not passed
        way = (length - reached[end - 1]) / steps[end - 1]
        last = (1 - way) * self.points[end - 1] + way * self.points[end]
        return VectorSketch(np.vstack([self.points[:end], last]), np.append(self.offsets[self.offsets < end], end + 1))

    def transform(self, matrix: npt.ArrayLike) -> VectorSketch:
        """Applies an affine `(2, 3)` matrix to every point: `p' = M[:, :2] p + M[:, 2]`."""
        m = np.asarray(matrix, dtype=np.float32)
        return VectorSketch(self.points @ m[:, :2].T + m[:, 2], self.offsets)

    def crop(self, box: tuple[float, float, float, float]) -> VectorSketch:
        """Makes `box` the new unit frame. Nothing is cut: points may then lie outside [0, 1].

        Raises:
            ValueError: if the box has no area.
        """
        x1, y1, x2, y2 = box
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"the crop {box} has no area")
        sx, sy = 1 / (x2 - x1), 1 / (y2 - y1)
        return self.transform([[sx, 0, -x1 * sx], [0, sy, -y1 * sy]])

    def normalised(self, margin: float = 0.1) -> VectorSketch:
        """Centres the ink in the unit frame and scales it, keeping its aspect ratio.

        Args:
            margin: free space on each side of the longer extent, in frame units, in [0, 0.5). The
                default is close to the published ChairV2 files, whose ink spans 33 to 223 of 256.
        """
        if not 0 <= margin < 0.5:
            raise ValueError(f"margin must be in [0, 0.5), got {margin}")
        x1, y1, x2, y2 = self.bounds
        extent = max(x2 - x1, y2 - y1)
        scale = (1 - 2 * margin) / extent if extent > np.finfo(np.float32).tiny else 1.0
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        return self.transform([[scale, 0, 0.5 - scale * cx], [0, scale, 0.5 - scale * cy]])

    def simplified(self, tolerance: float) -> VectorSketch:
        """Removes points that lie within `tolerance` (frame units) of the line kept (Ramer-Douglas-Peucker)."""
        from simplification.cutil import simplify_coords

        if tolerance < 0:
            raise ValueError(f"tolerance must not be negative, got {tolerance}")
        return VectorSketch.from_strokes(
            simplify_coords(s.astype(np.float64), tolerance) if len(s) > 2 else s for s in self.strokes
        )

    def thinned(self, max_points: int) -> VectorSketch:
        """At most `max_points` points: simplified with about the least tolerance that does it, if there are more.

        Each stroke keeps its first and its last point. A drawing with too many strokes for that is `grouped` first;
        nothing is ever cut off.

        Raises:
            ValueError: if `max_points` is less than 2.
        """
        if max_points < 2:
            raise ValueError(f"max_points must be at least 2, got {max_points}")
        if len(self.points) <= max_points:
            return self
        fewer = self.grouped(max_points // 2)
        x1, y1, x2, y2 = fewer.bounds
        too_fine, coarse = 0.0, x2 - x1 + y2 - y1 + 0.01  # beyond any distance: only the ends are left
        thin = fewer.simplified(coarse)
        for _ in range(14):
            middle = (too_fine + coarse) / 2
            attempt = fewer.simplified(middle)
            if len(attempt.points) > max_points:
                too_fine = middle
            else:
                coarse, thin = middle, attempt
        return thin

    def grouped(self, max_strokes: int) -> VectorSketch:
        """At most `max_strokes` strokes: the consecutive two with the least joint ink are joined, repeatedly.

        The graph of a system has a fixed capacity for nodes; a drawing of many short strokes (hatching)
        keeps all its ink this way, where cutting it off would lose its end. The joining segment counts
        as ink afterwards, as it would if the pen had not been lifted.

        Raises:
            ValueError: if `max_strokes` is less than 1.
        """
        if max_strokes < 1:
            raise ValueError(f"max_strokes must be at least 1, got {max_strokes}")
        strokes, ink = list(self.strokes), [float(v) for v in self.ink]
        while len(strokes) > max_strokes:
            i = int(np.argmin(np.add(ink[:-1], ink[1:])))
            gap = float(np.linalg.norm(strokes[i + 1][0] - strokes[i][-1]))
            strokes[i : i + 2] = [np.concatenate(strokes[i : i + 2])]
            ink[i : i + 2] = [ink[i] + gap + ink[i + 1]]
        return VectorSketch.from_strokes(strokes)


def require_strokes(strokes: Iterable[npt.ArrayLike], where: object) -> VectorSketch:
    """`VectorSketch.from_strokes` for a reader: the same checks, answered with an `InputError` that names `where`."""
    try:
        return VectorSketch.from_strokes(strokes)
    except ValueError as error:
        raise InputError(where, str(error), "check that the file holds a drawing") from None


def require_ink(points: npt.NDArray[np.float64], offsets: npt.ArrayLike, where: object) -> VectorSketch:
    """A sketch from a file without a frame, its ink centred as by `VectorSketch.normalised`.

    The ink is brought to the unit frame in float64: float32 cannot hold coordinates of 1e39, nor tell apart the points
    of a small drawing that is far from the origin.

    Args:
        points: all points of all strokes, `(N, 2)`, in any unit.
        offsets: `(S + 1,)`, where strokes start and end; see `VectorSketch`.
        where: name of the source in errors.

    Raises:
        InputError: if there are no points, or their extent is not finite.
    """
    if not len(points):
        raise InputError(where, "the sketch has no strokes", "check that the file holds a drawing")
    with np.errstate(over="ignore", invalid="ignore"):
        low = points.min(0)
        extent = float((points.max(0) - low).max())
    if not np.isfinite(extent):
        raise InputError(where, "a coordinate is not finite", "replace or remove the sketch")
    return VectorSketch((points - low) / (extent or 1.0), np.asarray(offsets)).normalised()
