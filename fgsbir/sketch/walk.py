"""All ink of a drawn shape as one line, as if the pen were never lifted."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from simplification.cutil import simplify_coords

Pixel = tuple[int, int]


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
    done, joined = labels == 1, thin.copy()
    while (left := (labels > 0) & ~done).any():
        distances = cv2.distanceTransform(np.uint8(255) * ~done, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        to = np.unravel_index(np.where(left, distances, np.inf).argmin(), left.shape)
        ends = np.argwhere(done)
        start = ends[((ends - to) ** 2).sum(1).argmin()]
        cv2.line(joined, start[::-1].tolist(), [int(to[1]), int(to[0])], 255)
        done |= labels == labels[to]
    return joined


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
