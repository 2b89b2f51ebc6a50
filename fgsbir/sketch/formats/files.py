"""Reading whole files."""

from __future__ import annotations

from pathlib import Path

from fgsbir.errors import InputError


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path and its permissions") from None
