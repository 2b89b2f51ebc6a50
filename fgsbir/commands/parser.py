"""Command lines whose errors are one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from fgsbir.errors import InputError


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises what it finds wrong, and takes no abbreviations.

    Args:
        prog: the command, e.g. "fgsbir run".
        description: what it does.
        epilog: more about it.
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises an `InputError`."""
        raise InputError(self.prog, message, f"see {self.prog} --help")
