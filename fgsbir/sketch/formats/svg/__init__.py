"""SVG drawings."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.sketch.formats.svg import engine, source
from fgsbir.sketch.formats.svg.shapes import Points, frame_by_ink, page_of, shapes_of
from fgsbir.sketch.formats.svg.visible import seen
from fgsbir.sketch.strokes import VectorSketch, require_strokes


def read_svg(path: str | Path) -> VectorSketch:
    """The outlines that a viewer sees in an SVG file, in document order: each sub-path of each shape is a stroke.

    usvg resolves styles, references, transforms, nested viewports and markers. What resvg then draws says which parts
    can be seen: those that differ from what lies beside them, on the page. So whatever is clipped, masked, transparent,
    covered, off the page or of the colour of its ground is no ink. A fill over the whole page behind the ink is paper,
    whatever its colour. A transparent page is white paper; if nothing is seen on white, it is black.

    Dashes with short gaps are read as whole lines. Text, images and filters are left out.

    The unit frame is the page: the viewport, into which the viewBox is fitted. Its longer side becomes 1, the shorter
    one is centred. Where the file declares no page, the ink is centred by `VectorSketch.normalised`.

    Raises:
        InputError: if the file is malformed, asks for too much time or memory, or has no strokes that can be seen.
    """
    return parse_svg(read_bytes(path), path)


def parse_svg(content: bytes, where: object) -> VectorSketch:
    """`read_svg` of the content of a file, which may be compressed (`.svgz`); errors name `where`."""
    root = source.parse(content, where)
    framed = source.prepare(root)
    try:
        tree = ElementTree.fromstring(engine.simplify(ElementTree.tostring(root)))
        if not framed:
            frame_by_ink(tree)
        page = page_of(tree)
        strokes = seen(tree, shapes_of(tree, page), page.width, page.height, source.background(root))
    except (engine.Refused, ElementTree.ParseError) as error:
        raise InputError(where, f"the SVG cannot be read ({error})", "save it as plain SVG") from None
    except RecursionError:
        raise InputError(where, "elements are nested too deeply", "save it as plain SVG") from None
    if not strokes:
        raise InputError(where, "the SVG has no strokes", "draw what can be seen; text and images are not read")
    side = max(page.width, page.height)
    margin = (side - np.array([page.width, page.height])) / 2
    sketch = require_strokes(((_distinct(stroke, side) + margin) / side for stroke in strokes), where)
    return sketch if framed else sketch.normalised()


def write_svg(sketch: VectorSketch, path: str | Path, size: int = 256, width: float = 2) -> None:
    """Writes a sketch as an SVG file, one polyline a stroke; `read_svg` gives it back.

    Args:
        sketch: sketch to write.
        path: file to write.
        size: side of the image, in pixels.
        width: line width, in pixels.

    Raises:
        InputError: if the file cannot be written.
    """
    lines = []
    for stroke in sketch.strokes:
        lines.append(f'<polyline points="{svg_points(stroke.astype(np.float64), size, ".7g")}"/>')
    document = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {size} {size}">\n'
        f'<g fill="none" stroke="black" stroke-width="{width:g}" stroke-linecap="round" stroke-linejoin="round">\n'
        + "\n".join(lines)
        + "\n</g>\n</svg>\n"
    )
    with atomic_write(Path(path), "w") as file:
        file.write(document)


def svg_points(stroke: npt.ArrayLike, size: float, form: str = ".1f") -> str:
    """The points of a polyline, a stroke in the unit frame scaled to a side of `size`."""
    points = [f"{size * x:{form}},{size * y:{form}}" for x, y in np.asarray(stroke)]
    return " ".join(points if len(points) > 1 else 2 * points)  # a dot needs two points to be drawn


def _distinct(stroke: Points, side: float) -> Points:
    """The stroke with consecutive points merged that are equal but for rounding."""
    moved = np.any(np.diff(np.rint(stroke / (side * 2**-24)), axis=0), axis=1)
    return np.asarray(stroke[np.concatenate([[True], moved])])
