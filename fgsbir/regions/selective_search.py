"""Photo regions by selective search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import cache_root, usable_cores
from fgsbir.progress import progress
from fgsbir.regions.cache import BoxCache
from fgsbir.regions.source import Photo, RegionSource
from fgsbir.sketch.strokes import FloatArray

_ALGORITHM = 1  # raise it when the same settings give other boxes than before


class SelectiveSearch(RegionSource):
    """Class-agnostic regions, largest first: selective search of Uijlings et al. 2013, as OpenCV has it.

    The paper pools photo features over the top k regions of selective search, the whole photo among them,
    and adopts k = 16 (Sain et al. 2020, slide 13).

    OpenCV shuffles its boxes: the set is the same at each call, the order is not. So they are sorted here, by area and
    then by coordinates. A box that overlaps an earlier one nearly fully is dropped, because it would be the same node
    twice.

    Deviations: the paper does not say how the k regions are chosen. The authors' published boxes are in the
    shuffled order of one run; `BoxFile` reads them.

    Args:
        top_k: largest number of regions of a photo, the whole photo included. A plain photo has fewer.
        min_side: smallest side of a box, as a share of the photo's side, in [0, 1); others are dropped.
        max_iou: largest intersection over union of two boxes, in (0, 1]; above it the smaller one is dropped. With the
            default the regions are about as large as the authors' (median 13 % of the photo; theirs 15 %).
        mode: "fast" or "quality", which segments in more ways: three to four times the candidates and the time.
        max_side: longer side, in pixels, to which a larger photo is shrunk first.
        cache_dir: folder that keeps the boxes; `$FGSBIR_CACHE/regions`, else `~/.cache/fgsbir/regions`, if not given.
            Runs that differ in `top_k` alone share their entries.
        workers: number of threads; 0 for one a core.

    Raises:
        InputError: if an argument is out of its range.
    """

    computed = True

    def __init__(
        self,
        top_k: int = 16,
        min_side: float = 10 / 256,
        max_iou: float = 0.5,
        mode: Literal["fast", "quality"] = "fast",
        max_side: int = 256,
        cache_dir: str | Path | None = None,
        workers: int = 0,
    ) -> None:
        for field, value, good, fix in (
            ("top_k", top_k, top_k >= 1, "use 1 or more"),
            ("min_side", min_side, 0 <= min_side < 1, "use a share of the side in [0, 1)"),
            ("max_iou", max_iou, 0 < max_iou <= 1, "use a value in (0, 1]"),
            ("mode", mode, mode in ("fast", "quality"), "use 'fast' or 'quality'"),
            ("max_side", max_side, max_side >= 16, "use 16 or more"),
            ("workers", workers, workers >= 0, "use 0 for one a core, or a number of threads"),
        ):
            if not good:
                raise InputError(f"regions.{field}", f"{value!r} is out of range", fix)
        self.top_k, self.min_side, self.max_iou = top_k, min_side, max_iou
        self.mode, self.max_side, self.workers = mode, max_side, workers
        settings = {"min_side": min_side, "max_iou": max_iou, "mode": mode, "max_side": max_side}
        folder = Path(cache_dir).expanduser() if cache_dir else cache_root() / "regions"
        self.cache = BoxCache(folder, {"algorithm": _ALGORITHM, "opencv": cv2.__version__, **settings})

    def regions(self, photos: Sequence[Photo]) -> dict[str, FloatArray]:
        """The regions of each photo `(N, 4)`, N <= top_k, from the cache or computed and kept there.

        Raises:
            InputError: if a photo cannot be read, or the cache cannot be written.
        """
        digests = {photo.id: photo.digest() for photo in photos}
        cached = {digest: self.cache.get(digest) for digest in digests.values()}
        found = {digest: boxes for digest, boxes in cached.items() if boxes is not None}
        if missing := {digests[photo.id]: photo for photo in photos if digests[photo.id] not in found}:
            self.cache.require_writable()
            found |= self._compute(missing)
        return {id_: found[digest][: self.top_k] for id_, digest in digests.items()}

    def _compute(self, photos: Mapping[str, Photo]) -> dict[str, FloatArray]:
        """Finds and keeps the candidates of photos, by their digests."""
        found = {}
        pool = ThreadPoolExecutor(self.workers or usable_cores())  # OpenCV runs without the interpreter's lock
        try:
            results = zip(photos, pool.map(self._candidates, photos.values()), strict=True)
            for digest, boxes in progress(results, "Selective search", len(photos), "photo"):
                self.cache.put(digest, boxes)
                found[digest] = boxes
        finally:
            pool.shutdown(cancel_futures=True)  # a broken photo or Ctrl-C must not wait for all the others
        return found

    def _candidates(self, photo: Photo) -> FloatArray:
        """All regions of a photo, the whole first, before `top_k` cuts them."""
        image = photo.read()
        height, width = image.shape[:2]
        scale = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale < 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        boxes = _search(image, self.mode)
        wide = (boxes[:, 2:] - boxes[:, :2] >= self.min_side * np.array(size)).all(1)
        whole = np.array([[0, 0, *size]])
        chosen = _select(np.concatenate([whole, boxes[wide]]), self.max_iou)
        return np.asarray(chosen / np.array(size * 2), dtype=np.float32)


def _search(image: npt.NDArray[np.uint8], mode: str) -> npt.NDArray[np.int64]:
    """Boxes `(N, 4)` as `(x1, y1, x2, y2)` in pixels, in random order."""
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[:, :, ::-1]))  # OpenCV reads BGR
    if mode == "quality":
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    x, y, w, h = np.asarray(search.process(), dtype=np.int64).T
    return np.stack([x, y, x + w, y + h], axis=1)


def _select(boxes: npt.NDArray[np.int64], max_iou: float) -> npt.NDArray[np.int64]:
    """`boxes` by area, each only if it overlaps no earlier one by more than `max_iou`."""
    x1, y1, x2, y2 = boxes.T
    area = (x2 - x1) * (y2 - y1)
    left = np.lexsort((y2, x2, y1, x1, -area))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        w = np.minimum(x2[first], x2[left]) - np.maximum(x1[first], x1[left])
        h = np.minimum(y2[first], y2[left]) - np.maximum(y1[first], y1[left])
        overlap = w.clip(0) * h.clip(0)
        left = left[overlap <= max_iou * (area[first] + area[left] - overlap)]
    return boxes[kept]
