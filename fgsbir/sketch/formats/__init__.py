"""Readers and writers of sketches, one file a format; `read_sketch` picks one by suffix."""

from __future__ import annotations

from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.sketch.formats.qmul import load_restricted, read_qmul
from fgsbir.sketch.formats.quickdraw import parse_drawing, parse_quickdraw, read_quickdraw
from fgsbir.sketch.formats.raster import MOST_PIXELS, RASTER_SUFFIXES, parse_raster, read_raster
from fgsbir.sketch.formats.sequence import (
    from_stroke3,
    from_stroke5,
    parse_sequence,
    read_sequence,
    to_stroke5,
    write_stroke5,
)
from fgsbir.sketch.formats.svg import parse_svg, read_svg, write_svg
from fgsbir.sketch.strokes import VectorSketch

__all__ = [
    "SKETCH_SUFFIXES",
    "from_stroke3",
    "from_stroke5",
    "load_restricted",
    "parse_sketch",
    "read_qmul",
    "read_quickdraw",
    "read_raster",
    "read_sequence",
    "read_sketch",
    "read_svg",
    "to_stroke5",
    "write_stroke5",
    "write_svg",
]

SKETCH_SUFFIXES = (".svg", ".svgz", ".ndjson", ".json", ".npy", *RASTER_SUFFIXES)


def read_sketch(path: str | Path) -> VectorSketch:
    """One sketch from a file: SVG, QuickDraw, stroke-3 or stroke-5, or an image; see `parse_sketch`.

    Raises:
        InputError: if the suffix is none of `SKETCH_SUFFIXES`, or the file cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix in RASTER_SUFFIXES:
        return read_raster(path)
    _require_known(suffix, path)
    return parse_sketch(read_bytes(path), suffix, path)


def parse_sketch(content: bytes, suffix: str, where: object, max_pixels: int = MOST_PIXELS) -> VectorSketch:
    """One sketch from the content of a file.

    Args:
        content: SVG, QuickDraw's `.ndjson` of one drawing or `.json`, stroke-3 or stroke-5 `.npy`, or an image.
        suffix: suffix of the format, in lower case.
        where: name of the file in errors.
        max_pixels: largest number of pixels of an image.

    Raises:
        InputError: if the suffix is none of `SKETCH_SUFFIXES`, an `.ndjson` does not hold exactly one
            drawing, or the content does not fit.
    """
    _require_known(suffix, where)
    if suffix in (".svg", ".svgz"):
        return parse_svg(content, where)
    if suffix == ".npy":
        return parse_sequence(content, where)
    if suffix in RASTER_SUFFIXES:
        return parse_raster(content, where, max_pixels=max_pixels)
    if suffix == ".json":
        return parse_drawing(content, where)
    drawings = parse_quickdraw(content, where)
    if len(drawings) != 1:
        raise InputError(where, f"it holds {len(drawings)} drawings, not one", "keep the line of one drawing")
    return drawings[0][1]


def _require_known(suffix: str, where: object) -> None:
    if suffix not in SKETCH_SUFFIXES:
        raise InputError(where, f"'{suffix}' is no sketch format", f"use one of {', '.join(SKETCH_SUFFIXES)}")
