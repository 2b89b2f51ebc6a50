"""Finds the photos nearest to a sketch in two stages: candidates by their vectors, then the system's distances."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from fgsbir.data.reading import placed
from fgsbir.data.sample import PhotoBatch, on_device, stacked
from fgsbir.data.transforms import UnitAffine
from fgsbir.errors import InputError
from fgsbir.retrieval.distances import Hit
from fgsbir.search.distil import read_head
from fgsbir.search.first_stage import DEPTH, FirstStage, open_first_stage
from fgsbir.search.index import PhotoIndex
from fgsbir.search.model import LoadedModel, sketch_batch
from fgsbir.sketch.strokes import IntArray, VectorSketch
from fgsbir.systems.explanation import Explainable, Explanation
from fgsbir.systems.node_system import TreeSystem

EXHAUSTIVE_LIMIT = 5000
"""Most photos that are searched without a first stage."""

Box = tuple[float, float, float, float]


class Found(NamedTuple):
    """The answer to a query, with the milliseconds of each step.

    Attributes:
        hits: photos, nearest first.
        encode_ms: time to draw and encode the sketch.
        first_ms: time of the first stage; about 0 if all photos are candidates.
        match_ms: time to match the candidates.
    """

    hits: list[Hit]
    encode_ms: float
    first_ms: float
    match_ms: float


class PairView(NamedTuple):
    """How a system matched a sketch and a photo. Coordinates are in the unit frame of the sketch or of the photo.

    The photo's frame is a square about its middle, whose side is the photo's longer one.

    Attributes:
        strokes: points of each sketch node; the node of the whole sketch, if there is one, is last and has none.
        stroke_boxes: box of each sketch node, `(x1, y1, x2, y2)`.
        photo_boxes: box of each photo node.
        explanation: merges and attention.
    """

    strokes: list[list[tuple[float, float]]]
    stroke_boxes: list[Box]
    photo_boxes: list[Box]
    explanation: Explanation


class Searcher:
    """Answers queries on an index. It is safe to share by threads, and works on one query at a time.

    Args:
        index: index to search.
        model: model that encoded its photos.
        depth: number R of candidates of the first stage that are matched.
        first: first stage; None matches all photos.

    Raises:
        InputError: if `depth` is less than 1, or there is no first stage for more than `EXHAUSTIVE_LIMIT` photos.
    """

    def __init__(self, index: PhotoIndex, model: LoadedModel, depth: int, first: FirstStage | None = None) -> None:
        if depth < 1:
            raise InputError("--depth", f"{depth} is less than 1", f"use e.g. {DEPTH}")
        if first is None and len(index) > EXHAUSTIVE_LIMIT:
            raise InputError(
                index.folder,
                f"{model.system.name} has no global embedding in this run, and {len(index):,} photos are too many to "
                f"match without one (at most {EXHAUSTIVE_LIMIT:,})",
                "distil vectors: fgsbir index --out INDEX --distil, or train with a global_weight above 0",
            )
        self.index, self.model, self.depth, self.first = index, model, depth, first
        self.system, self.rendering = model.system, model.data.rendering
        self._photo = {stored.row: photo for photo, stored in index.photos.items()}
        self._rows, self._head = index.rows(), read_head(index.folder, index.manifest.fields)
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        run: Path | None = None,
        depth: int | None = None,
        recall: float | None = None,
        backend: str = "faiss",
    ) -> Searcher:
        """Opens an index and the run that made it.

        Args:
            folder: folder of the index.
            run: folder of the run, if it was moved since the index was made.
            depth: number of candidates that are matched; `DEPTH` by default.
            recall: share of the exhaustive top 10 that the candidates should contain; in place of `depth`.
            backend: backend of the first stage; see `open_first_stage`.

        Raises:
            InputError: if index or run is missing or damaged, the index was made by another model or is empty, or
                `recall` is given and was not measured.
        """
        index = PhotoIndex(folder)
        if not len(index):
            raise InputError(folder, "the index is empty", "add photos: fgsbir index PHOTOS --out INDEX")
        if depth is not None and recall is not None:
            raise InputError("--recall", "--depth is given too", "give one of them")
        if recall is not None:
            if index.manifest.recall is None:
                problem = "the recall of this index was not measured"
                raise InputError("--recall", problem, "measure it: fgsbir index --out INDEX --measure")
            depth = index.manifest.recall.depth_for(recall, len(index))
        model = LoadedModel.load(run or Path(index.manifest.model.run))
        index.manifest.model.require_same(model.record, folder)
        first = None if index.vector_field is None else open_first_stage(index, backend)
        if first is not None:
            first.require_complete(index)
        return cls(index, model, DEPTH if depth is None else depth, first)

    def __len__(self) -> int:
        return len(self.index)

    def search(self, sketch: VectorSketch, top: int = 10) -> Found:
        """The photos nearest to a sketch.

        Args:
            sketch: sketch on any canvas; it is placed as the run's own sketches are.
            top: most photos to return.
        """
        with self._lock:
            start = time.perf_counter()
            encoded = self.encode(sketch)
            drawn = time.perf_counter()
            rows = self.candidates(encoded, top)
            chosen = time.perf_counter()
            distances = self.distances(encoded, rows)
            order = np.lexsort((rows, distances))[:top]
            end = time.perf_counter()
        hits = [Hit(self._photo[int(rows[i])], float(distances[i])) for i in order]
        return Found(hits, 1e3 * (drawn - start), 1e3 * (chosen - drawn), 1e3 * (end - chosen))

    @torch.inference_mode()
    def encode(self, sketch: VectorSketch) -> Any:
        """The encoding of a sketch, a batch of one."""
        sketch = placed(sketch, self.index.manifest.margin)
        return self.system.encode_batch(sketch_batch(self.rendering, sketch, self.system.device))

    def candidates(self, encoded: Any, top: int) -> IntArray:
        """The rows to match: all, or the `depth` (at least `top`) nearest by their vectors."""
        depth = max(self.depth, top)
        return self._rows if self.first is None or depth >= len(self) else self.nearest(encoded, depth)

    def nearest(self, encoded: Any, count: int) -> IntArray:
        """The `count` rows nearest by their vectors, nearest first; all, if there are fewer."""
        assert self.first is not None
        assert self.index.vector_field is not None
        if self._head is not None:
            vector = self._head.sketch(encoded)
        else:
            vector = getattr(encoded, self.index.vector_field).flatten().cpu().numpy()
        asked = count
        while True:
            rows = self.first.nearest(vector, asked)
            known = rows[[int(row) in self._photo for row in rows]]  # a shared collection may have newer photos
            if len(known) >= count or len(rows) < asked:
                return known[:count]
            asked *= 2

    @torch.inference_mode()
    def distances(self, encoded: Any, rows: IntArray) -> npt.NDArray[np.float32]:
        """The system's distances from one sketch to the photos in R rows, `(R,)`."""
        return self.system.match_all(encoded, self._encodings(encoded, rows))[0].cpu().numpy()

    def _encodings(self, encoded: Any, rows: IntArray) -> Any:
        """The photos in R rows as a batch of the same type as `encoded`, on the system's device."""
        return type(encoded)(*(torch.from_numpy(f).to(self.system.device) for f in self.index.encodings(rows)))

    def thumbnail(self, photo: str) -> bytes:
        """A photo as a small JPEG; KeyError for an unknown id."""
        return self.index.thumbnail(photo)

    def explain(self, sketch: VectorSketch, photo: str) -> PairView | None:
        """How the system matches a sketch and a photo; None without trees. KeyError for an unknown photo."""
        row = self.index.photos[photo].row
        if not isinstance(self.system, Explainable):
            return None
        sketch = placed(sketch, self.index.manifest.margin)
        batch = sketch_batch(self.rendering, sketch, self.system.device)
        boxes = self.index.boxes(row)
        with self._lock, torch.inference_mode():
            if isinstance(self.system, TreeSystem):  # the stored encoding suffices
                encoded = self.system.encode_batch(batch)
                explanation = self.system.explain(encoded, self._encodings(encoded, np.array([row])))[0]
            else:
                pixels = np.asarray(Image.open(io.BytesIO(self.thumbnail(photo))))
                # The boxes are in the photo's square frame already, so it is filled up before.
                pixels = UnitAffine.letterbox(*pixels.shape[:2]).image(pixels, max(pixels.shape[:2]))
                shown = stacked([PhotoBatch(*self.rendering.photo(pixels, boxes, UnitAffine()), torch.tensor(0))])
                explanation = self.system.explain_images(batch, on_device(shown, self.system.device))[0]
        nodes = sketch.grouped(self.rendering.max_strokes).strokes
        strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in nodes]
        strokes += [[]] * self.rendering.whole_sketch_node
        stroke_boxes = batch.boxes[0][batch.mask[0]].cpu().numpy()
        return PairView(strokes, [_box(b) for b in stroke_boxes], [_box(b) for b in boxes], explanation)


def _box(box: npt.NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2
