"""Pen-move sequences: stroke-3 and stroke-5 arrays (Ha and Eck 2017, "A Neural Representation of Sketch Drawings")."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.sketch.strokes import FloatArray, VectorSketch, require_ink


def split_strokes(points: npt.NDArray[Any], last: npt.NDArray[np.bool_]) -> list[npt.NDArray[Any]]:
    """Cuts `points (N, 2)` after each point that `last (N,)` marks as the last of its stroke."""
    return np.split(points, np.flatnonzero(last) + 1)  # the empty piece after a final mark is dropped later


def from_stroke3(array: npt.ArrayLike, where: object = "stroke-3 array") -> VectorSketch:
    """A sketch from `(N, 3)` rows `(dx, dy, pen_lift)`; pen_lift is 1 on the last point of a stroke.

    The pen starts at the origin, in the air. Offsets have any unit: the sketch is centred in the unit
    frame by `VectorSketch.normalised`, which keeps its aspect ratio. A pen that goes down and up again where it was
    lifted, without a move, leaves no stroke.

    Raises:
        InputError: if the array does not fit this description; `where` names the file in it.
    """
    rows = _rows(array, 3, where)
    if not np.isin(rows[:, 2], (0, 1)).all():
        raise InputError(where, "column 3 (pen lift) holds other values than 0 and 1", "check the order of columns")
    return _from_offsets(rows[:, :2], rows[:, 2] == 1, where)


def from_stroke5(array: npt.ArrayLike, where: object = "stroke-5 array") -> VectorSketch:
    """A sketch from `(N, 5)` rows `(dx, dy, p1, p2, p3)`: pen down, last point of a stroke, end of sketch.

    Exactly one of p1, p2, p3 is 1. Rows from the first end on are padding, but for one case: if the pen is down and the
    end has an offset, the line to its point is drawn, because some writers mark the last point itself as the end.
    Normalised as in `from_stroke3`, and strokes without a move are left out as there.

    Raises:
        InputError: if the array does not fit this description; `where` names the file in it.
    """
    rows = _rows(array, 5, where)
    pen = rows[:, 2:]
    if not (np.isin(pen, (0, 1)).all() and (pen.sum(1) == 1).all()):
        raise InputError(where, "the pen state (columns 3 to 5) is not one-hot", "check the order of columns")
    if pen[:, 2].any():
        end = int(pen[:, 2].argmax())
        drawn_to = end > 0 and pen[end - 1, 0] == 1 and rows[end, :2].any()
        rows = rows[: end + drawn_to]
    return _from_offsets(rows[:, :2], rows[:, 3] == 1, where)


def to_stroke5(sketch: VectorSketch, length: int | None = None) -> FloatArray:
    """The pen moves of a sketch, `(L, 5)` float32, with offsets in units of the frame's side.

    Args:
        sketch: the drawing, of N points.
        length: number of rows L; rows after the drawing are end rows `(0, 0, 0, 0, 1)`. By default
            `N + 1`: all points and one end row.

    Raises:
        ValueError: if the drawing has more than `length` points.
    """
    n = len(sketch.points)
    length = n + 1 if length is None else length
    if n > length:
        raise ValueError(f"the sketch has {n} points, more than {length}; simplify it first")
    rows = np.zeros((length, 5), dtype=np.float32)
    rows[:n, :2] = np.diff(sketch.points, axis=0, prepend=np.zeros((1, 2), dtype=np.float32))
    rows[:n, 2] = 1
    rows[sketch.offsets[1:] - 1, 2:4] = 0, 1
    rows[n:, 4] = 1
    return rows


def read_sequence(path: str | Path) -> VectorSketch:
    """A sketch from an `.npy` file of stroke-3 `(N, 3)` or stroke-5 `(N, 5)` rows.

    Raises:
        InputError: if the file cannot be read or holds something else.
    """
    return parse_sequence(read_bytes(path), path)


def parse_sequence(content: bytes, where: object) -> VectorSketch:
    """`read_sequence` of the content of a file; errors name `where`."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, and a damaged one can raise almost anything
        raise InputError(where, f"not an .npy file of numbers ({error})", "write it with numpy.save") from None
    columns = array.shape[1] if isinstance(array, np.ndarray) and array.ndim == 2 else 0
    if columns == 3:
        return from_stroke3(array, where)
    if columns == 5:
        return from_stroke5(array, where)
    raise InputError(where, "it holds no (N, 3) or (N, 5) array", "save one stroke-3 or stroke-5 sequence")


def write_stroke5(sketch: VectorSketch, path: str | Path) -> None:
    """Writes `to_stroke5(sketch)` as an `.npy` file.

    Raises:
        InputError: if the file cannot be written.
    """
    with atomic_write(Path(path)) as file:
        np.save(file, to_stroke5(sketch), allow_pickle=False)


def _rows(array: npt.ArrayLike, columns: int, where: object) -> npt.NDArray[np.float64]:
    """The array as float64, checked for its type, shape and finite values."""
    try:
        given = np.asarray(array)
        if given.dtype.kind not in "iuf":
            raise TypeError(given.dtype)
        rows = given.astype(np.float64)
    except (ValueError, TypeError):
        raise InputError(where, "not an array of numbers", f"give (N, {columns}) numbers") from None
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise InputError(where, f"shape {rows.shape}", f"give (N, {columns}) numbers")
    if given.dtype.kind == "u":
        problem = f"{given.dtype} has no sign, so offsets to the left and up are lost"
        raise InputError(where, problem, "save the offsets as int16 or float32")
    if not np.isfinite(rows).all():
        raise InputError(where, "a value is not finite", "replace or remove the sketch")
    return rows


def _from_offsets(offsets: npt.NDArray[np.float64], last: npt.NDArray[np.bool_], where: object) -> VectorSketch:
    """Accumulates offsets into points, and centres them in the unit frame."""
    # A row is no stroke of its own if the pen was up before it and is so after it, and did not move.
    lifted = np.concatenate([[False], last[:-1]])
    real = ~(lifted & last & (offsets == 0).all(1))
    offsets, last = offsets[real], last[real]
    offsets[:1] = 0  # where the ink starts does not matter, and a far start would round the moves
    ends = np.flatnonzero(last) + 1
    if not last[-1:].all():  # the last stroke is open
        ends = np.append(ends, len(last))
    with np.errstate(over="ignore", invalid="ignore"):
        points = np.cumsum(offsets, axis=0)
    return require_ink(points, np.append(0, ends), where)
