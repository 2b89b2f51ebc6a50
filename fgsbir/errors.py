"""The one exception for anything a user can mend."""


class InputError(Exception):
    """A bad file, field or argument.

    The command line prints the message as one line and exits with status 2, so a message names what
    was read, what is wrong with it and how to mend it.

    Args:
        where: the file, field or argument that is at fault.
        problem: what is wrong with it.
        mend: what the user can do about it.
    """

    def __init__(self, where: object, problem: str, mend: str) -> None:
        super().__init__(" ".join(f"{where}: {problem}; {mend}".split()))
