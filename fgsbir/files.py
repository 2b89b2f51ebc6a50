"""Files, read whole, written so that a reader never meets half of one, locked and cached; and cores to read them."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, quota or file that can take no more."""

_FIX_LOCK = "use a folder that can be written, on a file system with locks"


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file beside `path` that replaces it when the block ends without an error.

    Missing folders are made. If the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        path: file to write or replace.
        mode: "wb" for bytes, "w" for UTF-8 text with Unix line ends.

    Yields:
        The open temporary file.

    Raises:
        InputError: if the file cannot be written (no permission, disk full, a folder of that name).
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = temporary.open(mode, **text)
        try:
            with _written(path, *FULL):  # any other error of the block has nothing to do with `path`
                yield file
            with _written(path):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(OSError):  # closing flushes again
                file.close()
        with _written(path):
            os.replace(temporary, path)
    finally:
        # Tidying up must not hide the error that brought us here.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _written(path: Path, *numbers: int) -> Iterator[None]:
    """Turns an `OSError` (with one of `numbers`, if given) into an error that says that `path` cannot be written."""
    try:
        yield
    except OSError as error:
        if numbers and error.errno not in numbers:
            raise
        fix = "check the path, its permissions and the free space"
        raise InputError(path, f"cannot be written ({error.strerror or error})", fix) from error


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path and its permissions") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces; 64 hexadecimal digits.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_arrays(path: Path, /, *, compress: bool = True, **arrays: npt.ArrayLike) -> None:
    """Writes named arrays as a NumPy archive (`.npz`), atomically and without pickle.

    The same arrays always give the same bytes.

    Args:
        path: file to write or replace.
        compress: whether to deflate the arrays; large incompressible ones are read faster without.
        arrays: numbers, booleans or strings, by name.

    Raises:
        InputError: if the file cannot be written.
        TypeError: if an array holds Python objects.
    """
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name} holds Python objects, which only pickle could write")
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    # As `np.savez`, which cannot write an array called "file".
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", method) as archive:
        for name, array in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load_arrays(path: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays that `save_arrays` wrote; nothing is unpickled, and each one is checked against its checksum.

    Args:
        path: the archive.
        names: arrays to read; all are required, others are ignored.

    Raises:
        ValueError: if the file is missing, damaged or foreign, or lacks an array. The message is the reason alone;
            the caller knows what the file is for and how to fix it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(str(error) or type(error).__name__) from None


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds a lock that one process, and one thread in it, has at a time.

    The lock is the operating system's. It ends with the process that took it, however that ends, even while child
    processes live on. The file itself stays.

    Args:
        path: lock file; it and its folder are made where they are missing.
        wait: whether to wait, after a line on stderr, while another process holds the lock.

    Raises:
        InputError: if the folder cannot be written or its file system has no locks, or if another process holds the
            lock and `wait` is False.
    """
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if not wait:
                raise InputError(path, "another process holds this lock", "wait until it is done") from None
            print(f"{path}: another process holds this lock; waiting for it", file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as error:
        raise InputError(path.parent, f"cannot be locked ({error.strerror or error})", _FIX_LOCK) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process, this one included, holds the lock `locked(path)`. A file that cannot be opened counts."""
    try:
        with path.open("r+") as file:
            return not filelock.lock_descriptor(file.fileno(), blocking=False)  # closing the file gives it up again
    except FileNotFoundError:
        return False
    except OSError:
        return True


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def data_root(root: str | Path | None = None) -> Path:
    """Folder of the downloaded datasets: `root`, else `$FGSBIR_DATA`, else `data`."""
    return Path(root or os.environ.get("FGSBIR_DATA", "data"))


def cache_root() -> Path:
    """Folder of everything that can be computed again: `$FGSBIR_CACHE`, else `~/.cache/fgsbir`."""
    return Path(os.environ.get("FGSBIR_CACHE") or "~/.cache/fgsbir").expanduser()


def require_writable(folder: Path) -> None:
    """Tries to write into a folder of the cache, so that hours of work are not lost at their end.

    Raises:
        InputError: if the folder cannot be made or written.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        with atomic_write(probe):
            pass
        probe.unlink(missing_ok=True)
    except InputError as error:
        fix = "set FGSBIR_CACHE or cache_dir to a folder you can write"
        raise InputError(folder, "the cache cannot be written", fix) from error
