"""Strokes of sketches that are images, traced once and then found by the content of their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2

from fgsbir.data.processes import in_processes
from fgsbir.errors import Faults, InputError
from fgsbir.files import cache_root, load_arrays, locked, read_bytes, require_writable, save_arrays
from fgsbir.progress import progress
from fgsbir.sketch.formats import read_raster, read_sketch
from fgsbir.sketch.formats.raster import RASTER_SUFFIXES
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import ALGORITHM


def read_sketch_files(paths: Sequence[Path]) -> list[VectorSketch | InputError]:
    """The sketches in files of any format, as `read_sketch` gives them; those that are images are `traced`."""
    images = [path for path in paths if path.suffix.lower() in RASTER_SUFFIXES]
    found = dict(zip(images, traced(images, read_raster, ALGORITHM), strict=True))
    return [found[path] if path in found else _attempt(read_sketch, path) for path in paths]


def require_sketches(paths: Sequence[Path], where: str) -> list[VectorSketch]:
    """As `read_sketch_files`, if all can be read.

    Args:
        paths: files.
        where: what names them, in the error about several.

    Raises:
        InputError: if one cannot be read; with their number if there are several.
    """
    found = read_sketch_files(paths)
    Faults(sketch for sketch in found if isinstance(sketch, InputError)).refuse(where, "repair these files")
    return [sketch for sketch in found if isinstance(sketch, VectorSketch)]


def traced(
    paths: Sequence[Path], trace: Callable[..., VectorSketch], algorithm: int, **settings: int
) -> list[VectorSketch | InputError]:
    """The strokes of sketches that are images, from `<cache>/strokes` or traced and kept there.

    An entry is keyed by the tracer, its settings and the content of the file, so it is never stale. Several processes
    trace at once; if several commands want the same sketches, one traces them and the others wait.

    Args:
        paths: image files.
        trace: function of a module that takes a path and `settings`.
        algorithm: version of the tracer; another one gives other strokes for the same file.
        settings: settings of the tracer.

    Returns:
        For each file its sketch, or why it cannot be read.

    Raises:
        InputError: if something must be traced and the cache cannot be written.
    """
    folder = cache_root() / "strokes"
    tracer = json.dumps([trace.__name__, algorithm, cv2.__version__, settings], sort_keys=True).encode()
    found: dict[Path, VectorSketch | InputError] = {}
    kept: dict[Path, Path] = {}
    for path in paths:
        try:
            kept[path] = folder / f"{hashlib.sha256(tracer + read_bytes(path)).hexdigest()}.npz"
        except InputError as error:
            found[path] = error

    def missing() -> list[Path]:
        """Finds what is kept and not found yet; returns the rest."""
        for path in kept.keys() - found.keys():
            try:
                found[path] = VectorSketch(**load_arrays(kept[path], "points", "offsets"))
            except ValueError:  # missing or damaged
                continue
        return [path for path in paths if path not in found]

    if missing():
        require_writable(folder)
        with locked(folder / "lock"):
            left = missing()  # without what another process has traced meanwhile
            strokes = in_processes(partial(_attempt, partial(trace, **settings)), [(path,) for path in left], "tracing")
            for path, sketch in zip(left, progress(strokes, "Tracing sketches", len(left), "sketch"), strict=True):
                found[path] = sketch
                if isinstance(sketch, VectorSketch):
                    save_arrays(kept[path], compress=False, points=sketch.points, offsets=sketch.offsets)
    return [found[path] for path in paths]


def _attempt(read: Callable[[Path], VectorSketch], path: Path) -> VectorSketch | InputError:
    """The sketch of a file, or why it cannot be read."""
    try:
        return read(path)
    except InputError as error:
        return error
