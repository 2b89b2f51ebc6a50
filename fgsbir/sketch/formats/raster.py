"""Sketches that are images: scans, photos of paper, and exports of a drawing program."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import vectorise

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_PIXELS = 2 * 89_478_485  # what Pillow takes for a bomb


def read_raster(path: str | Path, max_strokes: int = 16) -> VectorSketch:
    """The strokes of a drawing in a PNG or JPEG file; see `vectorise`. A camera's note of its turn is heeded.

    Args:
        path: the file.
        max_strokes: strokes at most.

    Raises:
        InputError: if the file is missing, no image, absurdly large, too small or blank.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(path, "no such sketch", "check the path") from None
    except OSError as error:
        raise InputError(path, f"not a readable image ({error})", "replace the file") from None
    return parse_raster(content, path, max_strokes)


def parse_raster(content: bytes, where: object, max_strokes: int = 16, max_pixels: int = MOST_PIXELS) -> VectorSketch:
    """`read_raster` of the content of a file; errors name `where`.

    An image of more than `max_pixels` is refused by its header, before anything is decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > max_pixels:
                problem = f"it has {image.width} x {image.height} pixels"
                raise InputError(where, problem, f"give an image of at most {max_pixels / 1e6:.0f} million pixels")
            raster = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    except UnidentifiedImageError:
        raise InputError(where, "not a readable image (neither PNG nor JPEG)", "replace the file") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(where, f"not a readable image ({error})", "replace the file") from None
    return vectorise(raster, max_strokes, where=where)
