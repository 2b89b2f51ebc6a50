"""A searcher of made-up photos that answers at once, or when it is told to."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
from PIL import Image

from fgsbir.retrieval.distances import Hit
from fgsbir.search.searcher import Found, PairView
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.systems.explanation import Explanation

CELLS = 8


def features(sketch: VectorSketch) -> np.ndarray:
    """Where the points of a drawing are, as the shares of a grid's cells."""
    x, y = (sketch.normalised().points.clip(0, 0.999) * CELLS).astype(int).T
    return np.bincount(y * CELLS + x, minlength=CELLS**2) / len(x)


class StandIn:
    """Answers as a `Searcher` does, by where the ink is.

    Args:
        photos: how many; their ids have slashes and other marks that an address would have to escape.
        seconds: that a search takes.
        has_tree: whether it can explain.
    """

    def __init__(self, photos: int = 30, seconds: float = 0.0, has_tree: bool = True) -> None:
        self.names = [f"chairs/{i:03d} ä?#%.jpg" for i in range(photos)]
        self.vectors = np.random.default_rng(0).random((photos, CELLS**2))
        self.seconds, self.has_tree = seconds, has_tree
        self.searched = 0
        self.gate = threading.Event()  # searches wait while it is not set
        self.gate.set()

    def __len__(self) -> int:
        return len(self.names)

    def search(self, sketch: VectorSketch, top: int = 10) -> Found:
        self.searched += 1
        assert self.gate.wait(20)
        time.sleep(self.seconds)
        distances = np.linalg.norm(self.vectors - features(sketch), axis=1)
        order = np.argsort(distances, kind="stable")[:top]
        return Found([Hit(self.names[i], float(distances[i])) for i in order], 1.0, 2.0, 3.0)

    def thumbnail(self, photo: str) -> bytes:
        place = self._place(photo)
        pixels = np.full([(32, 32, 3), (24, 32, 3), (32, 12, 3)][place % 3], place % 256, dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()

    def explain(self, sketch: VectorSketch, photo: str) -> PairView | None:
        self._place(photo)
        if not self.has_tree:
            return None
        strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in sketch.strokes]
        n = len(strokes)
        merges = [(0, 1), *((i, n + i - 2) for i in range(2, n))][: n - 1]  # one stroke after the other joins the first
        levels: list[dict[str, list[int] | list[list[float]]]] = []
        for k in range(max(n - 1, 1)):
            nodes = [*range(k + 1, n), n + k - 1] if k else list(range(n))
            regions = [0, 1] if k == 0 else [2]
            to_photo = [[0.25, 0.75] if k == 0 else [1.0]] * len(nodes)
            to_sketch = [[1 / len(nodes)] * len(nodes)] * len(regions)
            levels.append(
                {
                    "sketch_nodes": nodes,
                    "photo_nodes": regions,
                    "sketch_to_photo": to_photo,
                    "photo_to_sketch": to_sketch,
                }
            )
        boxes = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.5, 0.5)]
        return PairView(strokes, [(0.0, 0.0, 1.0, 1.0)] * n, boxes, Explanation(merges, [(0, 1)], levels))

    def _place(self, photo: str) -> int:
        try:
            return self.names.index(photo)
        except ValueError:
            raise KeyError(photo) from None
