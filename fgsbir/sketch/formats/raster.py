"""Drawings that are pictures: scans, photos of paper, and exports of a drawing program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import vectorise

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg")


def read_raster(path: str | Path, max_strokes: int = 16) -> VectorSketch:
    """The strokes of a drawing in a PNG or JPEG file; see `vectorise`. A camera's note of its turn is heeded.

    Args:
        path: the file.
        max_strokes: strokes at most.

    Raises:
        InputError: if the file is missing, no picture, absurdly large, too small or blank.
    """
    try:
        with Image.open(path) as image:
            raster = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    except FileNotFoundError:
        raise InputError(path, "no such sketch", "check the path") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(path, f"not a readable image ({error})", "replace the file") from None
    return vectorise(raster, max_strokes, where=path)
