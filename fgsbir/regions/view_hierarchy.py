"""Photo regions of app screens: the boxes of their view hierarchy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from fgsbir.errors import InputError
from fgsbir.files import data_root, read_bytes
from fgsbir.regions.source import Photo, RegionSource
from fgsbir.sketch.strokes import FloatArray

FRAME = (1440, 2560)
"""Width and height of the frame of `bounds`, in pixels, whatever the size of the screenshot."""

Box = tuple[float, float, float, float]

_FIX = "use RICO's view hierarchies, semantic or raw"


class ViewHierarchy(RegionSource):
    """Regions from RICO's view hierarchies, `<photo id>.json`: raw (Deka et al. 2017) or semantic (Liu et al. 2018).

    Every node that the user sees is a region, whether it is a container or has a `componentLabel`. Nodes that are not
    `visible-to-user` are dropped with all that is in them, and so are those outside the screen, without area or equal
    to an earlier one. The others are cut off at the edge of the screen, and of an open drawer that lies over them.

    Deviations: the authors' `util_bbox.py` lists the nodes depth-first. Here larger ones come first, as with
    `SelectiveSearch`, so that `top_k` leaves out details and not the lower half of the screen; equal ones depth-first.

    Args:
        root: folder that holds `hierarchies/`, or the folder above it where it is called `swire`; `$FGSBIR_DATA`, else
            `data`, if not given.
        top_k: largest number of regions of a screen, the whole screen included.

    Raises:
        InputError: if `top_k` is less than 1.
    """

    def __init__(self, root: str | Path | None = None, top_k: int = 16) -> None:
        if top_k < 1:
            raise InputError("regions.top_k", f"{top_k} is out of range", "use 1 or more")
        self.root, self.top_k = data_root(root), top_k

    def regions(self, photos: Sequence[Photo]) -> dict[str, FloatArray]:
        """The regions of each screen, `(N, 4)`, the whole screen first.

        Raises:
            InputError: if the folder or a file is missing, or a file is no such hierarchy.
        """
        for folder in (self.root / "hierarchies", self.root / "swire" / "hierarchies"):
            if folder.is_dir():
                return {photo.id: read_view_hierarchy(folder / f"{photo.id}.json")[: self.top_k] for photo in photos}
        fix = "put RICO's view hierarchies there, or name the folder above in FGSBIR_DATA or regions.root"
        raise InputError(self.root, "no folder 'hierarchies', here or in 'swire'", fix)


def read_view_hierarchy(path: Path) -> FloatArray:
    """The boxes of a view hierarchy, `(N, 4)` in [0, 1], the whole screen first and then by area.

    A root that only fits the frame turned by a right angle is a screen that was held sideways.

    Args:
        path: JSON, semantic or raw; the root of a raw one is its `activity.root`. A node has `bounds`
            `[x1, y1, x2, y2]` and, maybe, `children` (nulls are skipped), `visible-to-user`, `class` and `ancestors`.

    Raises:
        InputError: if the file is missing, no JSON, or has a node that is not as described.
    """
    try:
        root = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(path, f"it is no JSON ({error})", "replace the file") from None
    where = f"{path}: root"
    if isinstance(root, dict) and "activity" in root:
        activity = root["activity"]
        where, root = f"{path}: activity.root", activity.get("root") if isinstance(activity, dict) else None
    _, _, right, bottom = _bounds(where, root)
    width, height = FRAME[::-1] if right > FRAME[0] and bottom <= FRAME[0] else FRAME
    screen = (0, 0, width, height)
    boxes = np.array([screen, *_seen(where, root, screen)])
    boxes = boxes[np.sort(np.unique(boxes, axis=0, return_index=True)[1])]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(boxes[np.argsort(-areas, kind="stable")] / np.array(screen[2:] * 2), dtype=np.float32)


def _seen(where: str, root: Any, screen: Box) -> list[Box]:
    """The part of each node that the user sees, depth-first; it may have no area."""
    found = []
    left = [(where, root, screen)]
    while left:
        where, node, window = left.pop()
        if _is_hidden(node):
            continue  # with all that is in it
        box = _bounds(where, node)
        found.append(_overlap(box, window))
        children = node.get("children") or []
        if not isinstance(children, list):
            raise InputError(f"{where}.children", "it is no list", _FIX)
        named = [(f"{where}.children[{i}]", child) for i, child in enumerate(children) if child is not None]
        windows = [window] * len(named)
        if named and _is_drawer_layout(node):
            windows[0] = _beside(box, window, [_bounds(at, child) for at, child in named[1:] if not _is_hidden(child)])
        left += [(*child, seen) for child, seen in zip(named, windows, strict=True)][::-1]
    return found


def _is_hidden(node: Any) -> bool:
    return isinstance(node, dict) and node.get("visible-to-user") is False


def _is_drawer_layout(node: dict[str, Any]) -> bool:
    """Whether this is Android's `DrawerLayout`, or derived from it: its first child is the content, the others slide
    over it from a side.
    """
    ancestors = node.get("ancestors")
    classes = [node.get("class"), *(ancestors if isinstance(ancestors, list) else [])]
    return any(str(name).rpartition(".")[2] == "DrawerLayout" for name in classes)


def _beside(layout: Box, window: Box, drawers: Sequence[Box]) -> Box:
    """What drawers leave of a window into their layout."""
    x1, y1, x2, y2 = window
    for left, _, right, _ in drawers:
        if left <= layout[0]:
            x1 = max(x1, right)
        else:
            x2 = min(x2, left)
    return x1, y1, x2, y2


def _overlap(box: Box, window: Box) -> Box:
    x1, y1, x2, y2 = box
    return max(x1, window[0]), max(y1, window[1]), min(x2, window[2]), min(y2, window[3])


def _bounds(where: str, node: Any) -> Box:
    """`bounds` of a node."""
    if not isinstance(node, dict):
        raise InputError(where, "it is no JSON object", _FIX)
    bounds = node.get("bounds")
    if not _is_box(bounds):
        raise InputError(f"{where}.bounds", f"{bounds!r:.60} is no [x1, y1, x2, y2]", _FIX)
    x1, y1, x2, y2 = bounds
    return x1, y1, x2, y2


def _is_box(bounds: Any) -> TypeGuard[list[float]]:
    """Whether this is a list of four sensible numbers: no text, truth value, NaN or infinity."""
    return (
        isinstance(bounds, list) and len(bounds) == 4 and all(type(v) in (int, float) and abs(v) < 1e9 for v in bounds)
    )
