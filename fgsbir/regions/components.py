"""Regions of a raster drawing: connected components, with neighbours merged."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.sketch.strokes import FloatArray

_FRAME = 2560  # pixels of the longer side of the frame in which the authors' limits are read
_Floats = npt.NDArray[np.float64]


class Components(NamedTuple):
    """The regions of a raster, largest box first.

    Attributes:
        labels: `(H, W)` int32, the region of each pixel; -1 for paper and specks.
        boxes: `(R, 4)` as `(x1, y1, x2, y2)` in [0, 1] of the raster.
    """

    labels: npt.NDArray[np.int32]
    boxes: FloatArray


def components(
    raster: npt.NDArray[np.uint8],
    max_regions: int | None = None,
    threshold: int = 150,
    min_side: float = 1 / 90,
    max_area: float = 7000 / _FRAME**2,
    gap: float = 30 / _FRAME,
    alignment: float = 70 / _FRAME,
    size_difference: float = 40 / _FRAME,
) -> Components:
    """Finds the 8-connected components of the ink and merges close ones, letters into words for example.

    Two boxes are close if both are small (`max_area`), their gap along x and along y is below `gap`, and they are in
    line: along one axis their centres differ by less than `alignment` and their sizes by less than `size_difference`.
    The close pair with the smallest gap is replaced by its common box until no pair is close; of equal gaps the pair
    that comes first in reading order.

    All lengths are shares of the raster's longer side, areas of its square.

    Deviations: the limits come from the authors' `util_bbox.py`, in pixels of a frame that they do not name; we read
    them in the 1440 x 2560 pixels of a view hierarchy. Their loop leaves out the last component and merges in
    the order in which it meets the pairs. They append a box of the whole image; here that is
    `Rendering.whole_sketch_node`.

    Args:
        raster: `(H, W)`, bright strokes on a dark ground.
        max_regions: largest number of regions; while more are left, the smallest is merged with its nearest, however
            far.
        threshold: brighter pixels are ink.
        min_side: specks, whose boxes have a smaller area than a square of this side, are dropped.
        max_area: largest area of a box that is merged.
        gap: largest gap.
        alignment: largest distance of centres.
        size_difference: largest difference in width or height.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((raster > threshold).astype(np.uint8), connectivity=8)
    x, y, width, height = np.asarray(stats[:, :4], dtype=np.float64).T
    side = max(raster.shape)
    boxes = np.stack([x, y, x + width, y + height], axis=1) / side
    kept = np.arange(1, count)[_areas(boxes[1:]) >= min_side**2]  # component 0 is the paper
    kept = kept[np.lexsort((x[kept], y[kept]))]

    region = np.full(count, -1)
    region[kept] = np.arange(len(kept))
    boxes = boxes[kept]
    limits = max_area, gap, alignment, size_difference
    gaps = _close_gaps(boxes, boxes, *limits)
    np.fill_diagonal(gaps, np.inf)
    left = np.ones(len(boxes), dtype=bool)
    while True:
        first, second = (int(n) for n in np.unravel_index(gaps.argmin(), gaps.shape)) if len(boxes) else (0, 0)
        if not len(boxes) or np.isinf(gaps[first, second]):
            if max_regions is None or left.sum() <= max_regions:
                break
            first, second = sorted(_smallest(boxes, left))
        boxes[first] = _hull(boxes[first], boxes[second])
        left[second] = False
        region[region == second] = first
        gaps[first] = np.where(left, _close_gaps(boxes[[first]], boxes, *limits)[0], np.inf)
        gaps[first, first] = np.inf
        gaps[:, first] = gaps[first]
        gaps[second] = gaps[:, second] = np.inf

    region = np.append(np.cumsum(left) - 1, -1)[region]
    boxes = boxes[left]
    order = np.argsort(-_areas(boxes), kind="stable")
    rank = np.append(np.argsort(order), -1)  # region -1 stays -1
    frame = np.array([raster.shape[1], raster.shape[0]] * 2) / side
    return Components(rank[region][labels].astype(np.int32), (boxes[order] / frame).astype(np.float32))


def _areas(boxes: _Floats) -> _Floats:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides.prod(1))


def _hull(a: _Floats, b: _Floats) -> _Floats:
    return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])


def _gaps(some: _Floats, others: _Floats) -> _Floats:
    """Free space between boxes, the larger of that along x and along y, `(S, R)`; 0 where they meet."""
    some, others = some[:, None], others[None]
    between = np.maximum(some[..., :2], others[..., :2]) - np.minimum(some[..., 2:], others[..., 2:])
    return np.asarray(between.max(-1).clip(0))


def _close_gaps(
    some: _Floats, others: _Floats, max_area: float, gap: float, alignment: float, size_difference: float
) -> _Floats:
    """The gaps of pairs that are close, `(S, R)`; infinite where they are not."""
    (centres, sizes), (other_centres, other_sizes) = (
        ((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]) for boxes in (some, others)
    )
    shift = np.abs(centres[:, None] - other_centres)
    change = np.abs(sizes[:, None] - other_sizes)
    in_line = ((shift < alignment) & (change < size_difference)).any(-1)
    small = (_areas(some) <= max_area)[:, None] & (_areas(others) <= max_area)
    gaps = _gaps(some, others)
    return np.where(in_line & (gaps < gap) & small, gaps, np.inf)


def _smallest(boxes: _Floats, left: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The smallest of the boxes that are left, and its nearest."""
    smallest = int(np.where(left, _areas(boxes), np.inf).argmin())
    gaps = np.where(left, _gaps(boxes[[smallest]], boxes)[0], np.inf)
    gaps[smallest] = np.inf
    return smallest, int(gaps.argmin())
