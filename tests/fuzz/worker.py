"""Reads files in a process of its own, and tells what became of each, how long it took and what memory it needed."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from PIL import Image

from fgsbir.data.datasets import ChairV1, Folder
from fgsbir.data.records import PhotoRecord
from fgsbir.data.splits import read_list
from fgsbir.errors import InputError
from fgsbir.regions.box_file import BoxFile
from fgsbir.regions.view_hierarchy import read_view_hierarchy
from fgsbir.sketch.formats import read_qmul, read_sketch

MOST = 4 * 2**30  # bytes, to protect the machine; what a file may take is checked afterwards


class Outcome(NamedTuple):
    """What became of a file.

    Attributes:
        kind: "read", "refused" or "failed".
        problem: the refusal, or the error and where it was raised.
        seconds: time of the clock or of the processor, whichever is less, for others may need the machine too.
        memory: bytes by which the process grew while it read.
    """

    kind: str
    problem: str
    seconds: float
    memory: int


def _readers(folder: Path) -> dict[str, Callable[[Path], object]]:
    """What reads a file, by name; the file of a dataset is read beside good files in a folder."""
    line = "<svg viewBox='0 0 9 9'><line x2='9' y2='9' stroke='black'/></svg>"
    for name in "abc":
        for part in ("photos", "sketches"):
            (folder / "pairs" / part).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), "white").save(folder / "pairs" / "photos" / f"{name}.png")
        (folder / "pairs" / "sketches" / f"{name}.svg").write_text(line)
    held_out = min(read_list("chair_v1_val"))
    drawing = np.full((64, 64), 255, np.uint8)
    drawing[20:44, 31:33] = 0
    for part, name in (("train", "1"), ("train", held_out), ("test", "201")):
        for kind in ("images", "sketches"):
            (folder / "chair" / part / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawing).save(folder / "chair" / part / "images" / f"{name}.jpg")
        Image.fromarray(drawing).save(folder / "chair" / part / "sketches" / f"{name}.png")

    def annotation(path: Path) -> object:
        (folder / "chair" / "chairs_annotation.json").write_bytes(path.read_bytes())
        return ChairV1(folder / "chair").load()

    return {
        "sketch": read_sketch,
        "photo": lambda path: PhotoRecord("a", "", path).read(),
        "coordinates": read_qmul,
        "boxes": lambda path: BoxFile(path).regions([SimpleNamespace(id="a"), SimpleNamespace(id="b")]),  # type: ignore[list-item]
        "hierarchy": read_view_hierarchy,
        "pairs": lambda path: Folder(folder / "pairs", path).load(),
        "annotation": annotation,
    }


def outcome(read: Callable[[Path], object], path: Path) -> Outcome:
    """Reads a file."""
    before = _peak(reset=True)
    clock, work = time.monotonic(), time.process_time()
    kind, problem = "read", ""
    try:
        read(path)
    except InputError as error:
        kind, problem = "refused", str(error)
        if len(problem.splitlines()) != 1 or not problem.isprintable():
            kind, problem = "failed", f"the refusal is not one line that can be printed: {problem!r}"
    except BaseException as error:
        kind, problem = "failed", f"{type(error).__name__}: {str(error)[:200]!r} in {_place(error)}"
    seconds = min(time.monotonic() - clock, time.process_time() - work)
    return Outcome(kind, problem, seconds, max(0, _peak() - before))


def _place(error: BaseException) -> str:
    """The innermost line of fgsbir."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/fgsbir/" in frame.filename] or frames
    return f"{own[-1].filename.rpartition('/fgsbir/')[2]}:{own[-1].lineno}"


def _peak(reset: bool = False) -> int:
    """The most memory that the process has had, in bytes; `reset` begins anew (on Linux only)."""
    with suppress(OSError):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(pipe: Connection) -> None:
    """Reads files until the pipe is closed: names of a reader and a file come, outcomes go."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        readers = _readers(Path(folder))
        pipe.send("ready")
        with suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))  # WebAssembly reserves more addresses than it uses
        with suppress(EOFError):
            while True:
                reader, path = pipe.recv()
                pipe.send(tuple(outcome(readers[reader], Path(path))))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
