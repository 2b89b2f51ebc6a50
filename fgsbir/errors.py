"""The one exception for anything a user can fix."""

from __future__ import annotations


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
