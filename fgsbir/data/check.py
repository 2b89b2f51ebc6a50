"""What is wrong with a dataset, found before it is used."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from fgsbir.data.datasets.base import DataSource
from fgsbir.data.datasets.qmul import EXPECTED_COUNTS, SplitCounts
from fgsbir.data.datasets.swire import REPORTED_SIZE
from fgsbir.data.records import SPLITS, PairedData
from fgsbir.errors import Faults, InputError
from fgsbir.progress import progress
from fgsbir.regions.source import RegionSource
from fgsbir.sketch.strokes import VectorSketch


@dataclass(frozen=True)
class Problem:
    """Something to know about a dataset.

    Args:
        level: "error" stops a training, "warning" makes its scores doubtful, "note" is good to know.
        where: the photo, sketch or split.
        text: what is wrong with it.
    """

    level: Literal["error", "warning", "note"]
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.text}"


class Report(NamedTuple):
    """What is known of a dataset after a look at all its files.

    Attributes:
        name: name of the dataset.
        data: what of it can be used; None if there is nothing.
        problems: what is wrong, the worst first.
        unchecked: what nobody looked at.
    """

    name: str
    data: PairedData | None
    problems: list[Problem]
    unchecked: list[str]


def check_source(source: DataSource, regions: RegionSource) -> Report:
    """Opens every sketch, photo and file of regions that a training would read.

    Args:
        source: the dataset.
        regions: source of the regions of its photos.

    Raises:
        InputError: if the cache of traced sketches cannot be written.
    """
    faults = Faults()
    data = None
    with faults.gathered():
        data = source.inspect(faults)
    name = source.name if data is None else data.name
    problems = [Problem("error", name, str(fault)) for fault in faults]
    if data is None:
        return Report(name, None, problems, ["everything else, until this is repaired"])
    unchecked = []
    expected = EXPECTED_COUNTS.get(name)
    if expected is None:
        unchecked.append(REPORTED_SIZE if name == "swire" else f"counts: none are published for {name}")
    elif faults:
        unchecked.append("counts, until the errors are repaired")
    problems += check(data, None if faults else expected)
    if regions.computed:
        unchecked.append(f"regions: {type(regions).__name__} computes them from the photos, there is no file to read")
    else:
        problems += _check_regions(data, regions)
    return Report(name, data, _sorted(problems), unchecked)


def check(data: PairedData, expected: SplitCounts | None = None) -> list[Problem]:
    """Opens every photo and looks at every sketch.

    Args:
        data: the dataset.
        expected: published numbers of sketches and photos, see `fgsbir.data.datasets.qmul.EXPECTED_COUNTS`.

    Returns:
        Errors (photos that cannot be read), warnings (an empty split, equal photos or equal sketches, counts
        that are not the published ones, ink outside the frame) and notes (photos without a sketch, strokes
        without extent), in this order.
    """
    problems = _check_photos(data) + _check_sketches(data)
    for split in SPLITS:
        if not data.split_sketches(split):
            problems.append(Problem("warning", split, "the split is empty"))
    for split, (sketches, photos) in (expected or {}).items():
        parts = ("train", "val") if split == "train" else (split,)
        found = (sum(len(data.split_sketches(p)) for p in parts), sum(len(data.split_photos(p)) for p in parts))
        if found != (sketches, photos):
            text = f"{found[0]} sketches of {found[1]} photos, published are {sketches} of {photos}; "
            problems.append(Problem("warning", " + ".join(parts), text + "scores will not compare"))
    return _sorted(problems)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda p: ("error", "warning", "note").index(p.level))


def _check_photos(data: PairedData) -> list[Problem]:
    problems = []
    same = defaultdict(list)
    for photo in progress(data.photos.values(), "Reading photos", unit="photo"):
        try:
            image = photo.read()
        except InputError as error:
            problems.append(Problem("error", f"photo {photo.id}", str(error)))
        else:
            same[image.shape, hashlib.sha256(image.tobytes()).digest()].append(f"{photo.id} ({photo.split})")
    problems += _repeats("photos", same.values())
    used = {sketch.photo_id for sketch in data.sketches}
    if unused := [id_ for id_ in data.photos if id_ not in used]:
        text = f"{len(unused)} have no sketch and are in no gallery: {_few(unused)}"
        problems.append(Problem("note", "photos", text))
    return problems


def _check_sketches(data: PairedData) -> list[Problem]:
    same = defaultdict(list)
    for record in data.sketches:
        content = record.sketch.points.tobytes(), record.sketch.offsets.tobytes()
        same[content].append(f"{record.id} ({record.split})")
    problems = _repeats("sketches", same.values())
    drawings = {record.id: record.sketch for record in data.sketches}
    if outside := [id_ for id_, sketch in drawings.items() if (sketch.points < 0).any() or (sketch.points > 1).any()]:
        text = f"{len(outside)} have ink outside the frame, which is cut off: {_few(outside)}"
        problems.append(Problem("warning", "sketches", text))
    if flat := {id_: count for id_, sketch in drawings.items() if (count := _flat_strokes(sketch))}:
        text = f"{sum(flat.values())} strokes of {len(flat)} have no width or no height; their boxes are widened: "
        problems.append(Problem("note", "sketches", text + _few(list(flat))))
    if single := [id_ for id_, sketch in drawings.items() if len(sketch) == 1]:
        text = f"{len(single)} have one stroke, so no hierarchy: {_few(single)}"
        problems.append(Problem("note", "sketches", text))
    return problems


def _check_regions(data: PairedData, regions: RegionSource) -> list[Problem]:
    faults: dict[str, str] = {}  # where it was met first, by what is wrong
    bare = []
    for photo in progress(data.photos.values(), "Reading regions", unit="photo"):
        try:
            boxes = regions.regions([photo])[photo.id]
        except InputError as error:
            faults.setdefault(str(error), f"regions of {photo.id}")
        else:
            if len(boxes) == 1:
                bare.append(photo.id)
    problems = [Problem("error", where, text) for text, where in faults.items()]
    if bare:
        text = f"{len(bare)} photos have no region but the whole: {_few(bare)}"
        problems.append(Problem("note", "regions", text))
    return problems


def _flat_strokes(sketch: VectorSketch) -> int:
    low = np.minimum.reduceat(sketch.points, sketch.offsets[:-1])
    high = np.maximum.reduceat(sketch.points, sketch.offsets[:-1])
    return int((high == low).any(1).sum())


def _repeats(where: str, groups: Iterable[list[str]]) -> list[Problem]:
    return [Problem("warning", where, f"equal content: {_few(ids)}") for ids in groups if len(ids) > 1]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
