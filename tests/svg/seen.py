"""What a viewer sees of an SVG document, by resvg, and how far strokes differ from it.

The eye is an edge detector: a pixel is an edge where the 3 x 3 pixels around it differ by more than `CONTRAST`. A thin
line is all edge, a filled area has them along its outline; a fill of the whole page has none, for beyond the page
there is nothing to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import resvg_py

from fgsbir.sketch.strokes import VectorSketch
from tests.svg.documents import Document

SIDE = 320  # pixels of the longer side of the page
CONTRAST = 12  # of 255: less is not noticed
TOLERANCE = 0.02  # of the page
_AROUND = 0.1  # of the page, on each side: strokes that lie farther off are near nothing

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def look(document: Document) -> tuple[Image, Mask]:
    """The page as a viewer shows it, `(height, width, 3)` BGR, and its edges, in the middle of a square, `(s, s)`.

    The page is white; it is black where nothing can be seen on white.
    """
    for ground in ("white", "black"):
        page = render(document, ground)
        edges = find_edges(page)
        if edges.any():
            break
    return page, edges


def render(document: Document, ground: str) -> Image:
    """The page on a ground of a colour, `(height, width, 3)` BGR."""
    text, side = document.text, int(document.options.get("pixels", SIDE))
    if "view" in document.options:
        text = text.replace("<svg ", f'<svg viewBox="{document.options["view"]}" ', 1)
    png = resvg_py.svg_to_bytes(
        svg_string=text,
        width=side,
        height=side,  # the page keeps its shape
        dpi=96,
        background=ground,
        languages=["en"],
        skip_system_fonts=True,
    )
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))


def find_edges(page: Image) -> Mask:
    """Where contrast is seen, `(s, s)`: the page in the middle of a square."""
    around = np.ones((3, 3), np.uint8)
    contrast = np.maximum.reduce(cv2.split(cv2.dilate(page, around) - cv2.erode(page, around)))
    height, width = contrast.shape
    side = max(height, width)
    edges = np.zeros((side, side), dtype=bool)
    top, left = (side - height) // 2, (side - width) // 2
    edges[top : top + height, left : left + width] = contrast > CONTRAST
    return edges


def box_of(edges: Mask) -> npt.NDArray[np.float64]:
    """`x1, y1, x2, y2` of all edges, in [0, 1]."""
    rows, columns = np.nonzero(edges)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / len(edges)


@dataclass(frozen=True)
class Difference:
    """How far strokes are from what is seen."""

    box: float  # largest difference of a side of the box, in pages
    missed: float  # share of the edges that no stroke is near
    excess: float  # share of the strokes' length that no edge is near

    def too_large(self, half: float) -> str:
        """What is wrong, with a pen that is `2 * half` wide; nothing if all is right."""
        faults = {
            "box": self.box > TOLERANCE + half,
            "missed": self.missed > 0.02,
            "excess": self.excess > 0.02,
        }
        return ", ".join(f"{name} {getattr(self, name):.3f}" for name, wrong in faults.items() if wrong)


def compare(sketch: VectorSketch, edges: Mask, half: float) -> Difference:
    """Compares strokes with the edges of a page, to within 2 % of the page and half a pen."""
    side = len(edges)
    margin = int(_AROUND * side)
    reach = (TOLERANCE + half) * side
    inked = np.zeros((side + 2 * margin,) * 2, dtype=bool)
    seen = np.pad(edges, margin)

    # Points every half pixel or so along the strokes; each stands for the same length, a dot for one point.
    pixels = np.concatenate([_walk(stroke.astype(np.float64), 0.5 / side) for stroke in sketch.strokes]) * side
    column, row = np.floor(pixels.T).astype(int) + margin
    near_page = (column >= 0) & (column < len(inked)) & (row >= 0) & (row < len(inked))
    column, row = column[near_page], row[near_page]
    inked[row, column] = True

    right = np.count_nonzero(_distance_to(seen)[row, column] <= reach)
    missed = np.mean(_distance_to(inked)[seen] > reach)
    box = np.abs(box_of(edges) - sketch.bounds).max()
    return Difference(float(box), float(missed), 1 - right / len(pixels))


def _distance_to(mask: Mask) -> npt.NDArray[np.float32]:
    """Distance of each pixel to the nearest one of a mask, in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def _walk(stroke: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    """Points at equal distances along a stroke."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(stroke, axis=0), axis=1))])
    at = np.linspace(0, length[-1], min(int(length[-1] / step), 100_000) + 1)
    return np.stack([np.interp(at, length, stroke[:, k]) for k in range(2)], axis=1)
