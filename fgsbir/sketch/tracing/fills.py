"""Filled areas become their outlines."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_WIDEST_PEN = 10.0  # pixels, half the width of the widest marker
_WIDEST_RIM = 4.0  # pixels; half of the widest pen that decides how deep an outline lies


def hollowed(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The ink with its filled areas emptied, so that thinning leaves their outlines and not a star along their middle.

    An area is filled where a disc fits in that is more than twice as wide as the pen. Half the pen's width is the
    median distance from the middle of the ink to its edge, or the area by the length of the edge, whichever is less,
    and at most ten pixels. So a thick marker of even width keeps its middle line, a black wheel gives its outline, and
    a dot of less than a dozen pixels remains a dot.

    Args:
        ink: `(h, w)` 0 or 1, at working size.
    """
    padded = np.pad(ink, 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    middle = depth[(depth > 0) & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)))]
    edges = cv2.findContours(padded, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    around = sum(cv2.arcLength(edge, True) for edge in edges)
    half_pen = min(float(np.median(middle)), float(ink.sum()) / max(around, 1.0), _WIDEST_PEN)
    rim = min(half_pen, _WIDEST_RIM) + 1.5
    deep = max(2.3 * half_pen, rim + 2.5)  # where two lines run into one, the ink is twice as deep as they are
    core = depth > deep
    if not core.any():
        return ink
    to_core = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(to_core < deep - rim, np.uint8(0), padded)[1:-1, 1:-1]
