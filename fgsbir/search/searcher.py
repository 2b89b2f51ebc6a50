"""Finds the photos nearest to a drawing: by vectors first, then pair by pair."""

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

from fgsbir.data.dataset import Rendering
from fgsbir.data.sample import PhotoBatch, stacked
from fgsbir.data.transforms import UnitAffine
from fgsbir.errors import InputError
from fgsbir.search.distil import read_head
from fgsbir.search.first_stage import FirstStage, open_first_stage
from fgsbir.search.index import IntArray, PhotoIndex
from fgsbir.search.model import LoadedModel, placed, sketch_batch
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.systems.base import System
from fgsbir.systems.explanation import Explainable, Explanation
from fgsbir.systems.node_system import TreeSystem

DEPTH = 100
"""Candidates of the first stage where neither depth nor recall is asked for."""
EXHAUSTIVE_LIMIT = 5000
"""Photos at most that are matched one by one where there are no vectors; more would take too long."""

Box = tuple[float, float, float, float]


class Hit(NamedTuple):
    """A photo that was found.

    Attributes:
        photo: its id in the index.
        distance: from the sketch, as the system ranks; smaller is nearer.
    """

    photo: str
    distance: float


class Found(NamedTuple):
    """The answer to a query, and where the time went.

    Attributes:
        hits: nearest first.
        encode_ms: to draw and encode the sketch.
        first_ms: to find candidates by their vectors; about 0 where all photos are candidates.
        match_ms: to match the candidates.
    """

    hits: list[Hit]
    encode_ms: float
    first_ms: float
    match_ms: float


class PairView(NamedTuple):
    """How a sketch and a photo met.

    Attributes:
        strokes: of each sketch node, in the unit frame; the node of the whole sketch, if any, is last, with none.
        stroke_boxes: one a sketch node.
        photo_boxes: one a photo node, in the unit frame of the thumbnail.
        explanation: merges and attention.
    """

    strokes: list[list[tuple[float, float]]]
    stroke_boxes: list[Box]
    photo_boxes: list[Box]
    explanation: Explanation


