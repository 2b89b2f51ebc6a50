"""Readers and writers of sketches, one file a format; `read_sketch` picks one by suffix."""

from __future__ import annotations

from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.sketch.formats.qmul import load_restricted, read_qmul
from fgsbir.sketch.formats.quickdraw import read_quickdraw
from fgsbir.sketch.formats.raster import RASTER_SUFFIXES, read_raster
from fgsbir.sketch.formats.sequence import from_stroke3, from_stroke5, read_sequence, to_stroke5, write_stroke5
from fgsbir.sketch.formats.svg import read_svg, write_svg
from fgsbir.sketch.strokes import VectorSketch

__all__ = [
    "SKETCH_SUFFIXES",
    "from_stroke3",
    "from_stroke5",
    "load_restricted",
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

SKETCH_SUFFIXES = (".svg", ".ndjson", ".npy", *RASTER_SUFFIXES)


def read_sketch(path: str | Path) -> VectorSketch:
    """One sketch from a file: SVG, QuickDraw `.ndjson` of one drawing, stroke-3 or stroke-5 `.npy`, or a picture.

    Raises:
        InputError: if the suffix is none of `SKETCH_SUFFIXES`, an `.ndjson` does not hold exactly one
            drawing, or the file cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".svg":
        return read_svg(path)
    if suffix == ".npy":
        return read_sequence(path)
    if suffix in RASTER_SUFFIXES:
        return read_raster(path)
    if suffix == ".ndjson":
        drawings = read_quickdraw(path)
        if len(drawings) != 1:
            raise InputError(path, f"it holds {len(drawings)} drawings, not one", "keep the line of one drawing")
        return drawings[0][1]
    raise InputError(path, f"'{suffix}' is no sketch format", f"use one of {', '.join(SKETCH_SUFFIXES)}")
