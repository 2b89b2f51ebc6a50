"""Which parts of the outlines of an SVG document a viewer sees, by drawing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.sketch.formats.svg import engine
from fgsbir.sketch.formats.svg.shapes import Points, Shape

Colour = tuple[float, float, float]
Pixels = npt.NDArray[np.int64]

_SIDE = 512  # pixels of the longer side of the page
_PEN = 2.0  # pixels; width of the pen where overlapping lines must be told apart
_BESIDE = np.array([-3.0, -1.5, 0.0, 1.5, 3.0])  # pixels across an outline whose colours are compared
_CONTRAST = 8.0  # grey levels, of 255, that can be seen
_OTHER = 128.0  # grey levels; a colour so far from a pen's is not its own, even at the rim of its line
_GAP = 0.02 * _SIDE  # pixels; a line that vanishes for less goes on, as below another line
_TIP = 4.0  # pixels; an end that fades, as a sharp corner does, belongs to its line
_DASH_GAP = 0.06 * _SIDE  # pixels; a dashed line with longer gaps is several
_SCRAP = 0.03 * _SIDE  # pixels; less of a line is no line, as where one of the paper's colour crosses another
_SHARED = 0.9  # share of the edge of a fill along which there is ink, so that it is none of its own
_PAPER = 0.94  # share of the page that a fill behind all ink covers if it is paper


class _Views(NamedTuple):
    """A document drawn as it is, with thin lines, and without lines, `(H, W, 4)` RGBA each, on paper of a colour."""

    full: npt.NDArray[np.uint8]
    thin: npt.NDArray[np.uint8]
    bare: npt.NDArray[np.uint8]
    paper: Colour

    def colours(self, picture: npt.NDArray[np.uint8], row: Pixels, column: Pixels) -> npt.NDArray[np.float32]:
        """The colours of pixels on the paper, `(..., 3)`, levels up to 255."""
        pixels = picture[row, column].astype(np.float32)
        opacity = pixels[..., 3:] / 255
        return np.asarray(pixels[..., :3] * opacity + np.array(self.paper, dtype=np.float32) * (1 - opacity))


def seen(
    tree: Element, shapes: Sequence[Shape], width: float, height: float, paper: Colour | None = None
) -> list[Points]:
    """The outlines that can be seen on the page, in order; where one is covered, its parts.

    A point of a line is seen if its colour differs from that of the page without any lines. It is judged with every
    line thin, because wide lines of one colour would hide each other; where a wide line of another colour covers it, it
    is not seen. A point of the edge of a fill is seen if the colours across it differ, on the page without any lines.

    The edge of a fill along which other ink lies already is left out.

    Args:
        tree: the document; its pens are changed.
        shapes: its paths, in the order of painting.
        width: width of the page, in page units.
        height: height of the page, in page units.
        paper: colour of the page, levels up to 255; None for white or, if nothing is seen on white, black.

    Raises:
        engine.Refused: if it cannot be drawn.
    """
    ink = _without_paper(shapes, width, height)
    if not ink:
        return []
    if _all_seen(tree, shapes, width, height):
        return [outline for shape in shapes for outline in shape.outlines]
    scale = _SIDE / max(width, height)
    side: Literal["width", "height"] = "width" if width >= height else "height"
    _join_dashes(shapes, scale)

    def drawn_with(widest: float) -> npt.NDArray[np.uint8]:
        _set_pens(shapes, scale, widest)
        return engine.render(ElementTree.tostring(tree), side, _SIDE)

    pens = {tuple(shape.colour) if shape.colour is not None else None for shape in shapes if shape.drawn}
    full = drawn_with(np.inf) if len(pens) > 1 or None in pens else None  # pens of one colour do not cover each other
    thin = drawn_with(_PEN) if pens else None
    bare = drawn_with(0.0)
    thin = bare if thin is None else thin
    pictures = (thin if full is None else full), thin, bare
    for ground in [paper] if paper else [(255.0, 255.0, 255.0), (0.0, 0.0, 0.0)]:
        views = _Views(*pictures, ground)
        if found := _ink(ink, scale, views):
            return [part / scale for part in found]
    return []


def _without_paper(shapes: Sequence[Shape], width: float, height: float) -> list[Shape]:
    """The shapes without fills behind all others that span the page."""
    for number, shape in enumerate(shapes):
        if not shape.outlines:
            continue
        points = shape.outlines[0].clip(0, (width, height)).astype(np.float32)
        area = cv2.contourArea(points) / (width * height)
        if shape.drawn or len(shape.outlines) > 1 or area < _PAPER:
            return list(shapes[number:])
    return []


def _all_seen(tree: Element, shapes: Sequence[Shape], width: float, height: float) -> bool:
    """Whether the document is so plain that nothing can be hidden: opaque lines of one colour, on the page."""
    attributes = {
        "g": {"id", "transform"},
        "path": {"id", "d", "fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit"},
    }
    below = (element for element in tree.iter() if element is not tree)
    if any(element.attrib.keys() - attributes.get(element.tag.rpartition("}")[2], set()) for element in below):
        return False
    pens = {(shape.element.get("stroke"), shape.element.get("fill")) for shape in shapes}
    if len(pens) != 1 or pens.pop()[1] != "none":
        return False
    outlines = [outline for shape in shapes for outline in shape.outlines]
    points = np.concatenate(outlines)
    dots = any((outline == outline[0]).all() for outline in outlines)  # one without round ends is not seen
    return not dots and bool((points >= 0).all() and (points <= (width, height)).all())


def _join_dashes(shapes: Sequence[Shape], scale: float) -> None:
    """Makes dashed lines whole whose gaps are short."""
    for shape in shapes:
        dashes = [float(v) for v in shape.element.get("stroke-dasharray", "").replace(",", " ").split()]
        gaps = dashes[1::2] if len(dashes) % 2 == 0 else dashes
        if gaps and max(gaps) * shape.scale * scale <= _DASH_GAP:
            shape.element.attrib.pop("stroke-dasharray")


def _set_pens(shapes: Sequence[Shape], scale: float, widest: float) -> None:
    """Keeps the width of every pen between `_PEN` and `widest`, in pixels; 0 takes all pens away."""
    for shape in shapes:
        if shape.drawn:
            unit = max(shape.scale * scale, 1e-9)
            own = float(shape.element.get("stroke-width", 1)) * unit
            if widest:
                shape.element.set("stroke-width", f"{min(max(own, _PEN), widest) / unit:.9g}")
            else:
                shape.element.set("stroke", "none")


def _ink(shapes: Sequence[Shape], scale: float, views: _Views) -> list[Points]:
    """The parts of all outlines that are seen, in pixels."""
    parts = [
        (part, shape.drawn)
        for shape in shapes
        for outline in shape.outlines
        for part in _parts(outline * scale, views, shape)
    ]
    mask = np.zeros(views.bare.shape[:2], np.uint8)

    def mark(part: Points) -> None:
        cv2.polylines(mask, [part.round().astype(np.int32)], isClosed=False, color=1, thickness=3)

    for part, drawn in parts:
        if drawn:
            mark(part)
    found = []
    for part, drawn in parts:
        if not drawn:
            column, row = _sampled(part)[0].clip(0, np.array(mask.shape[::-1]) - 1).astype(int).T
            if mask[row, column].mean() > _SHARED:
                continue
            mark(part)
        found.append(part)
    return found


def _parts(outline: Points, views: _Views, shape: Shape) -> list[Points]:
    """The parts of an outline, in pixels, that are seen."""
    points, across, is_vertex = _sampled(outline)
    visible = _visible(points, across, views, shape)
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
            parts.append(points[start:end][keep].clip(0, views.bare.shape[1::-1]))
    return parts


def _sampled(outline: Points) -> tuple[Points, Points, npt.NDArray[np.bool_]]:
    """Points about a pixel apart on an outline where it is on the page, `(m, 2)`, its own among them.

    Returns:
        The points, the unit vector across the outline at each, and which of them are its own.
    """
    steps = np.diff(outline, axis=0)
    # Where a segment enters and leaves the page, as shares of it (Liang and Barsky 1984).
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.stack([-_GAP - outline[:-1], _SIDE + _GAP - outline[:-1]]) / steps
    enter = np.nan_to_num(ways.min(0), nan=-np.inf, posinf=np.inf, neginf=-np.inf).max(1).clip(0, 1)
    leave = np.nan_to_num(ways.max(0), nan=np.inf, posinf=np.inf, neginf=-np.inf).min(1).clip(0, 1)
    lengths = np.linalg.norm(steps, axis=1)
    counts = np.ceil(lengths * (leave - enter).clip(0)).clip(1, 2 * _SIDE).astype(int)  # rounding can make more of it
    owner = np.repeat(np.arange(len(steps)), counts)
    number = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    way = np.where(number == 0, 0, enter[owner] + number / counts[owner] * (leave - enter)[owner])
    points = np.concatenate([outline[owner] + way[:, None] * steps[owner], outline[-1:]])
    along = steps[owner] / np.maximum(lengths[owner], 1e-12)[:, None]
    along = np.concatenate([along, along[-1:]])
    along[(along == 0).all(1)] = 1.0, 0.0
    return points, along[:, ::-1] * (-1, 1), np.append(number == 0, True)


def _visible(points: Points, across: Points, views: _Views, shape: Shape) -> npt.NDArray[np.bool_]:
    """Which points lie on the page, on a line or an edge that no wide line covers."""
    height, width = views.bare.shape[:2]
    inside = ((points >= -_GAP / 2) & (points <= (width + _GAP / 2, height + _GAP / 2))).all(1)
    at = points[:, None] + _BESIDE[:, None] * across[:, None]
    column = np.floor(at[..., 0]).clip(0, width - 1).astype(int)
    row = np.floor(at[..., 1]).clip(0, height - 1).astype(int)
    beside = views.colours(views.bare, row, column)
    middle = len(_BESIDE) // 2
    row, column, behind = row[:, middle], column[:, middle], beside[:, middle]
    own = views.colours(views.thin, row, column) if shape.drawn else behind
    contrast = np.maximum(np.ptp(beside, axis=1), np.abs(own - behind)).max(-1)
    covered = np.abs(views.colours(views.full, row, column) - own).max(-1) > contrast / 2
    if shape.colour is not None:  # what is seen there is another line
        covered |= np.abs(own - shape.colour).max(-1) > _OTHER
    return np.asarray(inside & (contrast >= _CONTRAST) & ~covered)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
