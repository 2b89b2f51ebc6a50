"""What a generated object is made of: parts in a tree, and the shapes that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One node of an object's part tree, as it is seen in the photo.

    Args:
        name: kind of part, e.g. "seat"; for screens one of the component labels of RICO.
        parent: index of its parent in the list of parts, always smaller than its own; -1 for the root.
        box: `(x1, y1, x2, y2)` around the visible pixels of it and its descendants, in [0, 1] of the photo.
    """

    name: str
    parent: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """One thing with an outline of its own, belonging to one part.

    Coordinates are x right, y down, z away from the viewer, without perspective.

    Args:
        part: index into the scene's parts.
        material: name of its surface; what a name looks like is chosen anew for each photo.
        faces: planar polygons, `(n, 3)` each. Where faces overlap, the nearer one is seen.
        lines: lines that a hand would draw of it, `(n, 2)` each; a closed line repeats its first point.
        axis: the short form of a thin shape, `(n, 2)`: one line in place of `lines`.
    """

    part: int
    material: str
    faces: Sequence[Array]
    lines: Sequence[Array]
    axis: Array | None = None


@dataclass
class Scene:
    """An object under construction.

    Args:
        parts: `(name, parent)` of each part, the root first.
        shapes: in any order; depth decides what is seen.
        framed: coordinates are already in the unit frame (screens); otherwise the photo places the object.
    """

    parts: list[tuple[str, int]]
    shapes: list[Shape] = field(default_factory=list)
    framed: bool = False

    def part(self, name: str, parent: int = 0) -> int:
        """Adds a part and returns its index."""
        self.parts.append((name, parent))
        return len(self.parts) - 1

    def flat(
        self,
        part: int,
        material: str,
        outline: Array,
        layer: float,
        lines: Sequence[Array] | None = None,
        axis: Array | None = None,
    ) -> None:
        """Adds a flat shape, `outline` `(n, 2)`, that faces the viewer; a higher layer is nearer.

        Args:
            part: index of its part.
            material: name of its surface.
            outline: polygon, not closed, `(n, 2)`.
            layer: order of covering; shapes on higher layers cover it.
            lines: lines to draw; the closed outline if not given.
            axis: one line in place of `lines`, see `Shape`.
        """
        face = np.column_stack([outline, np.full(len(outline), -layer)])
        self.shapes.append(Shape(part, material, [face], [closed(outline)] if lines is None else lines, axis))


def closed(points: Array) -> Array:
    """The polygon as a line that returns to its first point, `(n + 1, 2)`."""
    return np.concatenate([points, points[:1]])


def resampled(points: Array, step: float) -> Array:
    """The line with points `step` apart or slightly less; first and last are kept."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(2, int(np.ceil(length[-1] / step)) + 1))
    return np.column_stack([np.interp(at, length, points[:, i]) for i in range(points.shape[1])])


def spline(points: Array, per_span: int = 8) -> Array:
    """A smooth curve through the points, `((n - 1) * per_span + 1, d)` (Catmull-Rom)."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.arange(per_span)[:, None] / per_span
    spans = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate([*spans, points[-1:]])


def ellipse(cx: float, cy: float, rx: float, ry: float, count: int = 20) -> Array:
    """Polygon of an ellipse, `(count, 2)`."""
    angle = np.arange(count) * 2 * np.pi / count
    return np.column_stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)])


def rectangle(x1: float, y1: float, x2: float, y2: float, radius: float = 0.0) -> Array:
    """Polygon of a rectangle with rounded corners, `(4, 2)` if the radius is 0 and `(20, 2)` otherwise."""
    if radius <= 0:
        return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    radius = min(radius, (x2 - x1) / 2, (y2 - y1) / 2)
    quarter = np.linspace(0, np.pi / 2, 5)
    corners = [(x2 - radius, y2 - radius, 0.0), (x1 + radius, y2 - radius, 0.5)]
    corners += [(x1 + radius, y1 + radius, 1.0), (x2 - radius, y1 + radius, 1.5)]
    pieces = []
    for cx, cy, turn in corners:
        angle = quarter + turn * np.pi
        pieces.append(np.column_stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)]))
    return np.concatenate(pieces)
