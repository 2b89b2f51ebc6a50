"""Generated instances on disk, so that each set of them is generated once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import fgsbir.sketch.strokes
from fgsbir.data.procedural.generate import Category, Instance, generate
from fgsbir.data.procedural.parts import Part
from fgsbir.files import cache_root, file_digest, load_arrays, locked, require_writable, save_arrays
from fgsbir.sketch.strokes import VectorSketch

Arrays = dict[str, npt.NDArray[Any]]

GENERATOR = (*sorted(Path(__file__).parent.glob("*.py")), Path(fgsbir.sketch.strokes.__file__))
"""The source files that decide what is generated, and how it is stored."""

_NAMES = (
    "settings",  # (), JSON: what the instances were generated with
    "photos",  # (I, size, size, 3)
    "part_counts",  # (I,) parts of each instance; names, parents and boxes hold the parts of all instances, in order
    "part_names",
    "part_parents",
    "part_boxes",
    "stroke_counts",  # (I * K,) strokes of each sketch
    "stroke_parts",  # (S,) part that each stroke draws
    "point_counts",  # (S,) points of each stroke
    "points",  # (N, 2)
)


def load_instances(
    category: Category, count: int, sketches_per_photo: int = 3, seed: int = 0, size: int = 256
) -> list[Instance]:
    """What `generate` gives for the same arguments, bit by bit, from `<cache>/embedded` where it is there.

    A file is keyed by the arguments and by `GENERATOR`, NumPy and OpenCV, so no entry is ever stale. A damaged or
    foreign file is replaced. If several processes want the same instances, one generates them and the others wait.

    Raises:
        InputError: as `generate`, or if the cache cannot be written.
    """
    numbers = (int(count), int(sketches_per_photo), int(seed), int(size))  # NumPy's are no JSON
    arguments = (category, *numbers)
    if min(count, sketches_per_photo) < 1:
        return generate(*arguments)  # nothing to keep, or an error
    settings = json.dumps([*arguments, _generator(), np.__version__, cv2.__version__])
    path = cache_root() / "embedded" / f"{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"
    instances = _read(path, settings)
    if instances is None:
        require_writable(path.parent)
        with locked(path.with_suffix(".lock")):
            instances = _read(path, settings)  # another process may have written it meanwhile
            if instances is None:
                instances = generate(*arguments)
                save_arrays(path, compress=False, settings=settings, **_packed(instances))
    return instances


@cache
def _generator() -> str:
    """A digest of `GENERATOR`."""
    return hashlib.sha256("".join(map(file_digest, GENERATOR)).encode()).hexdigest()


def _read(path: Path, settings: str) -> list[Instance] | None:
    """The instances of a file; None if it is missing, damaged or foreign."""
    try:
        arrays = load_arrays(path, *_NAMES)
        return _unpacked(arrays, settings)
    except (ValueError, IndexError, TypeError):
        return None


def _packed(instances: Sequence[Instance]) -> Arrays:
    """Instances as arrays, see `_NAMES`."""
    parts = [part for instance in instances for part in instance.parts]
    sketches = [sketch for instance in instances for sketch in instance.sketches]
    return {
        "photos": np.stack([instance.photo for instance in instances]),
        "part_counts": np.array([len(instance.parts) for instance in instances]),
        "part_names": np.array([part.name for part in parts]),
        "part_parents": np.array([part.parent for part in parts]),
        "part_boxes": np.array([part.box for part in parts]),
        "stroke_counts": np.array([len(sketch) for sketch in sketches]),
        "stroke_parts": np.concatenate([owners for instance in instances for owners in instance.stroke_parts]),
        "point_counts": np.concatenate([np.diff(sketch.offsets) for sketch in sketches]),
        "points": np.concatenate([sketch.points for sketch in sketches]),
    }


def _unpacked(arrays: Arrays, settings: str) -> list[Instance]:
    """The instances of `_packed`.

    Raises:
        ValueError: if they were generated with other settings, or the arrays do not fit each other.
    """
    if str(arrays["settings"]) != settings:
        raise ValueError("it was generated with other settings")
    category, count, per_photo, *_ = json.loads(settings)
    names, parents, boxes = (arrays[f"part_{name}"].tolist() for name in ("names", "parents", "boxes"))
    parts = [Part(name, parent, tuple(box)) for name, parent, box in zip(names, parents, boxes, strict=True)]
    trees = _split(parts, arrays["part_counts"])
    owners = _split(arrays["stroke_parts"], arrays["stroke_counts"])
    point_counts = _split(arrays["point_counts"], arrays["stroke_counts"])
    points = _split(arrays["points"], [sum(counts) for counts in point_counts])
    sketches = [
        VectorSketch(xy, np.concatenate([[0], np.cumsum(counts)]))
        for xy, counts in zip(points, point_counts, strict=True)
    ]
    return [
        Instance(f"{category}-{index:04d}", photo, tuple(tree), tuple(drawn), tuple(drawn_parts))
        for index, photo, tree, drawn, drawn_parts in zip(
            range(count),
            arrays["photos"],
            trees,
            _split(sketches, [per_photo] * count),
            _split(owners, [per_photo] * count),
            strict=True,
        )
    ]


def _split(values: Any, counts: Sequence[int] | npt.NDArray[Any]) -> list[Any]:
    """A list or an array cut into pieces of the given lengths."""
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).tolist()
    if ends[-1] != len(values):
        raise ValueError(f"{ends[-1]} values expected, {len(values)} found")
    return [values[start:end] for start, end in pairwise(ends)]
