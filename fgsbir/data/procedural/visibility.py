"""What of a scene can be seen: a map of faces, the parts' boxes and the visible stretches of the lines."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.data.procedural.parts import Array, Part, Scene, resampled
from fgsbir.data.procedural.solid import newell

SIDE = 384
"""Side of the map in pixels. It does not follow the photo's size, so boxes and sketches do not depend on that."""


@dataclass(frozen=True)
class Contour:
    """The visible lines of one shape, in [0, 1] of the photo.

    Args:
        part: index into the visible parts.
        lines: `(n, 2)` each; a closed line repeats its first point.
        axis: the shape in one line where it is thin, else empty.
    """

    part: int
    lines: tuple[Array, ...]
    axis: tuple[Array, ...]


@dataclass(frozen=True)
class Visible:
    """A scene as it is seen.

    Args:
        parts: those with a visible pixel, parents before children.
        contours: in the order of the scene's shapes.
        shape_map: `(SIDE, SIDE)`, index of the shape seen at each pixel, -1 for the background.
        face_map: `(SIDE, SIDE)`, index into `normals`, -1 for the background.
        normals: `(F, 3)`, unit, turned to the viewer.
        placement: `(scale, x shift, y shift)` from scene coordinates to the unit frame.
    """

    parts: tuple[Part, ...]
    contours: tuple[Contour, ...]
    shape_map: npt.NDArray[np.int32]
    face_map: npt.NDArray[np.int32]
    normals: Array
    placement: Array


def look_at(scene: Scene, rng: np.random.Generator) -> Visible:
    """Places the object in the frame (slightly off centre, of slightly random size) and finds what is seen."""
    placement = np.array([1.0, 0.0, 0.0]) if scene.framed else _place(scene, rng)
    face_map, normals, owner = _depth_buffer(scene, placement)
    shape_map = np.where(face_map >= 0, owner[face_map], np.int32(-1))
    parts, renumbered = _visible_parts(scene, shape_map)
    contours = []
    for index, shape in enumerate(scene.shapes):
        if renumbered[shape.part] < 0:
            continue
        lines = [run for line in shape.lines for run in _visible_runs(_placed(line, placement), shape_map, index)]
        axis = [] if shape.axis is None else _visible_runs(_placed(shape.axis, placement), shape_map, index)
        if lines or axis:
            contours.append(Contour(int(renumbered[shape.part]), tuple(lines), tuple(axis)))
    return Visible(parts, tuple(contours), shape_map, face_map, normals, placement)


def _place(scene: Scene, rng: np.random.Generator) -> Array:
    """Scale and shift that put the object near the middle of the frame."""
    points = np.concatenate([face[:, :2] for shape in scene.shapes for face in shape.faces])
    low, high = points.min(0), points.max(0)
    extent = rng.uniform(0.6, 0.88)
    scale = extent / (high - low).max()
    shift = 0.5 - scale * (low + high) / 2 + rng.uniform(-0.4, 0.4, 2) * (0.96 - extent)
    return np.array([scale, *shift])


def _placed(points: Array, placement: Array) -> Array:
    """Scene coordinates `(n, 2)` in the unit frame."""
    return np.asarray(points * placement[0] + placement[1:])


