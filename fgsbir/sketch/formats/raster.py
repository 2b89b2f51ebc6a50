"""Sketches that are images: scans, photos of paper, and exports of a drawing program."""

from __future__ import annotations

from pathlib import Path

from fgsbir.images import MOST_PIXELS, drawing_pixels
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import vectorise


def read_raster(path: str | Path, max_strokes: int = 16) -> VectorSketch:
    """The strokes of a drawing in an image file; see `drawing_pixels` and `vectorise`.

    Args:
        path: the file.
        max_strokes: strokes at most.

    Raises:
        InputError: if the file is missing, no image, of more than `MOST_PIXELS`, too small or blank.
    """
    return vectorise(drawing_pixels(Path(path)), max_strokes, where=path)


def parse_raster(content: bytes, where: object, max_strokes: int = 16, max_pixels: int = MOST_PIXELS) -> VectorSketch:
    """`read_raster` of the content of a file; errors name `where`.

    An image of more than `max_pixels` is refused by its header, before anything is decoded.
    """
    return vectorise(drawing_pixels(content, where, max_pixels), max_strokes, where=where)
