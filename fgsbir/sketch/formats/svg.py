"""SVG drawings."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import svgelements

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.sketch.strokes import VectorSketch, require_strokes

Polygon = npt.NDArray[np.float64]  # (2 to 4, 2): the control points of a line or of a Bézier curve

_FLATNESS = 1 / 2048  # largest distance of a flattened curve from the true one, as a part of the drawing's side
_MAX_ELEMENTS = 100_000
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")


def read_svg(path: str | Path) -> VectorSketch:
    """The outlines of an SVG file as strokes, in document order: each sub-path of each shape is one.

    Paths, basic shapes, groups, transforms and `<use>` are read. Left out are text, clipping, elements
    that are not displayed or not visible, and shapes that leave no ink (no outline, and a fill that
    is "none" or white: backgrounds and bounding boxes).

    The unit frame is the viewBox, else width and height; the longer side becomes 1, the shorter one is
    centred. Where the file has neither, the ink is centred by `VectorSketch.normalised`.

    Raises:
        InputError: if the file is malformed, declares entities, expands to too many elements, or has no strokes.
    """
    return parse_svg(read_bytes(path), path)


def parse_svg(content: bytes, where: object) -> VectorSketch:
    """`read_svg` of the content of a file; errors name `where`."""
    root = _parse_xml(content, where)
    frame = _frame(root, where)
    strokes = _strokes(root, where)
    if not strokes:
        raise InputError(where, "the SVG has no strokes", "draw with paths or shapes; text and images are not read")
    if frame is None:
        corners = np.concatenate([polygon for stroke in strokes for polygon in stroke])
        return require_strokes(_flatten(strokes, float(np.ptp(corners, axis=0).max())), where).normalised()
    side = max(frame)
    margin = (side - np.array(frame)) / 2
    return require_strokes(((points + margin) / side for points in _flatten(strokes, side)), where)


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


def _parse_xml(content: bytes, where: object) -> ElementTree.Element:
    """The document as a tree that svgelements reads correctly; refuses what would grow without bound."""

    def refuse(*_: object) -> None:
        raise InputError(where, "the XML declares entities", "save it as plain SVG, without a DOCTYPE")

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
        root = ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(where, f"malformed XML ({error})", "repair it or export it again") from None
    if _tag(root) != "svg":
        raise InputError(where, f"the root element is <{_tag(root)}>, not <svg>", "give an SVG file")

    ids = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
    try:
        if _expanded_size(root, ids, {}) > _MAX_ELEMENTS:
            problem = f"<use> makes a circle or expands to more than {_MAX_ELEMENTS} elements"
            raise InputError(where, problem, "save it as plain SVG")
    except RecursionError:
        raise InputError(where, "elements are nested too deeply", "save it as plain SVG") from None

    for parent in list(root.iter()):
        if _tag(parent) == "path":
            parent.attrib.setdefault("d", "")  # svgelements fails on a path without data
        for i, child in enumerate(parent):
            if _tag(child) in ("symbol", "mask", "marker"):  # svgelements would draw these where they are defined
                parent[i] = ElementTree.Element(f"{_NAMESPACE}defs")
                parent[i].append(child)
    return root


def _tag(element: ElementTree.Element) -> str:
    """The name of an element without the SVG namespace."""
    return element.tag.removeprefix(_NAMESPACE)


def _expanded_size(
    element: ElementTree.Element, ids: dict[str, ElementTree.Element], sizes: dict[ElementTree.Element, float]
) -> float:
    """Number of elements once every `<use>` holds a copy of its target; infinite if one holds itself."""
    if element not in sizes:
        sizes[element] = math.inf  # the answer for an element that is met again inside itself
        size = 1 + sum(_expanded_size(child, ids, sizes) for child in element)
        if _tag(element) == "use":
            href = next((element.attrib[name] for name in _HREFS if name in element.attrib), "")
            if target := ids.get(href.removeprefix("#")):
                size += _expanded_size(target, ids, sizes)
        sizes[element] = size
    return sizes[element]


def _frame(root: ElementTree.Element, where: object) -> tuple[float, float] | None:
    """Width and height of the drawing's own frame, whose corner is then the origin; None if it declares none."""
    if "viewBox" in root.attrib:
        try:
            _, _, width, height = (float(v) for v in re.split(r"[\s,]+", root.attrib["viewBox"].strip()))
        except ValueError:
            width = height = 0.0
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise InputError(where, f"viewBox '{root.attrib['viewBox']}'", "give x, y, width and height, in numbers")
        # The size on the page must not matter, so the viewBox becomes the size: the drawing keeps its units.
        root.attrib.update(width=str(width), height=str(height))
        return width, height
    try:
        sides = [svgelements.Length(root.attrib.get(name, "100%")).value(ppi=96) for name in ("width", "height")]
    except ValueError:
        raise InputError(where, "width or height is no length", "give numbers or remove them") from None
    if all(isinstance(side, float | int) and 0 < side < math.inf for side in sides):
        return sides[0], sides[1]
    return None  # a percentage of a page that is not known


