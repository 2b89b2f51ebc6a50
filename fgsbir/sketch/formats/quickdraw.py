"""QuickDraw drawings: newline-delimited JSON, raw or simplified."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.sketch.strokes import VectorSketch, require_strokes


def read_quickdraw(path: str | Path) -> list[tuple[str, VectorSketch]]:
    """The drawings of a QuickDraw `.ndjson` file, each with its `key_id`, in the order of the file.

    A line is `{"key_id": ..., "drawing": [[xs, ys], ...]}` (simplified, in 0..255) or
    `[[xs, ys, ts], ...]` (raw, in the pixels of an unknown screen; the times are not used). Both are
    centred in the unit frame by `VectorSketch.normalised`, so a drawing looks the same from either file.

    Raises:
        InputError: if a line is no drawing; the message names the line.
    """
    drawings = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        if line.strip():
            drawings.append(_drawing(line, f"{path} line {number}"))
    return drawings


def _drawing(line: bytes, where: str) -> tuple[str, VectorSketch]:
    """One line of the file."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(where, "not valid JSON", "repair or remove the line") from None
    if not isinstance(record, dict) or not {"key_id", "drawing"} <= record.keys():
        raise InputError(where, "no 'key_id' or no 'drawing'", "repair or remove the line")
    try:
        strokes = [np.array([xs, ys], dtype=np.float64).T for xs, ys, *_ in record["drawing"]]
    except (ValueError, TypeError):
        problem = "'drawing' is no list of strokes [xs, ys] or [xs, ys, ts] with lists of equal length"
        raise InputError(where, problem, "repair or remove the line") from None
    if any(stroke.ndim != 2 for stroke in strokes):
        raise InputError(where, "a stroke is not made of lists of numbers", "repair or remove the line")
    return str(record["key_id"]), require_strokes(strokes, where).normalised()
