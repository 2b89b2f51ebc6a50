"""All ink of a drawn shape as one line, as if the pen were never lifted."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from simplification.cutil import simplify_coords

from fgsbir.sketch.tracing.points import squared_distances

Pixel = tuple[int, int]
_CHUNK = 512  # pixels whose distances from others are held at a time


def walk(mask: npt.NDArray[np.bool_], tolerance: float = 0.75) -> npt.NDArray[np.float64]:
    """Thins a shape and walks along all its lines.

    Where lines branch, the pen follows one to its end and comes back along it. Separate parts are joined by the
    shortest straight lines. So drawing the result gives the thinned shape and those joints, and is up to twice as long
    as the lines.

    Args:
        mask: `(H, W)`, True on the shape; at least one pixel.
        tolerance: the largest distance of a simplified line from the walk, in pixels.

    Returns:
        The line, `(n, 2)` as x, y in pixels; the middle of the first pixel is (0.5, 0.5).
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    part = np.where(mask[y : y + height, x : x + width], np.uint8(255), np.uint8(0))
    # OpenCV does not thin what touches the border; its other method loses squares of two pixels.
    thin = cv2.ximgproc.thinning(np.pad(part, 1), thinningType=cv2.ximgproc.THINNING_GUOHALL)[1:-1, 1:-1]
    steps = _steps(_joined(thin))
    line = np.array(steps, dtype=np.float64)[:, ::-1] + (x + 0.5, y + 0.5)
    return np.asarray(simplify_coords(line, tolerance) if len(line) > 2 else line)


def _joined(thin: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The parts and the shortest straight lines that join them, each part with its nearest before."""
    labels = cv2.connectedComponents(thin, connectivity=8)[1]
    left = np.argwhere(labels).astype(np.float64)  # rows and columns of the pixels of parts that are not joined
    part = labels[labels > 0]
    gap, nearest, new = np.full(len(left), np.inf), np.zeros_like(left), 1
    joined = thin.copy()
    while True:
        here = part == new
        done, left, part, gap, nearest = left[here], left[~here], part[~here], gap[~here], nearest[~here]
        if not len(left):
            return joined
        for start in range(0, len(left), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            apart = squared_distances(left[chunk], done)
            closest = apart.argmin(1)
            apart = np.take_along_axis(apart, closest[:, None], axis=1)[:, 0]
            nearer = apart < gap[chunk]
            gap[chunk][nearer], nearest[chunk][nearer] = apart[nearer], done[closest[nearer]]
        to = int(gap.argmin())
        cv2.line(joined, nearest[to, ::-1].astype(int).tolist(), left[to, ::-1].astype(int).tolist(), 255)
        new = part[to]


def _steps(thin: npt.NDArray[np.uint8]) -> list[Pixel]:
    """Every pixel of a connected shape as (row, column), in the order of a depth-first walk, ways back included."""
    left: set[Pixel] = {(int(y), int(x)) for y, x in np.argwhere(thin)}
    start = next((p for p in sorted(left) if len(_neighbours(p, left)) == 1), min(left))
    way = [start]
    steps = [start]
    left.remove(start)
    while left:
        if following := _neighbours(way[-1], left):
            way.append(following[0])
            left.remove(following[0])
        else:
            way.pop()
        steps.append(way[-1])
    return steps


def _neighbours(pixel: Pixel, left: set[Pixel]) -> list[Pixel]:
    """The pixels of `left` that touch this one, those with a common side first."""
    y, x = pixel
    straight = ((y, x + 1), (y + 1, x), (y, x - 1), (y - 1, x))
    diagonal = ((y + 1, x + 1), (y + 1, x - 1), (y - 1, x - 1), (y - 1, x + 1))
    return [p for p in (*straight, *diagonal) if p in left]
