"""A tiny dataset in memory."""

import numpy as np

from fgsbir.data.records import SPLITS, PairedData, PhotoRecord, SketchRecord
from fgsbir.sketch.strokes import VectorSketch


def drawing(seed: int, strokes: int = 3) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes(rng.uniform(0.1, 0.9, (int(rng.integers(4, 9)), 2)) for _ in range(strokes))


def photo(id_: str, split: str, seed: int, size: tuple[int, int] = (30, 40)) -> PhotoRecord:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    return PhotoRecord(id_, split, pixels=pixels)


def dataset(extra_photos: tuple[PhotoRecord, ...] = (), extra_sketches: tuple[SketchRecord, ...] = ()) -> PairedData:
    """Two photos a split with two sketches each, nothing wrong with it."""
    photos = [photo(f"{split}{n}", split, 10 * s + n) for s, split in enumerate(SPLITS) for n in range(2)]
    sketches = [
        SketchRecord(f"{p.id}_{n}", p.id, p.split, drawing(2 * i + n, 2 + i))
        for i, p in enumerate(photos)
        for n in range(2)
    ]
    return PairedData("tiny", (*sketches, *extra_sketches), {p.id: p for p in (*photos, *extra_photos)})
