"""Pixels to strokes: a drawing on paper becomes a `VectorSketch`."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.tracing.detours import absorbed
from fgsbir.sketch.tracing.fills import hollowed
from fgsbir.sketch.tracing.ink import find_ink, without_specks
from fgsbir.sketch.tracing.points import Points
from fgsbir.sketch.tracing.skeleton import Skeleton

ALGORITHM = 2  # version of the tracing, part of the key of cached strokes; raised whenever strokes may change
SMALLEST = 16  # pixels; a smaller image holds no drawing
_MOST = 1000  # lines; what has more is no line drawing
_MOST_EDGES = 5000  # parts of lines between their crossings


def vectorise(
    raster: npt.NDArray[np.uint8],
    max_strokes: int = 16,
    threshold: float | None = None,
    speck: float = 0.006,
    tolerance: float = 0.001,
    where: object = "raster",
) -> VectorSketch:
    """Recovers the strokes of a drawing.

    Ink is told from paper, shadows, tables and ruled lines (`find_ink`), and filled areas become outlines (`hollowed`).
    The ink is thinned to lines of one pixel. Their free ends and junctions are nodes and the lines between them edges.
    Spurs that thinning leaves are cut off, junctions that it tears apart (a sharp crossing becomes two forks) are put
    together, and at each junction the straightest pairs of edges become one stroke: a cross gives two strokes, a T two,
    a circle one that is closed. A dot is a stroke of one point.

    How a drawing was made cannot be seen, so strokes come by ink length, longest first. A prefix by ink, which is what
    the coarse levels of detail keep, then holds the outline and loses the details. The same image always gives the
    same strokes.

    Where there are more than `max_strokes`, some become detours of their nearest (`absorbed`): the pen leaves a line,
    draws the other one there and back, and goes on. A `Rendering` of smaller capacity joins strokes of similar length
    instead, wherever they are, by lines across the image.

    Args:
        raster: `(H, W)`, `(H, W, 3)` or `(H, W, 4)`. Transparency is laid on white; if the ink has one colour, or only
            alpha shows it, alpha is the ink. Ink may be dark on light paper or light on dark.
        max_strokes: largest number of strokes.
        threshold: grey levels from paper to ink; Otsu's threshold if not given, and ruled lines are left out then.
        speck: size of dirt, in frame units; smaller marks, in both directions, are dropped.
        tolerance: largest distance of a simplified stroke from its line, in frame units.
        where: name of the source in errors, e.g. the file.

    Returns:
        The strokes in the frame of the image: its longer side is 1, the shorter one is centred.

    Raises:
        InputError: if the image is too small, blank, no line drawing, or of another shape or type, or `max_strokes` is
            less than 1.
    """
    if raster.dtype != np.uint8 or raster.ndim not in (2, 3) or raster.shape[2:] not in ((), (3,), (4,)):
        problem = f"it is {raster.dtype} {raster.shape}"
        raise InputError(where, problem, "give a grey, RGB or RGBA image of 8 bits a channel")
    if max_strokes < 1:
        raise InputError("max_strokes", f"{max_strokes} is out of range", "use 1 or more")
    height, width = raster.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(where, f"it has {width} x {height} pixels", f"give a drawing of {SMALLEST} pixels or more")
    ink = find_ink(raster, threshold)
    side = max(ink.shape)
    ink = without_specks(ink, speck * side)
    if not ink.any():
        raise InputError(where, "no line stands out from the paper", "give dark lines on light paper, or the reverse")
    x, y, across, down = cv2.boundingRect(ink)
    corner = (side - np.array(ink.shape[::-1])) / 2 + (x, y)
    ink = ink[y : y + down, x : x + across]
    skeleton = Skeleton(hollowed(ink))
    _require_drawing(len(skeleton.edges), _MOST_EDGES, where)
    lines = skeleton.strokes()
    _require_drawing(len(lines), _MOST, where)
    lines = absorbed([_smooth(line) for line in lines], max_strokes)
    strokes = [(line + 0.5 + corner) / side for line in lines]
    sketch = VectorSketch.from_strokes(strokes).simplified(tolerance)
    return sketch.select(np.argsort(-sketch.ink, kind="stable"))


def _require_drawing(count: int, most: int, where: object) -> None:
    if count > most:
        raise InputError(where, f"it has {count} lines, as a photo or dirty paper has", "give a line drawing")


def _smooth(stroke: Points) -> Points:
    """Takes the steps of pixels out of a line. The ends stay; a ring stays closed."""
    ring = len(stroke) > 3 and np.array_equal(stroke[0], stroke[-1])
    for _ in range(2):
        if ring:
            around = np.concatenate([stroke[-2:-1], stroke, stroke[1:2]])
        else:
            around = np.concatenate([2 * stroke[:1] - stroke[1:2], stroke, 2 * stroke[-1:] - stroke[-2:-1]])
        if len(stroke) > 2:
            stroke = (around[:-2] + 2 * around[1:-1] + around[2:]) / 4
    return stroke
