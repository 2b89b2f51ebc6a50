"""Contours as a hand would draw them: roughly, coarse to fine, a few strokes missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgsbir.data.procedural.parts import Array, Part, resampled
from fgsbir.data.procedural.visibility import Contour
from fgsbir.sketch.strokes import VectorSketch

MAX_STROKES = 15
"""Largest number of strokes in the published ChairV2 file, whose sketches have 1 to 15, 9.9 on average."""
MARGIN = 0.13
"""Free space around the ink, as in that file (33 to 223 of 256)."""


@dataclass(frozen=True)
class _Stroke:
    """A stroke in the making and the part it draws."""

    part: int
    points: Array

    @property
    def extent(self) -> float:
        """Diagonal of its bounding box."""
        return float(np.linalg.norm(np.ptp(self.points, axis=0)))


def draw(
    contours: Sequence[Contour], parts: Sequence[Part], rng: np.random.Generator
) -> tuple[VectorSketch, npt.NDArray[np.int64]]:
    """Draws one sketch.

    Args:
        contours: visible lines.
        parts: part tree that the contours refer to.
        rng: random stream of the hand: its habits, its slips and what it leaves out.

    Returns:
        The sketch, its ink centred with its longer extent from 0.13 to 0.87, and for each stroke the part it
        draws, `(S,)`. A stroke that runs on from one part into its sibling belongs to their parent.
    """
    strokes = _choose(contours, rng)
    strokes = [_Stroke(s.part, _trace(s.points, rng)) for s in strokes]
    moves = _misplacements(parts, rng)
    strokes = [_Stroke(s.part, s.points @ moves[s.part][:, :2].T + moves[s.part][:, 2]) for s in strokes]
    strokes = _run_on(_coarse_to_fine(strokes, parts, rng), parts, rng)
    budget = round(float(rng.normal(11, 2.5)))
    strokes = _foremost(strokes, parts, min(max(budget, 5), MAX_STROKES), rng)
    sketch = VectorSketch.from_strokes([s.points for s in strokes]).transform(_hand_affine(rng)).normalised(MARGIN)
    return sketch, np.array([s.part for s in strokes], dtype=np.int64)


def _choose(contours: Sequence[Contour], rng: np.random.Generator) -> list[_Stroke]:
    """Which lines are drawn: thin things with one line or two, big lines in pieces, fine ones now and then not."""
    one_line, careless = rng.uniform(0.2, 0.9), rng.uniform(0.5, 1.3)
    chosen: list[_Stroke] = []
    for contour in contours:
        lines = contour.axis if contour.axis and rng.random() < one_line else contour.lines
        for number, line in enumerate(lines):
            weight = _Stroke(contour.part, line).extent * (1.0 if number == 0 else 0.4)  # inner edges matter less
            if rng.random() < careless * float(np.interp(weight, [0.02, 0.1, 0.35], [0.4, 0.15, 0.0])):
                continue
            chosen += [_Stroke(contour.part, piece) for piece in _pieces(line, rng)]
    if not chosen:
        chosen = [_Stroke(c.part, line) for c in contours[:1] for line in (c.lines or c.axis)]
    return chosen


def _pieces(line: Array, rng: np.random.Generator) -> list[Array]:
    """The line whole, or in two where it turns most sharply; a closed line begins at one of its turns."""
    points = resampled(line, 0.02)
    if len(points) < 8:
        return [points]
    way = points[3:] - points[:-3]
    turn = 1 - (way[3:] * way[:-3]).sum(1) / (np.linalg.norm(way[3:], axis=1) * np.linalg.norm(way[:-3], axis=1) + 1e-9)
    if np.allclose(points[0], points[-1]):
        start = 3 + int(np.argmax(turn + rng.uniform(0, 0.3, len(turn))))
        points = np.concatenate([points[start:-1], points[: start + 1]])
    long = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) > 0.5
    if not (long and rng.random() < 0.3):
        return [points]
    middle = int(len(points) * rng.uniform(0.3, 0.7))
    return [points[: middle + 1], points[middle:]]


def _trace(points: Array, rng: np.random.Generator) -> Array:
    """The line as the pen draws it: rounded, wavering, a little too long or too short."""
    points = resampled(points, 0.022)
    if len(points) > 5:
        inner = (points[:-2] + points[1:-1] + points[2:]) / 3
        points = np.concatenate([points[:1], inner, points[-1:]])
    ends = rng.normal(0, 0.012, 2)
    for end, nxt, by in ((0, 1, ends[0]), (-1, -2, ends[1])):
        step = points[end] - points[nxt]
        points[end] += step / max(float(np.linalg.norm(step)), 1e-9) * max(by, -0.5 * float(np.linalg.norm(step)))
    at = np.linspace(0, 1, len(points))[:, None]
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    waver = np.zeros_like(points)
    for waves in (0.5, 1.0, 2.0):
        size = 0.0055 * rng.normal(size=2) * min(1.0, 0.4 + length) / waves**0.5
        waver += size * np.sin(2 * np.pi * waves * at * max(1.0, length) + rng.uniform(0, 2 * np.pi, 2))
    return points + waver


def _misplacements(parts: Sequence[Part], rng: np.random.Generator) -> list[Array]:
    """An affine `(2, 3)` for each part: its own slip in position and size on top of its parent's."""
    moves: list[Array] = []
    for part in parts:
        x1, y1, x2, y2 = part.box
        centre = np.array([x1 + x2, y1 + y2]) / 2
        side = max(x2 - x1, y2 - y1)
        scale = np.exp(rng.normal(0, 0.04, 2))
        shift = rng.normal(0, 0.006 + 0.012 * side, 2)
        own = np.column_stack([np.diag(scale), centre - scale * centre + shift])
        if part.parent < 0:
            moves.append(own)
        else:
            above = moves[part.parent]
            moves.append(np.column_stack([above[:, :2] @ own[:, :2], above[:, :2] @ own[:, 2] + above[:, 2]]))
    return moves


