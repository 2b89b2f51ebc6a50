"""Finds the photos nearest to a drawing: by vectors first, then pair by pair."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fgsbir.data.dataset import Rendering
from fgsbir.search.index import PhotoIndex
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.systems.base import System
from fgsbir.systems.explanation import Explanation

Box = tuple[float, float, float, float]


class Hit(NamedTuple):
    """A photo that was found.

    Attributes:
        photo: its id in the index.
        distance: of the last stage that ranked it; smaller is nearer.
    """

    photo: str
    distance: float


class Found(NamedTuple):
    """The answer to a query, and where the time went.

    Attributes:
        hits: nearest first.
        encode_ms: to draw and encode the sketch.
        first_ms: to find candidates by their vectors; 0 where all photos are matched.
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
    """Answers queries on an index.

    Args:
        index: the photos.
        system: that encoded them, in evaluation mode.
        rendering: of the run.
        depth: candidates of the first stage that are matched, R.
    """

    def __init__(self, index: PhotoIndex, system: System, rendering: Rendering, depth: int) -> None:
        self.index, self.system, self.rendering, self.depth = index, system, rendering, depth

    @classmethod
    def open(
        cls, folder: Path, run: Path | None = None, depth: int | None = None, recall: float | None = None
    ) -> Searcher:
        """Opens an index and the run that made it.

        Raises:
            InputError: if either is missing or damaged, or the index was made by another model.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """Photos."""
        raise NotImplementedError

    def search(self, sketch: VectorSketch, top: int = 10) -> Found:
        """The photos nearest to a drawing. May be called from several threads."""
        raise NotImplementedError

    def thumbnail(self, photo: str) -> bytes:
        """A photo as JPEG, square, as the system sees it. Raises KeyError if there is none of this id."""
        raise NotImplementedError

    def explain(self, sketch: VectorSketch, photo: str) -> PairView | None:
        """How a drawing and a photo met; None where the system has no trees. KeyError if there is no such photo."""
        raise NotImplementedError
