"""`fgsbir predict`: ranks any photos for any sketches."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fgsbir.commands.parser import CommandParser
from fgsbir.data.traced import require_sketches
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.sketch.formats import SKETCH_SUFFIXES

if TYPE_CHECKING:
    from fgsbir.retrieval.distances import Hit

DESCRIPTION = "Ranks photos for each sketch by a finished run or a checkpoint, and writes the ranking as CSV."
COLUMNS = ("sketch", "rank", "photo", "distance")


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir predict".

    Raises:
        InputError: if the run, a sketch or a photo cannot be read, or the file cannot be written.
    """
    parser = CommandParser("fgsbir predict", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder, runs/..., or a checkpoint")
    kinds = ", ".join(SKETCH_SUFFIXES)
    parser.add_argument("--sketches", nargs="+", type=Path, required=True, help=f"sketches or folders of them: {kinds}")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, help="photos, or a folder of photos")
    parser.add_argument("--top", type=int, help="nearest photos a sketch; default: all")
    parser.add_argument("--out", type=Path, help="CSV file; default: standard output")
    options = parser.parse_args(argv)
    if options.top is not None and options.top < 1:
        raise InputError("--top", f"{options.top} is less than 1", "use e.g. 10")
    paths = list(_sketches(options.sketches))
    if missing := next((photo for photo in options.photos if not photo.exists()), None):
        raise InputError(missing, "no such photo or folder", "check --photos")
    sketches = require_sketches(paths, "--sketches")
    photos = options.photos[0] if len(options.photos) == 1 and options.photos[0].is_dir() else options.photos

    from fgsbir.runs.loading import load_model  # here: it needs torch, for which a mistake above should not wait

    model = load_model(options.run)
    gallery = model.encode(photos=photos)
    rankings = ((path, model.rank(sketch, gallery, options.top)) for path, sketch in zip(paths, sketches, strict=True))
    if options.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(_rows(rankings))
        return
    with atomic_write(options.out, "w") as file:
        csv.writer(file, lineterminator="\n").writerows(_rows(rankings))
    print(f"Ranking: {options.out} ({len(sketches)} sketches, {len(gallery.names)} photos)")


def _sketches(paths: Iterable[Path]) -> Iterator[Path]:
    """The sketch files among paths, those in folders at any depth."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SKETCH_SUFFIXES]
        if not inside:
            raise InputError(
                path, f"it holds no sketches ({', '.join(SKETCH_SUFFIXES)})", "name files, or their folder"
            )
        yield from inside


def _rows(rankings: Iterable[tuple[Path, list[Hit]]]) -> Iterator[tuple[object, ...]]:
    yield COLUMNS
    for sketch, hits in rankings:
        for rank, hit in enumerate(hits, start=1):
            yield str(sketch), rank, hit.photo, f"{hit.distance:.6f}"
