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


class ViewHierarchy(RegionSource):
    """Regions from RICO's semantic view hierarchies, `<photo id>.json` (Liu et al. 2018).

    Every node is a region, whether it is a container or has a `componentLabel`. Those outside the screen, without
    area or equal to an earlier one are dropped, the others are cut off at the screen's edge.

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
        fix = "put RICO's semantic annotations there, or name the folder above in FGSBIR_DATA or regions.root"
        raise InputError(self.root, "no folder 'hierarchies', here or in 'swire'", fix)


def read_view_hierarchy(path: Path) -> FloatArray:
    """The boxes of a semantic view hierarchy, `(N, 4)` in [0, 1], the whole screen first and then by area.

    A root that only fits the frame turned by a right angle is a screen that was held sideways.

    Args:
        path: JSON; a node has `bounds` `[x1, y1, x2, y2]` and, maybe, a list `children`.

    Raises:
        InputError: if the file is missing, no JSON, or has a node that is not as described.
    """
    try:
        root = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(path, f"it is no JSON ({error})", "replace the file") from None
    nodes = np.array(_bounds(path, root))
    width, height = FRAME[::-1] if nodes[0, 2] > FRAME[0] and nodes[0, 3] <= FRAME[0] else FRAME
    frame = np.array([width, height] * 2)
    boxes = np.vstack([[0, 0, width, height], nodes.clip(0, frame)])
    boxes = boxes[np.sort(np.unique(boxes, axis=0, return_index=True)[1])]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(boxes[np.argsort(-areas, kind="stable")] / frame, dtype=np.float32)


def _bounds(path: Path, root: Any) -> list[list[float]]:
    """`bounds` of all nodes, depth-first."""
    found = []
    left = [("root", root)]
    while left:
        name, node = left.pop()
        where, fix = f"{path}: {name}", "use RICO's semantic annotations"
        if not isinstance(node, dict):
            raise InputError(where, "it is no JSON object", fix)
        bounds, children = node.get("bounds"), node.get("children") or []
        if not _is_box(bounds):
            raise InputError(f"{where}.bounds", f"{bounds!r:.60} is no [x1, y1, x2, y2]", fix)
        if not isinstance(children, list):
            raise InputError(f"{where}.children", "it is no list", fix)
        found.append(bounds)
        left += [(f"{name}.children[{i}]", child) for i, child in reversed(list(enumerate(children)))]
    return found


def _is_box(bounds: Any) -> TypeGuard[list[float]]:
    """Whether this is a list of four sensible numbers: no text, truth value, NaN or infinity."""
    return (
        isinstance(bounds, list) and len(bounds) == 4 and all(type(v) in (int, float) and abs(v) < 1e9 for v in bounds)
    )
