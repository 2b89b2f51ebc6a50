"""QuickDraw drawings: newline-delimited JSON, raw or simplified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.sketch.strokes import VectorSketch, require_ink


def read_quickdraw(path: str | Path) -> list[tuple[str, VectorSketch]]:
    """The drawings of a QuickDraw `.ndjson` file, each with its `key_id`, in the order of the file.

    A line is `{"key_id": ..., "drawing": [[xs, ys], ...]}` (simplified, in 0..255) or
    `[[xs, ys, ts], ...]` (raw, in the pixels of an unknown screen; the times are not used). Both are
    centred in the unit frame by `VectorSketch.normalised`, so a drawing looks the same from either file.

    Raises:
        InputError: if a line is no drawing; the message names the line.
    """
    return parse_quickdraw(read_bytes(path), path)


def parse_quickdraw(content: bytes, where: object) -> list[tuple[str, VectorSketch]]:
    """`read_quickdraw` of the content of a file; errors name `where`."""
    drawings = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            at = f"{where} line {number}"
            record = _record(line, at)
            if "key_id" not in record:
                raise InputError(at, "no 'key_id'", "repair or remove the line")
            drawings.append((str(record["key_id"]), _drawing(record, at)))
    return drawings


def parse_drawing(content: bytes, where: object) -> VectorSketch:
    """The drawing of a JSON document that is one QuickDraw record; it needs no `key_id` and may have several lines.

    Raises:
        InputError: if it is no such record.
    """
    return _drawing(_record(content, where), where)


def _record(content: bytes, where: object) -> dict[str, Any]:
    """A JSON object with a drawing."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(where, "not valid JSON", "repair or remove it") from None
    if not isinstance(record, dict) or "drawing" not in record:
        raise InputError(where, "no 'drawing'", "repair or remove it")
    return record


def _drawing(record: dict[str, Any], where: object) -> VectorSketch:
    """The sketch of a record; strokes without points are left out, and a stroke of one point is a dot."""
    try:
        strokes = [np.array(stroke[:2], dtype=np.float64) for stroke in record["drawing"] if stroke != []]
    except (ValueError, TypeError, KeyError, OverflowError):
        strokes = [np.empty(0)]
    if any(stroke.ndim != 2 or len(stroke) != 2 for stroke in strokes):
        problem = "'drawing' is no list of strokes [xs, ys] or [xs, ys, ts] with lists of equal length"
        raise InputError(where, problem, "repair or remove it")
    strokes = [stroke.T for stroke in strokes if stroke.size]
    points = np.concatenate([np.empty((0, 2)), *strokes])
    return require_ink(points, np.cumsum([0, *map(len, strokes)]), where)
