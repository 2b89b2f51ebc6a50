"""The paths of a document that usvg has simplified, as they lie on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from fgsbir.sketch.formats.svg.source import NUMBER

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]  # (2, 3), as of `VectorSketch.transform`

IDENTITY: Matrix = np.eye(2, 3)
_FLATNESS = 1 / 2048  # largest distance of a flattened curve from the true one, as a part of the page's side


class Page(NamedTuple):
    """The viewport of a document.

    Attributes:
        width: its width, in page units.
        height: its height, in page units.
        matrix: `(2, 3)`; map from the document's coordinates.
    """

    width: float
    height: float
    matrix: Matrix


class Shape(NamedTuple):
    """A path.

    Attributes:
        element: its element in the document.
        outlines: `(n, 2)` each, of two points or more; its sub-paths on the page, in page units.
        drawn: whether a pen draws it; otherwise the outlines are edges of a fill, or of what cuts one off.
        scale: page units of one of its own.
        colour: colour of the pen, `(3,)`, levels up to 255; None if it is no plain opaque one.
    """

    element: Element
    outlines: list[Points]
    drawn: bool
    scale: float
    colour: npt.NDArray[np.float32] | None = None


def page_of(tree: Element) -> Page:
    """The page of a document, into which its viewBox is fitted."""
    width, height = float(tree.attrib["width"]), float(tree.attrib["height"])
    x, y, box_width, box_height = (float(v) for v in tree.attrib["viewBox"].split())
    scale = np.array([width / box_width, height / box_height])
    align, _, fit = tree.get("preserveAspectRatio", "xMidYMid").partition(" ")
    if align != "none":
        scale[:] = scale.max() if fit == "slice" else scale.min()
    free = np.array([width, height]) - scale * (box_width, box_height)
    shares = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
    shift = free * [shares.get(align[1:4], 0.0), shares.get(align[5:8], 0.0)] - scale * (x, y)
    return Page(width, height, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]))


def frame_by_ink(tree: Element) -> None:
    """Makes the box of all outlines, with some space around it, the page."""
    outlines = [outline for shape in shapes_of(tree, Page(1, 1, IDENTITY)) for outline in shape.outlines]
    if outlines:
        low, high = np.concatenate(outlines).min(0), np.concatenate(outlines).max(0)
        space = 0.1 * max(*(high - low), 1e-6)
        (x, y), (width, height) = low - space, high - low + 2 * space
        tree.set("viewBox", f"{x} {y} {width} {height}")
        tree.attrib.update(width=str(width), height=str(height))


def shapes_of(tree: Element, page: Page) -> list[Shape]:
    """The paths of a document in the order of painting; where a group is clipped or masked, what cuts it follows."""
    cuts = {f"url(#{e.get('id')})": e for e in tree.iter() if _kind(e) in ("clipPath", "mask")}
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out
        return list(_below(tree, page.matrix, _FLATNESS * max(page.width, page.height), cuts))


def _below(element: Element, matrix: Matrix, tolerance: float, cuts: Mapping[str, Element]) -> Iterator[Shape]:
    """The paths below an element.

    Args:
        element: the element.
        matrix: map from its coordinates to the page.
        tolerance: largest distance of a flattened curve from the true one, in page units.
        cuts: clip paths and masks by reference.
    """
    for child in element:
        if _kind(child) == "g" and float(child.get("opacity", 1)) > 0:
            inner = _moved(matrix, child)
            for shape in _below(child, inner, tolerance, cuts):
                yield shape._replace(colour=None) if "opacity" in child.attrib else shape
            for name in ("clip-path", "mask"):
                if (cut := cuts.get(child.get(name, ""))) is not None:
                    frame = _moved(_boxed(inner, child, cut, tolerance), cut)
                    for shape in _below(cut, frame, tolerance, {}):
                        yield shape._replace(drawn=False)
        elif _kind(child) == "path" and child.get("visibility") is None:
            yield _shape(child, _moved(matrix, child), tolerance)


def _kind(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _moved(matrix: Matrix, element: Element) -> Matrix:
    """The map from within an element, given that from around it."""
    numbers = [float(v) for v in re.findall(NUMBER, element.get("transform", "").removeprefix("matrix"))]
    if "transform" not in element.attrib:
        return matrix
    if len(numbers) != 6:  # some are infinite
        return np.full((2, 3), np.nan)
    a, b, c, d, e, f = numbers
    return np.asarray(matrix @ [[a, c, e], [b, d, f], [0, 0, 1]])


def _boxed(matrix: Matrix, group: Element, cut: Element, tolerance: float) -> Matrix:
    """The map from a clip path or mask of a group, whose units may be the group's box."""
    if "objectBoundingBox" not in (cut.get("clipPathUnits"), cut.get("maskContentUnits")):
        return matrix
    outlines = [outline for shape in _below(group, IDENTITY, tolerance, {}) for outline in shape.outlines]
    if not outlines:
        return matrix
    (x, y), (width, height) = np.concatenate(outlines).min(0), np.ptp(np.concatenate(outlines), axis=0)
    return np.asarray(matrix @ [[width, 0, x], [0, height, y], [0, 0, 1]])


