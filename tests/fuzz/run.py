"""Makes damaged files, has them read, and counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from fuzz.seeds import Kind

SECONDS, MEMORY = 2.0, 2**30
"""What a file may take."""
_PATIENCE = 30.0  # seconds of the clock, after which a reader is ended


@dataclass
class Tally:
    """Outcomes of the files of a format; `slowest` in seconds, `memory` in bytes."""

    files: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    memory: int = 0
    failures: list[str] = field(default_factory=list)


class Worker:
    """A process that reads files; when it ends or hangs, the next file gets a new one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def read(self, reader: str, suffix: str, content: bytes) -> tuple[str, str, float, int]:
        """The fields of an `Outcome`."""
        path = Path(self._folder.name, f"file{suffix}")
        path.write_bytes(content)
        pipe = self._running()
        try:
            pipe.send((reader, str(path)))
            if pipe.poll(_PATIENCE):
                kind, problem, seconds, memory = pipe.recv()
                return kind, problem, seconds, memory
            self._end()
            return "failed", f"no answer after {_PATIENCE:.0f} s", _PATIENCE, 0
        except (EOFError, OSError):
            assert self._process is not None
            status = self._process.wait(10)
            self._end()
            return "failed", f"the process ended with {signal.Signals(-status).name if status < 0 else status}", 0.0, 0

    def _running(self) -> Connection:
        if self._pipe is None:
            self._pipe, far = Pipe()
            paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
            settings = {"PYTHONPATH": os.pathsep.join(paths), "FGSBIR_CACHE": self._folder.name, "OMP_NUM_THREADS": "1"}
            with far:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "fuzz.worker", str(far.fileno())],
                    pass_fds=[far.fileno()],
                    env={**os.environ, **settings},
                    stderr=subprocess.DEVNULL,  # libraries print what they think of a file
                )
            self._pipe.recv()
        return self._pipe

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._pipe = None


def damaged(kind: Kind, name: str, seed: int, number: int) -> bytes:
    """A file, which depends on nothing but these."""
    return kind.mutated(Random(f"{seed} {name} {number}"))


def fuzz(chosen: Mapping[str, Kind], seed: int, count: int, keep: Path | None = None) -> dict[str, Tally]:
    """Has `count` files read, the formats in turn; prints each failure.

    Args:
        chosen: formats by name.
        seed: seed of all files.
        count: number of files.
        keep: folder for those that fail.
    """
    tallies = {name: Tally() for name in chosen}
    with Worker() as worker:
        for step in range(count):
            number, which = divmod(step, len(chosen))
            name = list(chosen)[which]
            kind, tally = chosen[name], tallies[name]
            content = damaged(kind, name, seed, number)
            result, problem, seconds, memory = worker.read(kind.reader, kind.suffix, content)
            if result != "failed" and seconds > SECONDS:
                result, problem = "failed", f"{seconds:.1f} s"
            if result != "failed" and memory > MEMORY:
                result, problem = "failed", f"{memory / 2**20:.0f} MiB"
            tally.files += 1
            tally.read += result == "read"
            tally.refused += result == "refused"
            tally.slowest, tally.memory = max(tally.slowest, seconds), max(tally.memory, memory)
            if result == "failed":
                tally.failures.append(f"{name} {number}: {problem}")
                print(f"FAILED {tally.failures[-1]}", flush=True)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name.replace(' ', '-')}-{number}{kind.suffix}").write_bytes(content)
    return tallies
