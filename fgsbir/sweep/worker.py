"""The process behind a slot of the local launcher: it makes run after run, so torch is loaded once.

It reads pickled pairs of a run and its log from standard input, and writes a line to what was its standard output when
a run has ended: `done` or `failed`. After a failure it ends itself, and the launcher starts another.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.runs.config import ResolvedRun
from fgsbir.sweep.state import DONE, FAILED


def main() -> int:
    """Makes runs until standard input ends."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    while True:
        try:
            resolved, log = pickle.load(jobs)
        except EOFError:
            return 0
        succeeded = _make(resolved, log)
        answers.write(DONE if succeeded else b"failed\n")
        answers.flush()
        if not succeeded:
            return 1


def _make(resolved: ResolvedRun, log: Path) -> bool:
    """Makes one run; all that it prints goes to its log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    try:
        from fgsbir.runs.training import run  # here: what it prints belongs to the log

        run(resolved)
    except InputError as error:
        print(f"fgsbir: error: {error}\n{FAILED}exit status 2", file=sys.stderr)
        return False
    except BaseException:
        traceback.print_exc()
        print(f"{FAILED}exit status 1", file=sys.stderr)
        return False
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return True


if __name__ == "__main__":
    sys.exit(main())
