"""Simple solids seen from a direction: what chairs are built of."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from fgsbir.data.procedural.parts import Array, Scene, Shape, closed, resampled


def view(yaw: float, pitch: float) -> Array:
    """Rotation `(3, 3)` from the world (x right, y back, z up; metres) to the viewer (x right, y down, z away).

    Args:
        yaw: turn of the object about its vertical axis, degrees.
        pitch: how far the viewer looks down, degrees.
    """
    a, b = np.radians(yaw), np.radians(pitch)
    turn = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    look = np.array([[1, 0, 0], [0, -np.sin(b), -np.cos(b)], [0, np.cos(b), -np.sin(b)]])
    return np.asarray(look @ turn)


class Workshop:
    """Adds solids to a scene, given in world coordinates and turned to the viewer.

    Args:
        scene: receives the shapes.
        rotation: from `view`.
    """

    def __init__(self, scene: Scene, rotation: Array) -> None:
        self.scene, self.rotation = scene, rotation
        self.part = scene.part

    def loft(self, part: int, material: str, start: Array, end: Array) -> None:
        """A convex solid between two rings of corners.

        Args:
            part: index of its part.
            material: name of its surface.
            start: `(n, 3)`.
            end: `(n, 3)`, corner i is joined to corner i of `start`.
        """
        a, b = start @ self.rotation.T, end @ self.rotation.T
        sides = [np.array([a[i - 1], a[i], b[i], b[i - 1]]) for i in range(len(a))]
        centre = np.concatenate([a, b]).mean(0)
        seen = [_faces_viewer(f, centre) for f in sides]
        caps = [f for f in (a, b) if _faces_viewer(f, centre)]
        hull = cv2.convexHull(np.concatenate([a, b])[:, :2].astype(np.float32))
        outline = closed(hull[:, 0].astype(np.float64))
        width = min(cv2.minAreaRect(hull)[1])
        axis = np.array([a.mean(0)[:2], b.mean(0)[:2]])
        slender = width < 0.3 * float(np.linalg.norm(axis[1] - axis[0]))
        lines = [outline]
        if not slender and width > 0.02:
            creases = [closed(cap[:, :2]) for cap in caps]
            if len(a) <= 6:  # a round solid has no edges along its side
                n = len(a)
                creases += [np.array([a[i, :2], b[i, :2]]) for i in range(n) if seen[i] and seen[(i + 1) % n]]
            lines += [run for crease in creases for run in _inside(crease, hull)]
        faces = [f for f, s in zip(sides, seen, strict=True) if s] + caps
        self.scene.shapes.append(Shape(part, material, faces, lines, axis if slender else None))

    def box(self, part: int, material: str, low: tuple[float, float, float], high: tuple[float, float, float]) -> None:
        """An upright box between two opposite corners."""
        ring = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
        self.prism(part, material, ring, low[2], high[2])

    def prism(self, part: int, material: str, ring: Array, bottom: float, top: float) -> None:
        """A convex plan, `(n, 2)` in x and y, raised from `bottom` to `top`."""
        self.loft(part, material, *(np.column_stack([ring, np.full(len(ring), z)]) for z in (bottom, top)))

    def bar(self, part: int, material: str, path: Array, radius: float, end_radius: float | None = None) -> None:
        """A bar of square section that follows a path, drawn as a strip along it.

        Args:
            part: index of its part.
            material: name of its surface.
            path: `(n, 3)`.
            radius: half its thickness at the start.
            end_radius: half its thickness at the end; as at the start if not given.
        """
        radii = np.linspace(radius, radius if end_radius is None else end_radius, len(path))
        along = np.gradient(path, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        # Two directions across the path. The helper is a fixed axis that no bar of a chair follows.
        across = np.cross(along, [0.35, 0.93, 0.11])
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        other = np.cross(along, across)
        signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
        rings = np.stack([path + radii[:, None] * (s * across + t * other) for s, t in signs], axis=1)
        rings = rings @ self.rotation.T
        faces = []
        for a, b in pairwise(rings):
            centre = np.concatenate([a, b]).mean(0)
            quads = [np.array([a[i - 1], a[i], b[i], b[i - 1]]) for i in range(4)]
            faces += [q for q in [*quads, a, b] if _faces_viewer(q, centre)]
        axis = (path @ self.rotation.T)[:, :2]
        tangent = np.gradient(axis, axis=0)
        normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
        normal *= (1.2 * radii / np.maximum(np.linalg.norm(normal, axis=1), 1e-9))[:, None]
        strip = closed(np.concatenate([axis + normal, (axis - normal)[::-1]]))
        self.scene.shapes.append(Shape(part, material, faces, [strip], axis))


def newell(face: Array) -> Array:
    """Normal of a polygon `(n, 3)` that need not be exactly planar, unit length; its sign follows the winding."""
    nxt = np.roll(face, -1, axis=0)
    d, s = face - nxt, face + nxt
    normal = np.array([(d[:, 1] * s[:, 2]).sum(), (d[:, 2] * s[:, 0]).sum(), (d[:, 0] * s[:, 1]).sum()])
    return normal / max(float(np.linalg.norm(normal)), 1e-12)


def _faces_viewer(face: Array, centre: Array) -> bool:
    """Whether the outer side of this face of a convex solid is turned to the viewer."""
    normal = newell(face)
    outward = normal if normal @ (face.mean(0) - centre) > 0 else -normal
    return bool(outward[2] < -1e-3)


def _inside(line: Array, hull: Array) -> list[Array]:
    """The stretches of a line that do not run along the hull's own outline."""
    points = resampled(line, 0.012)
    inner = np.array([cv2.pointPolygonTest(hull, (float(x), float(y)), True) > 0.008 for x, y in points])
    if not inner.any():
        return []
    cuts = np.flatnonzero(np.diff(inner)) + 1
    runs = [r for r, keep in zip(np.split(points, cuts), np.split(inner, cuts), strict=True) if keep[0]]
    return [r for r in runs if len(r) > 3]
