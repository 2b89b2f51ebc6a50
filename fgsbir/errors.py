"""The one exception for anything a user can fix, and a list of several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """A bad file, field or argument.

    The command line prints the message as one line and exits with status 2, so a message names what
    was read, what is wrong with it and how to fix it.

    Args:
        where: the file, field or argument that is at fault.
        problem: what is wrong with it.
        fix: what the user can do about it.

    With one argument, which is how a loader process hands an error on, the message is the last one in that text.
    """

    def __init__(self, where: object, problem: str = "", fix: str = "") -> None:
        text = f"{where}: {problem}; {fix}" if problem else str(where).rpartition("InputError: ")[2]
        line = " ".join(text.split())
        # What a damaged file holds may be quoted, and must neither break the line nor steer a terminal.
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))


class Faults(list[InputError]):
    """Faults of many files, gathered so that one does not hide the others."""

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Adds the `InputError` that its block raises, if there is one."""
        try:
            yield
        except InputError as error:
            self.append(error)

    def refuse(self, where: object, fix: str = "fgsbir data check lists all") -> None:
        """Raises the fault, or the number of faults and the first; does nothing if there is none.

        Args:
            where: what all of them belong to, e.g. the dataset.
            fix: what to do about several.

        Raises:
            InputError: if there is a fault.
        """
        if len(self) == 1:
            raise self[0]
        if self:
            raise InputError(where, f"{len(self)} faults, first: {self[0]}", fix)
