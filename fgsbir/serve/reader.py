"""Reads untrusted sketch files in a separate process with limited time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from fgsbir.errors import InputError
from fgsbir.serve.limits import Limits
from fgsbir.sketch.formats import parse_sketch
from fgsbir.sketch.formats.svg.engine import load as load_svg
from fgsbir.sketch.strokes import VectorSketch

_MEMORY = 2 * 2**30  # bytes for reading, in addition to what the libraries take
_START = 60.0  # seconds for the process to come up
_ROUNDING = 1e-3  # of the frame's side; a point no farther outside is moved to the edge


class Unreadable(Exception):
    """A file that holds no sketch or takes too long to read; the message is for the client."""


class Reader:
    """Reads sketch files in a subprocess.

    A file that takes too long or too much memory ends the process; the next file starts a new one. Both ends exchange
    JSON, so nothing is unpickled.

    Args:
        limits: limits of time, strokes, points and pixels.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def read(self, content: bytes, suffix: str) -> VectorSketch:
        """The sketch in the content of a file; its suffix, one of `SKETCH_SUFFIXES`, tells the format.

        Raises:
            Unreadable: if the file holds no sketch, or exceeds a limit.
        """
        with self._lock:
            try:
                pipe = self._running()
                pipe.send_bytes(suffix.encode())
                pipe.send_bytes(content)
                if not pipe.poll(self.limits.read_seconds):
                    self._end()
                    raise Unreadable(f"it takes more than {self.limits.read_seconds:g} seconds to read")
                answer = json.loads(pipe.recv_bytes())
            except (EOFError, OSError):  # the process died: out of memory, or a crash in a library
                self._end()
                raise Unreadable("it cannot be read") from None
        if "problem" in answer:
            raise Unreadable(answer["problem"])
        return VectorSketch.from_strokes(answer["strokes"])

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _running(self) -> Connection:
        """The pipe to the process, which is started if it does not run."""
        if self._pipe is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._pipe, far = Pipe()
            with far:
                argv = ["-m", "fgsbir.serve.reader", str(far.fileno()), json.dumps(asdict(self.limits))]
                # A session of its own keeps Ctrl-C away from it: the server ends it.
                self._process = subprocess.Popen(
                    [sys.executable, *argv], pass_fds=[far.fileno()], start_new_session=True
                )
            if not self._pipe.poll(_START):
                raise OSError("it does not start")
            self._pipe.recv_bytes()
        return self._pipe

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, limits: Limits) -> None:
    """The subprocess: reads files until the pipe is closed."""
    _limit_memory()
    warnings.simplefilter("ignore")  # about odd numbers, which are refused later
    load_svg()
    with suppress(EOFError, OSError):
        pipe.send_bytes(b"ready")
        while True:
            suffix = pipe.recv_bytes().decode()
            pipe.send_bytes(json.dumps(_answer(pipe.recv_bytes(), suffix, limits)).encode())


def _answer(content: bytes, suffix: str, limits: Limits) -> dict[str, object]:
    """The strokes of a file, or the problem with it."""
    try:
        sketch = parse_sketch(content, suffix, "the file", limits.image_pixels)
        if len(sketch) > limits.strokes:
            raise InputError("the file", f"it has {len(sketch)} strokes", f"give at most {limits.strokes}")
        sketch = sketch.thinned(limits.points)
        if np.abs(sketch.points - 0.5).max() > 0.5 + _ROUNDING:  # it leaves the frame
            sketch = sketch.normalised()
        return {"strokes": [stroke.clip(0, 1).tolist() for stroke in sketch.strokes]}
    except InputError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": "the file: it takes too much memory to read"}
    except Exception:  # a library's error about a broken file
        return {"problem": "the file: it cannot be read; replace it"}


def _limit_memory() -> None:
    """Limits the memory of the process to `_MEMORY` more, if the operating system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), Limits(**json.loads(sys.argv[2])))