def _shape(element: Element, matrix: Matrix, tolerance: float) -> Shape:
    stroke, opacity = element.get("stroke", "none"), float(element.get("stroke-opacity", 1))
    drawn = stroke != "none" and opacity > 0
    outlines = [part for part in _flattened(element.attrib["d"], matrix, tolerance) if np.isfinite(part).all()]
    if not drawn:  # a fill has no open end
        outlines = [part if (part[0] == part[-1]).all() else np.vstack([part, part[:1]]) for part in outlines]
    plain = drawn and opacity == 1 and stroke.startswith("#")
    colour = np.array([int(stroke[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) if plain else None
    return Shape(element, outlines, drawn, math.sqrt(abs(float(np.linalg.det(matrix[:, :2])))), colour)


def _flattened(path: str, matrix: Matrix, tolerance: float) -> Iterator[Points]:
    """The sub-paths of simplified path data (absolute M, L, C, Z), on the page."""
    parts: list[Points] = []
    for curves, command, numbers in re.findall(r"((?:C[^MLCZ]*)+)|([MLZ])([^MLCZ]*)", path):
        values = np.array((curves.replace("C", " ") or numbers).split(), dtype=np.float64)
        points = values.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
        if command == "M":
            if len(parts) > 1:
                yield np.concatenate(parts)
            parts = [points]
        elif command == "Z":
            start = parts[0][:1]
            yield np.concatenate([*parts, start])
            parts = [start]
        else:
            parts.append(points if command == "L" else _curves(parts[-1][-1:], points, tolerance))
    if len(parts) > 1:
        yield np.concatenate(parts)


def _curves(start: Points, controls: Points, tolerance: float) -> Points:
    """Points on cubic Bézier curves that follow each other, as many as keep the chords within `tolerance` of them.

    n chords of a cubic are nowhere farther off than `3 / 4 * M / n^2`, where M is the largest second difference of the
    control points.

    Args:
        start: `(1, 2)`; where the first curve starts, which is left out.
        controls: `(3 k, 2)`; two control points and the end of each of k curves.
        tolerance: largest distance of a chord from its curve.
    """
    ends = controls[2::3]
    polygons = np.stack([np.concatenate([start, ends[:-1]]), controls[::3], controls[1::3], ends], axis=1)
    bends = np.linalg.norm(np.diff(polygons, n=2, axis=1), axis=2).max(1)
    chords = np.nan_to_num(np.ceil(np.sqrt(3 / 4 * bends / tolerance))).clip(1, 4096).astype(int)
    return np.concatenate([_curve(polygon, count) for polygon, count in zip(polygons, chords.tolist(), strict=True)])


def _curve(polygon: Points, chords: int) -> Points:
    """The ends of the chords of a cubic Bézier curve, `(chords, 2)`."""
    if chords == 1:
        return polygon[-1:]
    t = np.linspace(0, 1, chords + 1)[1:, None]
    i = np.arange(4)
    return np.asarray((np.array([1, 3, 3, 1]) * t**i * (1 - t) ** (3 - i)) @ polygon)
