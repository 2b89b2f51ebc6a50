"""Boxes on disk, one small file a photo, so that they are computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fgsbir.files import atomic_write, require_writable
from fgsbir.sketch.strokes import FloatArray


class BoxCache:
    """Boxes on disk, keyed by the content of the photo and the settings that made them.

    Another setting gives another folder and another photo another file, so no entry is ever stale.

    Args:
        root: folder of the cache.
        settings: everything the boxes depend on beside the photo; JSON values.
    """

    def __init__(self, root: Path, settings: Mapping[str, object]) -> None:
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = root / key

    def require_writable(self) -> None:
        """Tries to write into the folder of these boxes, see `fgsbir.files.require_writable`."""
        require_writable(self.folder)

    def get(self, digest: str) -> FloatArray | None:
        """The boxes `(N, 4)` of the photo with this content; None if they are missing or the file is damaged."""
        try:
            with self._path(digest).open("rb") as file:
                boxes = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        shaped = boxes.dtype == np.float32 and boxes.ndim == 2 and boxes.shape[1] == 4 and len(boxes) > 0
        return boxes if shaped and ((boxes >= 0) & (boxes <= 1)).all() else None

    def put(self, digest: str, boxes: FloatArray) -> None:
        """Keeps the boxes of the photo with this content.

        Raises:
            InputError: if the file cannot be written.
        """
        with atomic_write(self._path(digest)) as file:
            np.save(file, boxes, allow_pickle=False)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.npy"