def _run_on(strokes: list[_Stroke], parts: Sequence[Part], rng: np.random.Generator) -> list[_Stroke]:
    """Joins some consecutive strokes whose ends nearly meet, if they draw one part or siblings."""
    joined = strokes[:1]
    for stroke in strokes[1:]:
        last = joined[-1]
        same, siblings = stroke.part == last.part, parts[stroke.part].parent == parts[last.part].parent >= 0
        gaps = [float(np.linalg.norm(stroke.points[end] - last.points[-1])) for end in (0, -1)]
        if (same or siblings) and min(gaps) < 0.08 and rng.random() < 0.6:
            points = stroke.points if gaps[0] <= gaps[1] else stroke.points[::-1]
            owner = stroke.part if same else parts[stroke.part].parent
            joined[-1] = _Stroke(owner, np.concatenate([last.points, points]))
        else:
            joined.append(stroke)
    return joined


def _kind(part: int, parts: Sequence[Part]) -> tuple[str, str]:
    """What alike parts (the slats of a back, the rows of a list) have in common."""
    return (parts[max(parts[part].parent, 0)].name, parts[part].name)


def _coarse_to_fine(strokes: list[_Stroke], parts: Sequence[Part], rng: np.random.Generator) -> list[_Stroke]:
    """Big parts first, roughly; alike parts of about one size follow each other as they lie."""
    whim = {_kind(index, parts): rng.normal(0, 0.4) for index in range(len(parts))}

    def size(stroke: _Stroke) -> float:
        x1, y1, x2, y2 = parts[stroke.part].box
        return round(2 * float(np.log((x2 - x1) * (y2 - y1)))) / 2 + whim[_kind(stroke.part, parts)]

    return sorted(strokes, key=size, reverse=True)


def _foremost(strokes: list[_Stroke], parts: Sequence[Part], count: int, rng: np.random.Generator) -> list[_Stroke]:
    """At most `count` strokes in their order: the largest, but of many alike only some."""
    seen: Counter[tuple[str, str]] = Counter()
    weights = []
    for stroke in strokes:
        kind = _kind(stroke.part, parts)
        weights.append(stroke.extent * 0.8 ** seen[kind] * rng.uniform(0.7, 1.3))
        seen[kind] += 1
    best = np.argsort(-np.array(weights), kind="stable")[:count]
    return [strokes[i] for i in sorted(best)]


def _hand_affine(rng: np.random.Generator) -> Array:
    """Rotation, shear and unequal scales of the whole drawing, `(2, 3)`; position and size are set afterwards."""
    angle = np.radians(rng.normal(0, 2.8))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, rng.normal(0, 0.05)], [rng.normal(0, 0.025), 1]])
    return np.column_stack([rotation @ shear @ np.diag(np.exp(rng.normal(0, 0.06, 2))), np.zeros(2)])
