"""SVG drawings."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.sketch.formats import resvg
from fgsbir.sketch.formats.svg_seen import Points, Shape, seen
from fgsbir.sketch.strokes import VectorSketch, require_strokes

Matrix = npt.NDArray[np.float64]  # (2, 3), as of `VectorSketch.transform`

_FLATNESS = 1 / 2048  # largest distance of a flattened curve from the true one, as a part of the page's side
_MOST_BYTES = 32 * 2**20  # of a document; drawings have thousands
_IDENTITY = np.eye(2, 3)
_NUMBER = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_LENGTH = re.compile(r"\+?(?=.*[1-9])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:px|pt|pc|mm|cm|in|em|ex)?")
_RGB = re.compile(r"(rgba?)\(([\d.\s,%/+-]+)\)")
_NAMESPACE = "{http://www.w3.org/2000/svg}"


class Page(NamedTuple):
    """The viewport of a document: its size and the map from its viewBox, `(2, 3)`."""

    width: float
    height: float
    matrix: Matrix

    @property
    def tolerance(self) -> float:
        """Largest distance of a flattened curve from the true one, in page units."""
        return _FLATNESS * max(self.width, self.height)


def read_svg(path: str | Path) -> VectorSketch:
    """The outlines that a viewer sees in an SVG file, in document order: each sub-path of each shape is a stroke.

    usvg resolves styles, references, transforms, nested viewports and markers; what resvg then draws says which parts
    can be seen: those that differ from what lies beside them, on the page. So whatever is clipped, masked, transparent,
    covered, off the page or of the colour of its ground is no ink. A fill over the whole page behind the ink is paper,
    whatever its colour. On a transparent page, paper is white; if nothing is seen on white, it is black.

    Dashes are read as whole lines. Text, images and filters are left out.

    The unit frame is the page: the viewport, into which the viewBox is fitted. Its longer side becomes 1, the shorter
    one is centred. Where the file declares no page, the ink is centred by `VectorSketch.normalised`.

    Raises:
        InputError: if the file is malformed, asks for too much time or memory, or has no strokes that can be seen.
    """
    return parse_svg(read_bytes(path), path)


def parse_svg(content: bytes, where: object) -> VectorSketch:
    """`read_svg` of the content of a file, which may be compressed (`.svgz`); errors name `where`."""
    root = _parsed(_unpacked(content, where), where)
    framed = _has_frame(root, where)
    _prepare(root)
    try:
        tree = ElementTree.fromstring(resvg.simplify(ElementTree.tostring(root)))
        if not framed:
            _frame_by_ink(tree, where)
        page = _page(tree)
        strokes = seen(tree, list(_shapes(tree, page.matrix, page.tolerance)), page.width, page.height)
    except resvg.Refused as error:
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


def _unpacked(content: bytes, where: object) -> bytes:
    """The document of a compressed file; another one as it is."""
    if content.startswith(b"\x1f\x8b"):
        try:
            unpacking = zlib.decompressobj(wbits=31)
            content = unpacking.decompress(content, _MOST_BYTES + 1)
            if not unpacking.eof and len(content) <= _MOST_BYTES:
                raise zlib.error("it is cut off")
        except zlib.error as error:
            raise InputError(where, f"the compressed SVG is damaged ({error})", "export it again") from None
    if len(content) > _MOST_BYTES:
        problem = f"the document has more than {_MOST_BYTES / 2**20:.0f} MB"
        raise InputError(where, problem, "remove embedded images, or simplify it")
    return content


def _parsed(content: bytes, where: object) -> Element:
    """The root of the document. Expat expands entities, within bounds, and opens no other file."""
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(where, f"malformed XML ({error})", "repair it or export it again") from None
    if not root.tag.startswith("{"):  # a viewer would not draw it; the intention is clear
        for element in root.iter():
            element.tag = element.tag if element.tag.startswith("{") else _NAMESPACE + element.tag
    if root.tag != f"{_NAMESPACE}svg":
        tag = root.tag.rpartition("}")[2]
        raise InputError(where, f"the root element is <{tag}>, not <svg>", "give an SVG file")
    return root


def _has_frame(root: Element, where: object) -> bool:
    """Whether the document declares its page: a viewBox, or width and height.

    Raises:
        InputError: if the viewBox is wrong.
    """
    if (box := root.get("viewBox")) is not None:
        try:
            _, _, width, height = (float(v) for v in re.split(r"[\s,]+", box.strip()))
        except ValueError:
            width = height = 0.0
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise InputError(where, f"viewBox '{box}'", "give x, y, width and height, in numbers")
        return True
    return _has_size(root)


def _has_size(root: Element) -> bool:
    """Whether the document says both width and height, by more than a percentage."""
    return all(_LENGTH.fullmatch(root.get(name, "").strip()) for name in ("width", "height"))


def _prepare(root: Element) -> None:
    """Writes what usvg does not know in words that it knows.

    That is: fractions of colour levels, the CSS property `transform` in a style attribute, and `transform-origin`, of
    which percentages and keywords refer to the page.
    """
    box = [float(v) for v in re.split(r"[\s,]+", root.get("viewBox", "").strip()) if v] or [0.0, 0.0]
    sizes = [float(match[1]) if (match := re.match(_NUMBER, root.get(n, ""))) else 0.0 for n in ("width", "height")]
    page = np.array([box[:2], box[2:] or sizes])
    if not _has_size(root):  # usvg would take the other side from the viewBox, whatever its shape
        for name in ("width", "height"):
            root.attrib.pop(name, None)
    for element in root.iter():
        style = dict(re.findall(r"(transform(?:-origin)?)\s*:\s*([^;]+)", element.get("style", "")))
        if "transform" in style:
            element.set("transform", re.sub(r"(?<=\d)(deg|px)\b", "", style["transform"]))
        origin = style.get("transform-origin", element.get("transform-origin"))
        if origin and element.get("transform"):
            x, y = _origin(origin, page)
            element.set("transform", f"translate({x} {y}) {element.get('transform')} translate({-x} {-y})")
        for name, value in element.items():
            if "rgb" in value:
                element.set(name, _RGB.sub(_whole_levels, value))
        if element.text and "rgb" in element.text:
            element.text = _RGB.sub(_whole_levels, element.text)


def _whole_levels(match: re.Match[str]) -> str:
    """`rgb(0.5, 0.5, 0.5)` in whole levels; percentages and an alpha stay."""
    levels = re.split(r"[\s,/]+", match[2].strip())
    return f"{match[1]}({', '.join(v if '%' in v or i > 2 else f'{float(v):.0f}' for i, v in enumerate(levels))})"


def _origin(text: str, page: Matrix) -> tuple[float, float]:
    """The point of a `transform-origin`; `page` is the corner and the size of the page, `(2, 2)`."""
    names = {"left": (0, 0.0), "right": (0, 1.0), "top": (1, 0.0), "bottom": (1, 1.0)}
    point = page[0] + page[1] / 2
    for axis, word in enumerate(text.split()[:2]):
        if word in names:
            axis, share = names[word]
            point[axis] = page[0, axis] + share * page[1, axis]
        elif match := re.match(_NUMBER, word):
            value = float(match[1])
            point[axis] = page[0, axis] + value / 100 * page[1, axis] if word.endswith("%") else value
    return float(point[0]), float(point[1])


def _frame_by_ink(tree: Element, where: object) -> None:
    """Makes the box of all outlines, with some space around it, the page."""
    outlines = [outline for shape in _shapes(tree, _IDENTITY, 1.0) for outline in shape.outlines]
    if outlines:
        low, high = (np.concatenate(outlines).min(0), np.concatenate(outlines).max(0))
        space = 0.1 * max(*(high - low), 1e-6)
        (x, y), (width, height) = low - space, high - low + 2 * space
        tree.set("viewBox", f"{x} {y} {width} {height}")
        tree.attrib.update(width=str(width), height=str(height))


def _page(tree: Element) -> Page:
    """The viewport of a simplified document, and how its viewBox is fitted into it."""
    width, height = float(tree.attrib["width"]), float(tree.attrib["height"])
    x, y, box_width, box_height = (float(v) for v in tree.attrib["viewBox"].split())
    scale = np.array([width / box_width, height / box_height])
    align, _, fit = tree.get("preserveAspectRatio", "xMidYMid").partition(" ")
    if align != "none":
        scale[:] = scale.max() if fit == "slice" else scale.min()
    free = np.array([width, height]) - scale * (box_width, box_height)
    shares = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
    share = [shares.get(align[1:4], 0.0), shares.get(align[5:8], 0.0)]
    shift = free * share - scale * (x, y)
    return Page(width, height, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]))


def _shapes(element: Element, matrix: Matrix, tolerance: float) -> Iterator[Shape]:
    """The paths below an element of a simplified document, in the order of painting.

    Args:
        element: the element.
        matrix: map from its coordinates to the page.
        tolerance: largest distance of a flattened curve from the true one, in page units.
    """
    for child in element:
        kind = child.tag.rpartition("}")[2]
        if kind == "defs":
            continue
        inner = matrix
        if text := child.get("transform"):
            a, b, c, d, e, f = (float(v) for v in re.findall(_NUMBER, text))
            inner = matrix @ [[a, c, e], [b, d, f], [0, 0, 1]]
        if kind == "g":
            yield from _shapes(child, inner, tolerance)
        elif kind == "path" and child.get("visibility") is None:
            scale = math.sqrt(abs(float(np.linalg.det(inner[:, :2]))))
            drawn = child.get("stroke", "none") != "none"
            outlines = [part for part in _flattened(child.attrib["d"], inner, tolerance) if np.isfinite(part).all()]
            if not drawn:  # a fill has no open end
                outlines = [part if (part[0] == part[-1]).all() else np.vstack([part, part[:1]]) for part in outlines]
            yield Shape(child, outlines, drawn, scale)


def _flattened(path: str, matrix: Matrix, tolerance: float) -> Iterator[Points]:
    """The sub-paths of simplified path data (absolute M, L, C, Z), on the page."""
    parts: list[Points] = []
    for command, numbers in re.findall(r"([MLCZ])([^MLCZ]*)", path):
        points = np.array(numbers.split(), dtype=np.float64).reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
        if command == "M":
            if len(parts) > 1:
                yield np.concatenate(parts)
            parts = [points]
        elif command == "Z":
            start = parts[0][:1]
            yield np.concatenate([*parts, start])
            parts = [start]
        else:
            parts.append(points if command == "L" else _curve(np.concatenate([parts[-1][-1:], points]), tolerance))
    if len(parts) > 1:
        yield np.concatenate(parts)


def _distinct(stroke: Points, side: float) -> Points:
    """The stroke with consecutive points merged that are equal but for rounding."""
    moved = np.any(np.diff(np.rint(stroke / (side * 2**-24)), axis=0), axis=1)
    return np.asarray(stroke[np.concatenate([[True], moved])])


def _curve(polygon: Points, tolerance: float) -> Points:
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
