"""What is wrong with a dataset, found before it is used."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tqdm import tqdm

from fgsbir.data.datasets.qmul import SplitCounts
from fgsbir.data.records import SPLITS, PairedData
from fgsbir.errors import InputError
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
    return sorted(problems, key=lambda p: ("error", "warning", "note").index(p.level))


def _check_photos(data: PairedData) -> list[Problem]:
    problems = []
    same = defaultdict(list)
    for photo in tqdm(data.photos.values(), "photos", unit="photo", disable=len(data.photos) <= 20):
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


def _flat_strokes(sketch: VectorSketch) -> int:
    low = np.minimum.reduceat(sketch.points, sketch.offsets[:-1])
    high = np.maximum.reduceat(sketch.points, sketch.offsets[:-1])
    return int((high == low).any(1).sum())


def _repeats(where: str, groups: Iterable[list[str]]) -> list[Problem]:
    return [Problem("warning", where, f"equal content: {_few(ids)}") for ids in groups if len(ids) > 1]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
