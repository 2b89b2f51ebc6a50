"""Strokes to pixels."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch

Ink = Literal["dark", "light"]

_SHIFT = 4  # cv2 takes coordinates in 1/16 pixel
_REFERENCE_SIZE = 256  # the frame in whose pixels the line width is given
_FAR = 2**26  # about four million pixels off the frame; keeps fixed-point coordinates inside int32


def rasterise(
    sketch: VectorSketch, size: int = 224, width: float = 2.0, ink: Ink = "dark", antialias: bool = True
) -> npt.NDArray[np.uint8]:
    """Draws a sketch into a square image.

    The unit frame covers the image: x = 0 is the left edge of the first pixel, x = 1 the right edge of
    the last. What lies outside is cut off. A stroke within one pixel is drawn as a dot.

    Lines are drawn thin and then widened by dilation: cv2's own wide antialiased lines come out a pixel too
    wide, have knots at their joints and take several times as long.

    Deviations: the released renderer draws Bresenham lines, white on black, and dilates them by one
    step, to three pixels; here lines are antialiased, two pixels wide, and dark on white.

    Args:
        sketch: sketch to draw.
        size: side of the image, in pixels.
        width: line width in pixels of a 256-pixel frame, so that the look does not depend on `size`;
            drawn in whole pixels, at least 1.
        ink: "dark" draws black on white, "light" white on black.
        antialias: whether edges are smooth.

    Returns:
        The image, `(size, size)`, 0 to 255.

    Raises:
        InputError: if an argument is out of its range.
    """
    if size < 1:
        raise InputError("size", f"{size} is less than 1", "give a number of pixels")
    if not width > 0:
        raise InputError("width", f"{width} is not positive", "give a line width in pixels")
    if ink not in get_args(Ink):
        raise InputError("ink", f"'{ink}' is unknown", f"use one of {', '.join(get_args(Ink))}")

    thickness = max(1, round(width * size / _REFERENCE_SIZE))
    margin = thickness // 2 + 1  # a line just outside the frame reaches into it
    # cv2 counts pixel centres as whole numbers, so the left edge of the first pixel is -0.5. Widening by
    # an even number of pixels moves the line by half a pixel, which is taken back here.
    origin = margin - (0.5 if thickness % 2 else 1.0)
    fixed = np.rint((sketch.points * size + origin) * 2**_SHIFT).clip(-_FAR, _FAR).astype(np.int32)
    strokes = [fixed[start:end] for start, end in pairwise(sketch.offsets.tolist())]
    low = np.minimum.reduceat(fixed, sketch.offsets[:-1])
    high = np.maximum.reduceat(fixed, sketch.offsets[:-1])
    for i in np.flatnonzero((high - low < 2**_SHIFT).all(axis=1)).tolist():  # cv2 would draw little or nothing
        middle, half = (low[i] + high[i]) // 2, np.array([2 ** (_SHIFT - 1), 0], dtype=np.int32)
        strokes[i] = np.stack([middle - half, middle + half])
    canvas = np.zeros((size + 2 * margin, size + 2 * margin), dtype=np.uint8)
    line = cv2.LINE_AA if antialias else cv2.LINE_8
    cv2.polylines(canvas, strokes, isClosed=False, color=255, thickness=1, lineType=line, shift=_SHIFT)
    if thickness > 1:
        cv2.dilate(canvas, _brush(thickness), dst=canvas)
    image = canvas[margin : margin + size, margin : margin + size]
    return ~image if ink == "dark" else image.copy()


@cache
def _brush(thickness: int) -> npt.NDArray[np.uint8]:
    """The pixels that one pixel of a thin line grows to: a disc, `(thickness, thickness)`."""
    centred = np.arange(thickness) - (thickness - 1) / 2
    distances: npt.NDArray[np.float64] = np.hypot(centred[:, None], centred)
    return (distances <= (thickness - 0.5) / 2).astype(np.uint8)
