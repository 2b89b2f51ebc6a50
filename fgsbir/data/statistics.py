"""Numbers that describe a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fgsbir.data.records import SPLITS, PairedData, PhotoRecord
from fgsbir.errors import InputError
from fgsbir.images import image_size


def stats(data: PairedData) -> dict[str, Any]:
    """Numbers that describe a dataset, as plain values.

    Returns:
        `name`; `photo_sizes`, a count by "<width>x<height>" ("unreadable" where a file is broken); and `splits`: for
        each split `sketches`, `photos`, `hash` (see `PairedData.split_hash`) and the spread (min, mean, median, max) of
        `sketches_per_photo`, and of `strokes`, `points` and `ink` of a sketch. Ink is the length of all strokes in
        units of the frame's side. An empty split has no spreads.
    """
    splits: dict[str, Any] = {}
    for split in SPLITS:
        records = data.split_sketches(split)
        entry: dict[str, Any] = {
            "sketches": len(records),
            "photos": len(data.split_photos(split)),
            "hash": data.split_hash(split),
        }
        if records:
            entry["sketches_per_photo"] = _spread(Counter(r.photo_id for r in records).values())
            entry["strokes"] = _spread(len(r.sketch) for r in records)
            entry["points"] = _spread(len(r.sketch.points) for r in records)
            entry["ink"] = _spread(float(r.sketch.ink.sum()) for r in records)
        splits[split] = entry
    sizes = Counter(_size(photo) for photo in data.photos.values())
    return {"name": data.name, "splits": splits, "photo_sizes": dict(sizes.most_common())}


def format_stats(numbers: Mapping[str, Any]) -> str:
    """The result of `stats` as a table for a terminal; spreads as "min / mean / median / max"."""
    splits = numbers["splits"]
    rows = [["", *splits]]
    for key in ("sketches", "photos", "hash"):
        rows.append([key, *(str(entry[key]) for entry in splits.values())])
    labels = {"sketches_per_photo": "sketches a photo"}
    labels |= {key: f"{key} a sketch" for key in ("strokes", "points", "ink")}
    for key, label in labels.items():
        rows.append([label, *(_format_spread(entry.get(key)) for entry in splits.values())])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    sizes = numbers["photo_sizes"]
    shown = ", ".join(f"{count} of {size}" for size, count in list(sizes.items())[:5])
    more = f" and {len(sizes) - 5} other sizes" if len(sizes) > 5 else ""
    return "\n".join(
        [str(numbers["name"]), "", *lines, "", "spread: min / mean / median / max", f"photos: {shown}{more}"]
    )


def _spread(values: Iterable[float]) -> dict[str, float]:
    array = np.array(list(values), dtype=np.float64)
    spread = {"min": array.min(), "mean": array.mean(), "median": np.median(array), "max": array.max()}
    return {name: float(value) for name, value in spread.items()}


def _format_spread(spread: Mapping[str, float] | None) -> str:
    return " / ".join(f"{number:.4g}" for number in spread.values()) if spread else "-"


def _size(photo: PhotoRecord) -> str:
    """Width and height in pixels, from the header of the file."""
    if photo.pixels is not None:
        height, width = photo.pixels.shape[:2]
    else:
        assert photo.path is not None
        try:
            width, height = image_size(photo.path)
        except InputError:
            return "unreadable"
    return f"{width}x{height}"