def _strokes(root: ElementTree.Element, where: object) -> list[list[Polygon]]:
    """The control polygons of every stroke, with all transforms applied."""
    try:
        # Shapes keep their transforms (reify=False): svgelements would bend a skewed arc wrongly.
        document = svgelements.SVG.parse(io.BytesIO(ElementTree.tostring(root)), reify=False, on_error="raise")
        return [
            [polygon @ linear.T + shift for polygon in stroke]
            for shape in document.elements()
            if isinstance(shape, svgelements.Shape) and _leaves_ink(shape)
            for linear, shift in [_matrix(shape)]
            for stroke in _sub_paths(shape)
        ]
    except Exception as error:  # svgelements raises whatever a bad attribute leads to
        problem = f"an element cannot be read ({type(error).__name__}: {error})"
        raise InputError(where, problem, "repair it or save it as plain SVG") from None


def _leaves_ink(shape: Any) -> bool:
    """Whether a shape is visible on white paper."""
    if shape.values.get("visibility") in ("hidden", "collapse"):
        return False
    outlined = shape.stroke is not None and shape.stroke.value is not None
    filled = shape.fill is not None and shape.fill.value is not None and shape.fill.rgb != 0xFFFFFF
    return outlined or filled


def _matrix(shape: Any) -> tuple[Polygon, Polygon]:
    """The affine map of a shape: `(2, 2)` linear part and `(2,)` shift."""
    m = shape.transform
    return np.array([[m.a, m.c], [m.b, m.d]]), np.array([m.e, m.f])


def _sub_paths(shape: Any) -> Iterator[list[Polygon]]:
    """The control polygons of each sub-path, in the shape's own coordinates."""
    stroke: list[Polygon] = []
    for segment in svgelements.Path(shape):
        if not isinstance(segment, svgelements.Move) and segment.start is not None and segment.end is not None:
            stroke.extend(_polygons(segment))
        if isinstance(segment, svgelements.Move | svgelements.Close) and stroke:
            yield stroke
            stroke = []
    if stroke:
        yield stroke


def _polygons(segment: Any) -> Iterator[Polygon]:
    """The control polygons of one segment; an arc is made of cubic curves."""
    if isinstance(segment, svgelements.Arc):
        for cubic in segment.as_cubic_curves():
            yield from _polygons(cubic)
    else:
        controls = [getattr(segment, name, None) for name in ("start", "control", "control1", "control2", "end")]
        yield np.array([(p.x, p.y) for p in controls if p is not None], dtype=np.float64)


def _flatten(strokes: list[list[Polygon]], side: float) -> Iterator[Polygon]:
    """Each stroke as points `(n, 2)`; consecutive points that are equal but for rounding are merged."""
    grid = (side or 1) * 2**-24
    for stroke in strokes:
        points = np.concatenate([stroke[0][:1], *(_curve(polygon, _FLATNESS * side) for polygon in stroke)])
        moved = np.any(np.diff(np.rint(points / grid), axis=0), axis=1)
        yield points[np.concatenate([[True], moved])]


def _curve(polygon: Polygon, tolerance: float) -> Polygon:
    """Points on a Bézier curve after its first, as many as keep the chords within `tolerance` of it.

    n chords of a curve of degree d are nowhere farther off than `d (d - 1) / 8 * M / n^2`, where M is
    the largest second difference of the control points.
    """
    degree = len(polygon) - 1
    bend = np.linalg.norm(np.diff(polygon, n=2, axis=0), axis=1).max(initial=0.0)
    chords = np.ceil(np.sqrt(degree * (degree - 1) / 8 * bend / tolerance)) if bend > 0 else 1
    t = np.linspace(0, 1, int(np.clip(chords, 1, 4096)) + 1)[1:, None]
    i = np.arange(degree + 1)
    binomials = np.array([math.comb(degree, k) for k in i])
    return np.asarray((binomials * t**i * (1 - t) ** (degree - i)) @ polygon)
