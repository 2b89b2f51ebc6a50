"""QMUL ShoeV2 and ChairV2 coordinate files, and the restricted unpickler that reads them."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fgsbir.errors import Faults, InputError
from fgsbir.files import read_bytes
from fgsbir.sketch.formats.sequence import split_strokes
from fgsbir.sketch.strokes import VectorSketch, require_strokes

FRAME = 256  # side of the published coordinates' frame
_KEY = re.compile(r"/(train|test)/[^/]+_[^/_]+")  # the last part is a number or, three times, a drawer's id


def read_qmul(path: str | Path, faults: Faults | None = None) -> dict[str, VectorSketch]:
    """The sketches of a QMUL coordinate file (`ShoeV2_Coordinate`, `ChairV2_Coordinate`), by their keys.

    The file is a pickle of `{"/train/<photo>_<n>": array (N, 3)}`: x and y in a frame of 256 x 256, and
    a pen column that is 1 on the last point of each stroke. A last stroke that is not ended is accepted.

    Args:
        path: the file.
        faults: list that receives a fault for each entry that does not fit; these are then left out.

    Raises:
        InputError: if the file is no such pickle, or `faults` is not given and an entry does not fit; the message
            names the key.
    """
    content = load_restricted(path)
    if not isinstance(content, dict) or not content:
        raise InputError(path, "it holds no dictionary of sketches", "use the dataset's *_Coordinate file")
    found = Faults()
    sketches = {}
    for key, value in content.items():
        with found.gathered():
            sketches[key] = _sketch(f"{path} [{key!r}]", key, value)
    if faults is None:
        found.refuse(path)
    else:
        faults += found
    return sketches


def _sketch(where: str, key: object, value: object) -> VectorSketch:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InputError(where, "the key is not /train/<photo>_<n> or /test/<photo>_<n>", "rename or remove it")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise InputError(where, "the entry is no array of numbers", "replace or remove it") from None
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise InputError(where, f"the array has shape {array.shape}, not (N, 3)", "replace or remove it")
    if not np.isfinite(array).all():
        raise InputError(where, "a value is not finite", "replace or remove the sketch")
    if not np.isin(array[:, 2], (0, 1)).all():
        raise InputError(where, "the pen column holds other values than 0 and 1", "replace or remove the sketch")
    return require_strokes(split_strokes(array[:, :2] / FRAME, array[:, 2] == 1), where)


def load_restricted(path: str | Path) -> Any:
    """Unpickles numbers, strings, plain containers and numpy arrays of them; nothing else is ever called.

    Files of Python 2 and of any numpy are read. Arrays come as a subclass of `np.ndarray`; pass them
    through `np.asarray` to get rid of it.

    Raises:
        InputError: if the pickle names any other global (a pickle can run code), or is damaged.
    """
    content = read_bytes(path)
    try:
        for opcode, index, _ in pickletools.genops(content):
            if opcode.name in ("PUT", "LONG_BINPUT") and (index or 0) > len(content):
                raise ValueError(f"memo index {index}")  # the unpickler would reserve gigabytes for it
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except _ForbiddenGlobal as error:
        problem = f"the pickle wants to import {error}, which could run code"
        raise InputError(path, problem, "use the published file") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        problem = f"the pickle is damaged or truncated ({type(error).__name__}: {error})"
        raise InputError(path, problem, "download it again") from None


class _ForbiddenGlobal(Exception):
    """A pickle names a global that is not in `_GLOBALS`."""


class _DType:
    """Stands in for `np.dtype`, whose own pickled state can declare raw bytes to be object pointers."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if not re.fullmatch(r"[<>=|]?([biufc]\d+|[SUO]\d*)", code):
            raise ValueError(f"dtype {code!r} is not supported")
        self.value: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array whose pickled state carries a `_DType`."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        version, shape, dtype, fortran, data = state
        super().__setstate__((version, shape, dtype.value, fortran, data))


def _reconstruct(subtype: object, shape: object, code: object) -> _Array:
    """An empty array, filled by `_Array.__setstate__`."""
    return np.ndarray.__new__(_Array, (0,), dtype=np.int8)


def _from_buffer(buffer: bytes, dtype: _DType, shape: tuple[int, ...], order: Any) -> npt.NDArray[Any]:
    """An array of pickle protocol 5."""
    return np.frombuffer(buffer, dtype.value).reshape(shape, order=order)


def _scalar(dtype: _DType, data: bytes | str) -> Any:
    """A numpy scalar; Python 2 stored its bytes as a string."""
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype.value, count=1)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes in pickle protocols 0 to 2."""
    return text.encode("latin1")


_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): None,  # only ever the first argument of `_reconstruct`
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",  # empty bytes in those protocols
}
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _GLOBALS[f"{_core}.multiarray", "scalar"] = _scalar
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _ForbiddenGlobal(f"{module}.{name}") from None
