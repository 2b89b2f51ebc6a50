"""Photo regions from the box files that the paper's authors published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from fgsbir.errors import InputError
from fgsbir.regions.source import Photo, RegionSource
from fgsbir.sketch.formats import load_restricted
from fgsbir.sketch.strokes import FloatArray


class BoxFile(RegionSource):
    """Reads a pickle of `{"<photo id>.png": [[x1, y1, x2, y2], ...]}`, the whole photo first, in pixels.

    The paper's authors published such files of selective-search regions for ShoeV2 and ChairV2. The first
    box of a photo gives its frame: 8 photos of ChairV2 have boxes in 500 x 500 pixels, the others in 256 x 256.

    Args:
        path: the pickle; nothing but numbers, strings and containers is read from it.
        top_k: largest number of regions of a photo, the whole photo included.

    Raises:
        InputError: if `top_k` is less than 1.
    """

    def __init__(self, path: str | Path, top_k: int = 16) -> None:
        if top_k < 1:
            raise InputError("regions.top_k", f"{top_k} is out of range", "use 1 or more")
        self.path, self.top_k = Path(path), top_k

    def regions(self, photos: Sequence[Photo]) -> dict[str, FloatArray]:
        """The first `top_k` boxes of each photo, `(N, 4)`.

        Raises:
            InputError: if the file is no such pickle, lacks a photo, or has a box outside its photo.
        """
        content = self._content
        if missing := [photo.id for photo in photos if f"{photo.id}.png" not in content]:
            problem = f"it has no boxes for {len(missing)} of {len(photos)} photos, first '{missing[0]}'"
            raise InputError(self.path, problem, "use the box file of this dataset, or SelectiveSearch")
        return {p.id: self._boxes(p.id, content[f"{p.id}.png"])[: self.top_k] for p in photos}

    @cached_property
    def _content(self) -> dict[str, object]:
        """The file, read once."""
        content = load_restricted(self.path)
        if not isinstance(content, dict):
            raise InputError(self.path, "it holds no dictionary of boxes", "use the published box file")
        return content

    def _boxes(self, photo_id: str, entry: object) -> FloatArray:
        """One entry, checked and divided by its frame."""
        where, fix = f"{self.path} ['{photo_id}.png']", "repair the entry"
        try:
            boxes = np.asarray(entry, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            raise InputError(where, "the entry is no list of boxes", fix) from None
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) or not np.isfinite(boxes).all():
            raise InputError(where, f"the entry is no list of boxes, its shape is {boxes.shape}", fix)
        if (boxes[0, :2] != 0).any() or (boxes[0, 2:] <= 0).any():
            raise InputError(where, f"the first box {boxes[0].tolist()} is not the whole photo", fix)
        boxes = boxes / np.tile(boxes[0, 2:], 2)
        wrong = (boxes < 0).any(1) | (boxes > 1).any(1) | (boxes[:, 2:] <= boxes[:, :2]).any(1)
        if wrong.any():
            raise InputError(where, f"box {int(wrong.argmax())} is empty or leaves the photo", fix)
        return boxes.astype(np.float32)