def _depth_buffer(scene: Scene, placement: Array) -> tuple[npt.NDArray[np.int32], Array, npt.NDArray[np.int32]]:
    """The nearest face at each pixel, the normals of all faces and the shape each belongs to."""
    nearest = np.full((SIDE, SIDE), np.inf, dtype=np.float32)
    face_map = np.full((SIDE, SIDE), -1, dtype=np.int32)
    normals, owner = [], []
    for index, shape in enumerate(scene.shapes):
        for face in shape.faces:
            normal = newell(face)
            normal = -normal if normal[2] > 0 else normal
            normals.append(normal)
            owner.append(index)
            if abs(normal[2]) < 1e-3:  # seen edge on
                continue
            pixels = _placed(face[:, :2], placement) * SIDE
            x1, y1 = np.floor(pixels.min(0)).astype(int).clip(0, SIDE)
            x2, y2 = (np.ceil(pixels.max(0)).astype(int) + 1).clip(0, SIDE)
            if x2 <= x1 or y2 <= y1:
                continue
            inside = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
            corners = np.rint((pixels - (x1, y1)) * 16 - 8).astype(np.int32)
            cv2.fillPoly(inside, [corners], (1,), cv2.LINE_8, 4)
            # The face's plane over the pixels, in units of the scene.
            slope = -normal[:2] / normal[2] / (placement[0] * SIDE)
            centre = pixels.mean(0)
            xs, ys = np.arange(x1, x2) + 0.5 - centre[0], np.arange(y1, y2) + 0.5 - centre[1]
            depth = (face[:, 2].mean() + slope[1] * ys[:, None] + slope[0] * xs).astype(np.float32)
            window = (slice(y1, y2), slice(x1, x2))
            closer = (inside > 0) & (depth < nearest[window])
            nearest[window][closer] = depth[closer]
            face_map[window][closer] = len(owner) - 1
    return face_map, np.array(normals), np.array(owner, dtype=np.int32)


def _visible_parts(scene: Scene, shape_map: npt.NDArray[np.int32]) -> tuple[tuple[Part, ...], npt.NDArray[np.int32]]:
    """The parts that are seen, and for each part of the scene its new index or -1."""
    boxes = np.tile([np.inf, np.inf, -np.inf, -np.inf], (len(scene.parts), 1))
    ys, xs = np.nonzero(shape_map >= 0)
    part_of_shape = np.array([shape.part for shape in scene.shapes], dtype=np.int16)
    seen = part_of_shape[shape_map[ys, xs]]
    order = np.argsort(seen, kind="stable")
    found, first = np.unique(seen[order], return_index=True)
    low, high = (np.stack([f.reduceat(v[order], first) for v in (xs, ys)], 1) for f in (np.minimum, np.maximum))
    boxes[found] = np.concatenate([low, high + 1], axis=1)
    if scene.framed:
        boxes[0] = (0, 0, SIDE, SIDE)
    for index in range(len(scene.parts) - 1, 0, -1):  # a parent comes before its children
        parent = scene.parts[index][1]
        boxes[parent, :2] = np.minimum(boxes[parent, :2], boxes[index, :2])
        boxes[parent, 2:] = np.maximum(boxes[parent, 2:], boxes[index, 2:])
    renumbered = np.full(len(scene.parts), -1, dtype=np.int32)
    parts: list[Part] = []
    for index, (name, parent) in enumerate(scene.parts):
        if np.isfinite(boxes[index]).all():
            renumbered[index] = len(parts)
            x1, y1, x2, y2 = (boxes[index] / SIDE).tolist()
            parts.append(Part(name, int(renumbered[parent]) if parent >= 0 else -1, (x1, y1, x2, y2)))
    return tuple(parts), renumbered


def _visible_runs(line: Array, shape_map: npt.NDArray[np.int32], shape: int) -> list[Array]:
    """The stretches of a line beside which its own shape is seen."""
    points = resampled(line, 0.01)
    reach = np.arange(-3, 4)
    x = (points[:, 0] * SIDE).astype(int)[:, None, None] + reach[None, None, :]
    y = (points[:, 1] * SIDE).astype(int)[:, None, None] + reach[None, :, None]
    seen = (shape_map[y.clip(0, SIDE - 1), x.clip(0, SIDE - 1)] == shape).any((1, 2))
    if seen.all():
        return [points]
    if not seen.any():
        return []
    if np.allclose(points[0], points[-1]):  # begin a closed line where it is hidden, so that no run is cut in two
        start = int(np.flatnonzero(~seen)[0])
        points, seen = np.roll(points[:-1], -start, axis=0), np.roll(seen[:-1], -start)
    cuts = np.flatnonzero(np.diff(seen)) + 1
    runs = [r for r, s in zip(np.split(points, cuts), np.split(seen, cuts), strict=True) if s[0]]
    return [r for r in runs if len(r) > 3]
