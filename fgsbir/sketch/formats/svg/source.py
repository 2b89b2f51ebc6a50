"""The document that a user gives, made ready for usvg."""

from __future__ import annotations

import math
import re
import zlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.sketch.formats.svg.style import inline_styles

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

_MOST_BYTES = 32 * 2**20  # of a document; drawings have thousands
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_LENGTH = re.compile(rf"(?=.*[1-9])\+?(?!-){NUMBER}(?:px|pt|pc|mm|cm|in|em|ex)?")


def parse(content: bytes, where: object) -> Element:
    """The root of a document, which may be compressed.

    Expat expands entities, within bounds, and opens no other file.

    Raises:
        InputError: if it is too large, damaged, malformed, or no SVG.
    """
    content = _unpacked(content, where)
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(where, f"malformed XML ({error})", "repair it or export it again") from None
    if not root.tag.startswith("{"):  # a browser would not draw it, but what is meant is clear
        for element in root.iter():
            element.tag = element.tag if element.tag.startswith("{") else _NAMESPACE + element.tag
    if root.tag != f"{_NAMESPACE}svg":
        tag = root.tag.rpartition("}")[2]
        raise InputError(where, f"the root element is <{tag}>, not <svg>", "give an SVG file")
    return root


def _unpacked(content: bytes, where: object) -> bytes:
    """The document of a compressed file (`.svgz`); another one as it is."""
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


def prepare(root: Element) -> bool:
    """Writes what usvg would read wrongly so that it reads it right, and takes out what is not read.

    Fixed are styles (`inline_styles`), a viewBox that is wrong, a page of which one side is given, `transform-origin`,
    spaces around values, an `href` in two namespaces, transforms inside a clip path, masks by alpha and empty nested
    viewports. Filters and images are taken out.

    Returns:
        Whether the document declares its page: by a viewBox, or by width and height.
    """
    inline_styles(root)
    framed = _frame(root)
    page = _page(root)
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag == f"{_NAMESPACE}image" or _is_empty_viewport(child):
                parent.remove(child)
        _fix_attributes(parent, page)
        if parent.tag == f"{_NAMESPACE}clipPath" and len(parent) == 1:
            _fix_attributes(parent[0], page)
            own = f"{parent.get('transform', '')} {parent[0].attrib.pop('transform', '')}"
            parent.set("transform", own.strip())
        if parent.tag == f"{_NAMESPACE}mask" and parent.get("mask-type") == "alpha":
            _whiten(parent)
    return framed


def background(root: Element) -> tuple[float, float, float] | None:
    """The colour of the page that a prepared document declares, three levels up to 255; None if it is transparent."""
    levels = [float(v) for v in re.findall(NUMBER, root.get("background-color", ""))]
    return (levels[0], levels[1], levels[2]) if len(levels) == 4 and levels[3] else None


def _whiten(mask: Element) -> None:
    """Makes the light of a mask its alpha: everything in it becomes white."""
    mask.set("fill", "white")
    for element in mask.iter():
        for name in ("fill", "stroke"):
            if element.get(name, "none") != "none":
                element.set(name, "white")


def _frame(root: Element) -> bool:
    """See `prepare`."""
    sized = all(_LENGTH.fullmatch(root.get(name, "").strip()) for name in ("width", "height"))
    try:
        _, _, width, height = (float(v) for v in re.split(r"[\s,]+", root.get("viewBox", "").strip()))
        boxed = 0 < width < math.inf and 0 < height < math.inf
    except ValueError:
        boxed = False
    if not boxed:
        root.attrib.pop("viewBox", None)
    if not sized:  # usvg would take the other side from the viewBox, whatever its shape
        for name in ("width", "height"):
            root.attrib.pop(name, None)
    return boxed or sized


def _page(root: Element) -> npt.NDArray[np.float64]:
    """Corner and size of the frame that percentages refer to, `(2, 2)`; zeros if it is not known."""
    if box := root.get("viewBox"):
        return np.array([float(v) for v in re.split(r"[\s,]+", box.strip())]).reshape(2, 2)
    found = [re.match(NUMBER, root.get(name, "").strip()) for name in ("width", "height")]
    return np.array([[0.0, 0.0], [float(match[0]) if match else 0.0 for match in found]])


def _is_empty_viewport(element: Element) -> bool:
    if element.tag != f"{_NAMESPACE}svg":
        return False
    return any(re.fullmatch(r"\s*0*\.?0*(px|%)?\s*", element.get(name, "1")) for name in ("width", "height"))


def _fix_attributes(element: Element, page: npt.NDArray[np.float64]) -> None:
    """See `prepare`."""
    for name, value in element.items():
        element.set(name, value.strip())
    element.attrib.pop("filter", None)
    if "href" in element.attrib:
        element.attrib.pop(_XLINK, None)
    if re.search(r"[&<>\"']", element.get("id", "")):  # usvg would write it as it is
        element.attrib.pop("id")
    origin = element.attrib.pop("transform-origin", "")
    if origin and element.get("transform"):
        x, y = _origin(origin, page)
        element.set("transform", f"translate({x} {y}) {element.get('transform')} translate({-x} {-y})")


def _origin(text: str, page: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The point of a `transform-origin`, whose percentages and keywords refer to the page."""
    names = {"left": (0, 0.0), "right": (0, 1.0), "top": (1, 0.0), "bottom": (1, 1.0)}
    point = page[0] + page[1] / 2
    for axis, word in enumerate(text.split()[:2]):
        if word in names:
            axis, share = names[word]
            point[axis] = page[0, axis] + share * page[1, axis]
        elif match := re.match(NUMBER, word):
            value = float(match[0])
            point[axis] = page[0, axis] + value / 100 * page[1, axis] if word.endswith("%") else value
    return float(point[0]), float(point[1])