class Searcher:
    """Answers queries on an index. Several threads may ask; sketches are encoded and matched one at a time.

    Args:
        index: the photos.
        system: that encoded them, in evaluation mode.
        rendering: of its run.
        depth: candidates of the first stage that are matched, R.
        first: the first stage; without one all photos are matched.

    Raises:
        InputError: if there is no first stage and there are more photos than `EXHAUSTIVE_LIMIT`.
    """

    def __init__(
        self, index: PhotoIndex, system: System, rendering: Rendering, depth: int, first: FirstStage | None = None
    ) -> None:
        if depth < 1:
            raise InputError("--depth", f"{depth} is less than 1", f"use e.g. {DEPTH}")
        if first is None and len(index) > EXHAUSTIVE_LIMIT:
            raise InputError(
                index.folder,
                f"{system.name} has no vector of a whole picture in this run, and {len(index):,} photos are too many "
                f"to match one by one (at most {EXHAUSTIVE_LIMIT:,})",
                "distil some: fgsbir index --out INDEX --distil, or train with model.global_weight above 0",
            )
        self.index, self.system, self.rendering, self.depth, self.first = index, system, rendering, depth, first
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
            folder: of the index.
            run: where the run is now, if it was moved.
            depth: candidates that are matched; `DEPTH` by default.
            recall: in place of `depth`, the share of the exhaustive top 10 that the candidates should hold.
            backend: of the first stage; see `open_first_stage`.

        Raises:
            InputError: if index or run is missing or damaged, the index was made by another model, holds no photo, or
                its recall was not measured.
        """
        index = PhotoIndex(folder)
        if not len(index):
            raise InputError(folder, "the index holds no photos", "add some: fgsbir index PHOTOS --out INDEX")
        if depth is not None and recall is not None:
            raise InputError("--recall", "--depth is given too", "give one of them")
        if recall is not None:
            if index.manifest.recall is None:
                problem = "the recall of this index was not measured"
                raise InputError("--recall", problem, "measure it: fgsbir index --out INDEX --measure")
            depth = index.manifest.recall.depth_for(recall, len(index))
        made_by = LoadedModel.load(run or Path(index.manifest.model.run))
        index.manifest.model.require_same(made_by.record, folder)
        first = None if index.vector_field is None else open_first_stage(index, backend)
        if first is not None:
            first.require(index)
        return cls(index, made_by.system, made_by.data.rendering, DEPTH if depth is None else depth, first)

    def __len__(self) -> int:
        return len(self.index)

    def search(self, sketch: VectorSketch, top: int = 10) -> Found:
        """The photos nearest to a drawing.

        Args:
            sketch: on any canvas: it is moved to where the run's own sketches lie, unless those lie freely.
            top: photos at most.
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
        """The encoding of a drawing."""
        sketch = placed(sketch, self.index.manifest.margin)
        return self.system.encode_batch(sketch_batch(self.rendering, sketch, self.system.device))

    def candidates(self, encoded: Any, top: int) -> IntArray:
        """The rows that are matched: `depth` of those nearest by their vectors, at least `top`, or all."""
        depth = max(self.depth, top)
        return self._rows if self.first is None or depth >= len(self) else self.nearest(encoded, depth)

    def nearest(self, encoded: Any, count: int) -> IntArray:
        """The rows nearest by their vectors, nearest first."""
        assert self.first is not None
        assert self.index.vector_field is not None
        if self._head is not None and self._head.name == self.index.vector_field:
            vector = self._head.sketch(encoded)
        else:
            vector = getattr(encoded, self.index.vector_field).flatten().cpu().numpy()
        rows = self.first.nearest(vector, count)
        return rows[[int(row) in self._photo for row in rows]]  # a shared collection may have changed since

    @torch.inference_mode()
    def distances(self, encoded: Any, rows: IntArray) -> npt.NDArray[np.float32]:
        """Distances of one drawing to the photos in some rows, `(R,)`, as in a test of the run."""
        fields = (torch.from_numpy(field).to(self.system.device) for field in self.index.encodings(rows))
        out: npt.NDArray[np.float32] = self.system.match_all(encoded, type(encoded)(*fields))[0].cpu().numpy()
        return out

    def thumbnail(self, photo: str) -> bytes:
        """A photo as JPEG, square, as the system sees it. KeyError if there is none of this id."""
        return self.index.thumbnail(photo)

    def explain(self, sketch: VectorSketch, photo: str) -> PairView | None:
        """How a drawing and a photo met; None where the system has no trees. KeyError if there is no such photo."""
        row = self.index.photos[photo].row
        if not isinstance(self.system, Explainable):
            return None
        sketch = placed(sketch, self.index.manifest.margin)
        drawing = sketch_batch(self.rendering, sketch, self.system.device)
        boxes = self.index.boxes(row)
        with self._lock, torch.inference_mode():
            if isinstance(self.system, TreeSystem):  # its encodings are all it needs
                encoded = self.system.encode_batch(drawing)
                fields = (torch.from_numpy(field) for field in self.index.encodings(np.array([row])))
                stored = type(encoded)(*(field.to(self.system.device) for field in fields))
                explanation = self.system.explain(encoded, stored)[0]
            else:
                pixels = np.asarray(Image.open(io.BytesIO(self.thumbnail(photo))))
                shown = stacked([PhotoBatch(*self.rendering.photo(pixels, boxes, UnitAffine()), torch.tensor(0))])
                explanation = self.system.explain_images(
                    drawing, PhotoBatch(*(field.to(self.system.device) for field in shown))
                )[0]
        drawn = sketch.grouped(self.rendering.max_strokes).strokes
        strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in drawn]
        strokes += [[]] * self.rendering.whole_sketch_node
        stroke_boxes = drawing.boxes[0][drawing.mask[0]].cpu().numpy()
        return PairView(strokes, [_box(b) for b in stroke_boxes], [_box(b) for b in boxes], explanation)


def _box(box: npt.NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2
