"""The process behind a slot of the local launcher: it makes run after run, so torch is loaded once.

A line of standard input names the configuration of a run and its log, separated by a tab. The answer to a run that
succeeded is `done` on what was standard output. After a failure the process ends, and the launcher starts another.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.runs.config import Settings, resolve
from fgsbir.sweep.state import DONE


def main() -> int:
    """Makes runs until standard input ends.

    Returns:
        Exit status: 0, 2 after a mistake of the user's, or 1 after any other failure.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        for line in sys.stdin:
            config, log = line.rstrip("\n").split("\t")
            if status := _make(Path(config), Path(log)):
                return status
            answers.write(DONE)
            answers.flush()
    return 0


def _make(config: Path, log: Path) -> int:
    """Makes one run; all that it prints goes to its log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    try:
        from fgsbir.runs.training import run  # here: what it prints belongs to the log

        run(resolve(Settings(files=(config,))))
    except InputError as error:
        print(f"fgsbir: error: {error}", file=sys.stderr)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
