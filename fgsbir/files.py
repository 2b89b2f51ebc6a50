"""Reading files whole, and writing them so that a reader never meets half of one."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from fgsbir.errors import InputError


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file beside `path` that takes its place when the block ends well.

    Missing folders are made. If the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        path: the file to write or replace.
        mode: "wb" for bytes, "w" for UTF-8 text with Unix line ends.

    Yields:
        The open temporary file.

    Raises:
        InputError: if the file cannot be written (no permission, disk full, a folder of that name).
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        mend = "check the path, its permissions and the free space"
        raise InputError(path, f"cannot be written ({error.strerror or error})", mend) from error
    finally:
        # Tidying up must not hide the error that brought us here.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def data_root(root: Path | None = None) -> Path:
    """The folder of the downloaded datasets: `root`, else `$FGSBIR_DATA`, else `data`."""
    return root or Path(os.environ.get("FGSBIR_DATA", "data"))
