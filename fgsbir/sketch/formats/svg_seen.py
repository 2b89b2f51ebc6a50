"""Which parts of the outlines of an SVG document a viewer sees, by drawing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from fgsbir.sketch.formats import resvg

Points = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]  # (H, W, 3), 0 to 255

_SIDE = 512  # pixels of the longer side of the page
_PEN = 2.0  # pixels; width of the pen where overlapping lines must be told apart
_BESIDE = np.array([-3.0, -1.5, 0.0, 1.5, 3.0])  # pixels across an outline whose colours are compared
_CONTRAST = 8.0  # grey levels, of 255, that can be seen
_GAP = 0.02 * _SIDE  # pixels; a line that vanishes for less goes on, as below another line
_TIP = 4.0  # pixels; an end that fades, as a sharp corner does, belongs to its line
_SCRAP = 0.01 * _SIDE  # pixels; less of a line is no line, as where a covered one passes below another's edge
_MOST_SAMPLES = 1_000_000
_PAPER = 0.96  # share of both sides of the page that a fill behind all ink spans if it is paper


class Shape(NamedTuple):
    """A path of a document that usvg has simplified.

    Attributes:
        element: its element in the document.
        outlines: `(n, 2)` each, of two points or more; its sub-paths on the page, in page units.
        drawn: whether a pen draws it; otherwise the outlines are the edges of a fill.
        scale: page units of one of its own.
    """

    element: Element
    outlines: list[Points]
    drawn: bool
    scale: float


class _Views(NamedTuple):
    """A document drawn as it is, with thin lines, and without lines."""

    full: Image
    thin: Image
    bare: Image


def seen(tree: Element, shapes: Sequence[Shape], width: float, height: float) -> list[Points]:
    """The outlines that can be seen on the page, in order; where one is covered, its parts.

    A point of an outline is seen if the colours across it differ, or if its colour differs from that without any lines,
    so that tangled lines stay. Both are judged with every line thin, for wide lines would hide each other; what a wide
    line of another colour covers is then left out. Paper is white; if nothing is seen on it, it is black.

    Args:
        tree: the document; widths of pens, dashes, filters and images are changed in it.
        shapes: its paths, in the order of painting.
        width: width of the page, in page units.
        height: height of the page, in page units.

    Raises:
        resvg.Refused: if it cannot be drawn.
    """
    ink = _without_paper(shapes, width, height)
    outlines = _once(outline for shape in ink for outline in shape.outlines)
    if not outlines or _all_seen(tree, shapes, width, height):
        return outlines
    scale = _SIDE / max(width, height)
    side: Literal["width", "height"] = "width" if width >= height else "height"
    _plain_lines(tree)
    pictures = []
    for most in (np.inf, _PEN, 0.0):
        _set_pens(shapes, scale, most)
        pictures.append(resvg.render(ElementTree.tostring(tree), side, _SIDE))
    for paper in (255, 0):
        views = _Views(*(_on(picture, paper) for picture in pictures))
        if found := [part / scale for outline in outlines for part in _parts(outline * scale, views)]:
            return found
    return []


def _without_paper(shapes: Sequence[Shape], width: float, height: float) -> list[Shape]:
    """The shapes without fills behind all others that span the page."""
    for number, shape in enumerate(shapes):
        if not shape.outlines:
            continue
        points = np.concatenate(shape.outlines).clip(0, (width, height))
        if shape.drawn or (np.ptp(points, axis=0) < _PAPER * np.array([width, height])).any():
            return list(shapes[number:])
    return []


def _once(outlines: Iterator[Points]) -> list[Points]:
    """The outlines without repetitions, as of a shape that is filled first and drawn on top."""
    return list({outline.tobytes(): outline for outline in outlines}.values())


def _all_seen(tree: Element, shapes: Sequence[Shape], width: float, height: float) -> bool:
    """Whether the document is so plain that nothing can be hidden: opaque lines of one colour, on the page."""
    names = {"fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "d", "id"}
    grouped = {"id", "transform"}
    if any(child.tag.rpartition("}")[2] == "image" or len(child) for child in tree.iter("{*}defs")):
        return False
    for element in tree.iter():
        kind = element.tag.rpartition("}")[2]
        if (kind == "g" and set(element.keys()) - grouped) or kind in ("image", "text"):
            return False
    pens = {shape.element.get("stroke") for shape in shapes}
    plain = all(shape.drawn and shape.element.get("fill") == "none" for shape in shapes)
    if len(pens) != 1 or not plain or any(set(shape.element.keys()) - names for shape in shapes):
        return False
    points = np.concatenate([outline for shape in shapes for outline in shape.outlines])
    dots = any((outline == outline[0]).all() for shape in shapes for outline in shape.outlines)
    return not dots and bool((points >= 0).all() and (points <= (width, height)).all())


def _plain_lines(tree: Element) -> None:
    """Takes images and filters out of a document, and makes dashed lines whole."""
    for element in tree.iter():
        for child in [child for child in element if child.tag.rpartition("}")[2] == "image"]:
            element.remove(child)
        for name in ("filter", "stroke-dasharray", "stroke-dashoffset"):
            element.attrib.pop(name, None)


def _set_pens(shapes: Sequence[Shape], scale: float, most: float) -> None:
    """Keeps the width of every pen between `_PEN` and `most`, in pixels; 0 takes all pens away."""
    for shape in shapes:
        if shape.drawn:
            unit = max(shape.scale * scale, 1e-9)
            own = float(shape.element.get("stroke-width", 1)) * unit
            if most:
                shape.element.set("stroke-width", f"{min(max(own, _PEN), most) / unit:.9g}")
            else:
                shape.element.set("stroke", "none")


def _on(picture: npt.NDArray[np.uint8], paper: int) -> Image:
    """An RGBA picture on paper."""
    opacity = picture[..., 3:] / np.float32(255)
    return np.asarray(picture[..., :3] * opacity + paper * (1 - opacity), dtype=np.float32)


def _parts(outline: Points, views: _Views) -> list[Points]:
    """The parts of an outline, in pixels, that are seen."""
    points, across, is_vertex = _sampled(outline)
    visible = _visible(points, across, views)
    if visible.all():
        return [outline]
    if not visible.any():
        return []
    if len(points) > 2 and np.array_equal(outline[0], outline[-1]):  # a ring starts where it is hidden
        first = int(np.argmin(visible))
        points, is_vertex, visible = (
            np.concatenate([a[first:-1], a[: first + 1]]) for a in (points, is_vertex, visible)
        )
    reached = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    for start, end in _runs(~visible):
        inside = start > 0 and end < len(visible)
        if reached[min(end, len(visible) - 1)] - reached[max(start - 1, 0)] < (_GAP if inside else _TIP):
            visible[start:end] = True
    if visible.all():
        return [outline]
    parts = []
    for start, end in _runs(visible):
        length = reached[end - 1] - reached[start]
        if length >= _SCRAP or length > reached[-1] / 2:
            keep = is_vertex[start:end].copy()
            keep[[0, -1]] = True
            parts.append(points[start:end][keep])
    return parts


def _sampled(outline: Points) -> tuple[Points, Points, npt.NDArray[np.bool_]]:
    """Points about a pixel apart on an outline, `(m, 2)`, its own among them.

    Returns:
        The points, the unit vector across the outline at each, and which of them are its own.
    """
    steps = np.diff(outline, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    counts = np.ceil(lengths * min(1.0, _MOST_SAMPLES / max(lengths.sum(), 1.0))).astype(int).clip(1)
    owner = np.repeat(np.arange(len(steps)), counts)
    is_vertex = (
        np.concatenate([[True], np.diff(owner) > 0, [True]])[: len(owner) + 1] if len(owner) else np.ones(1, bool)
    )
    starts = np.cumsum(counts) - counts
    way = (np.arange(len(owner)) - starts[owner]) / counts[owner]
    is_vertex = np.append(way == 0, True)
    points = np.concatenate([outline[owner] + way[:, None] * steps[owner], outline[-1:]])
    along = steps[owner] / np.maximum(lengths[owner], 1e-12)[:, None]
    along = np.concatenate([along, along[-1:]])
    along[(along == 0).all(1)] = 1.0, 0.0
    return points, along[:, ::-1] * (-1, 1), is_vertex


def _visible(points: Points, across: Points, views: _Views) -> npt.NDArray[np.bool_]:
    """Which points lie on the page, on a line or an edge that no wide line covers."""
    height, width = views.thin.shape[:2]
    inside = ((points >= -0.5) & (points <= (width + 0.5, height + 0.5))).all(1)
    at = points[:, None] + _BESIDE[:, None] * across[:, None]
    column = np.floor(at[..., 0]).clip(0, width - 1).astype(int)
    row = np.floor(at[..., 1]).clip(0, height - 1).astype(int)
    colours = views.thin[row, column]
    middle = len(_BESIDE) // 2
    own, here = colours[:, middle], (row[:, middle], column[:, middle])
    contrast = np.maximum(np.ptp(colours, axis=1).max(-1), np.abs(own - views.bare[here]).max(-1))
    covered = np.abs(views.full[here] - own).max(-1) > contrast / 2
    return np.asarray(inside & (contrast >= _CONTRAST) & ~covered)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
