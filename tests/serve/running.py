"""A server in a process of its own, over an index or over made-up photos."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Running(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def memory(self) -> float:
        """MiB of the server and the process that reads files for it."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task").glob("*/children")
        pids = [pid, *(int(word) for file in children for word in file.read_text().split())]
        return sum(_resident(each) for each in pids)


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended meanwhile
        return 0.0
    return int(re.search(r"VmRSS:\s+(\d+)", status + "VmRSS: 0")[1]) / 1024  # type: ignore[index]


@contextmanager
def running(index: Path | None = None, *options: str) -> Iterator[Running]:
    """Starts `fgsbir serve` at a free port and ends it in the end.

    Args:
        index: folder of the index to serve; None for made-up photos.
        options: further options of the command.
    """
    command = [sys.executable, "-m", "fgsbir", "serve"] if index else [sys.executable, str(HERE / "running.py")]
    command += [str(index or "made-up"), "--port", "0", *options]
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server did not start: {line}"
        yield Running(found[0], process)
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":  # the command, over made-up photos
    from stand_in import StandIn

    from fgsbir.cli import main
    from fgsbir.search.searcher import Searcher

    Searcher.open = lambda *_, **__: StandIn(1000, 0.005)  # type: ignore[assignment,method-assign]
    sys.exit(main(["serve", *sys.argv[1:]]))
