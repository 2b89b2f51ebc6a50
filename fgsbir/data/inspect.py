"""A look at a dataset before it is used: problems, statistics and a contact sheet."""

from __future__ import annotations

import colorsys
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from fgsbir.data.datasets.qmul import SplitCounts
from fgsbir.data.records import SPLITS, PairedData, PhotoRecord, SketchRecord
from fgsbir.data.transforms import UnitAffine, edge_map
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import FloatArray, VectorSketch

Color = tuple[int, int, int]

_CELL = 256  # pixels of one picture of the contact sheet
_GAP = 12
_TITLE = 22  # pixels of a row's title
_INK: Color = (40, 40, 40)
_FAINT: Color = (150, 150, 150)
_FRAME: Color = (220, 220, 220)


@dataclass(frozen=True)
class Problem:
    """Something to know about a dataset.

    Args:
        level: "error" stops a training, "warning" makes its scores doubtful, "note" is good to know.
        where: the photo, sketch or split.
        text: what is the matter.
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
    outside, flat, flat_strokes, single = [], [], 0, []
    for record in data.sketches:
        sketch = record.sketch
        same[sketch.points.tobytes(), sketch.offsets.tobytes()].append(f"{record.id} ({record.split})")
        if (sketch.points < 0).any() or (sketch.points > 1).any():
            outside.append(record.id)
        if count := _flat_strokes(sketch):
            flat.append(record.id)
            flat_strokes += count
        if len(sketch) == 1:
            single.append(record.id)
    problems = _repeats("sketches", same.values())
    if outside:
        text = f"{len(outside)} have ink outside the frame, which is cut off: {_few(outside)}"
        problems.append(Problem("warning", "sketches", text))
    if flat:
        text = f"{flat_strokes} strokes of {len(flat)} have no width or no height; their boxes are widened: "
        problems.append(Problem("note", "sketches", text + _few(flat)))
    if single:
        text = f"{len(single)} have one stroke, so no hierarchy: {_few(single)}"
        problems.append(Problem("note", "sketches", text))
    return problems


def _flat_strokes(sketch: VectorSketch) -> int:
    low = np.minimum.reduceat(sketch.points, sketch.offsets[:-1])
    high = np.maximum.reduceat(sketch.points, sketch.offsets[:-1])
    return int((high == low).any(1).sum())


def _repeats(where: str, groups: Iterable[list[str]]) -> list[Problem]:
    return [Problem("warning", where, f"equal content: {_few(ids)}") for ids in groups if len(ids) > 1]


def _few(ids: Sequence[str], count: int = 5) -> str:
    return ", ".join(ids[:count]) + (f" and {len(ids) - count} more" if len(ids) > count else "")


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
    for key, label in (
        ("sketches_per_photo", "sketches a photo"),
        ("strokes", "strokes a sketch"),
        ("points", "points a sketch"),
        ("ink", "ink a sketch"),
    ):
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
    return {
        "min": float(array.min()),
        "mean": float(array.mean()),
        "median": float(np.median(array)),
        "max": float(array.max()),
    }


def _format_spread(spread: Mapping[str, float] | None) -> str:
    return " / ".join(f"{spread[key]:.4g}" for key in ("min", "mean", "median", "max")) if spread else "-"


def _size(photo: PhotoRecord) -> str:
    """Width and height in pixels, from the head of the file."""
    if photo.pixels is not None:
        height, width = photo.pixels.shape[:2]
    else:
        assert photo.path is not None
        try:
            with Image.open(photo.path) as image:
                width, height = image.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return "unreadable"
    return f"{width}x{height}"


def sample(data: PairedData, split: str, count: int, seed: int = 0) -> list[SketchRecord]:
    """One sketch each of `count` random photos of a split, or of all photos if there are fewer.

    Raises:
        InputError: if the split is unknown or empty.
    """
    first: dict[str, SketchRecord] = {}
    for record in data.split_sketches(split):
        first.setdefault(record.photo_id, record)
    if not first:
        raise InputError(f"{data.name}: split '{split}'", "it has no sketches", f"use one of {', '.join(SPLITS)}")
    chosen = np.random.default_rng(seed).permutation(sorted(first))[:count]
    return [first[str(id_)] for id_ in chosen]


def show(
    data: PairedData,
    boxes: Mapping[str, FloatArray],
    path: Path,
    count: int = 8,
    split: str = "train",
    seed: int = 0,
    photo_style: Literal["rgb", "edges"] = "rgb",
) -> None:
    """Draws random pairs into a PNG: sketch, its strokes with their boxes, photo with its regions, photo.

    Strokes and regions are coloured in their order, from red through green and blue to pink: first to last
    drawn, first to last region.

    Args:
        data: the dataset.
        boxes: regions `(N, 4)` by photo id, of at least the photos of `sample(data, split, count, seed)`.
        path: the PNG to write.
        count: rows.
        split: "train", "val" or "test".
        seed: of the choice.
        photo_style: of the last picture, as in `fgsbir.data.dataset.Rendering`.

    Raises:
        InputError: if the split is empty, a photo cannot be read, or the file cannot be written.
    """
    records = sample(data, split, count, seed)
    step = _CELL + _GAP
    sheet = Image.new("RGB", (4 * step + _GAP, len(records) * (_TITLE + step) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for row, record in enumerate(records):
        photo, regions = data.photos[record.photo_id].read(), boxes[record.photo_id]
        top = _GAP + row * (_TITLE + step)
        halves = ((record.id, f"{len(record.sketch)} strokes"), (record.photo_id, f"{len(regions)} regions"))
        for half, (name, facts) in enumerate(halves):
            draw.text((_GAP + 2 * half * step, top), name, _INK, font)
            draw.text((2 * (half + 1) * step, top), facts, _FAINT, font, anchor="ra")
        cells = (
            Image.fromarray(rasterise(record.sketch, _CELL)).convert("RGB"),
            _strokes_picture(record.sketch),
            _regions_picture(photo, regions),
            _regions_picture(photo, regions[:0]) if photo_style == "rgb" else _edges_picture(photo),
        )
        for column, cell in enumerate(cells):
            x, y = _GAP + column * step, top + _TITLE
            sheet.paste(cell, (x, y))
            draw.rectangle((x - 1, y - 1, x + _CELL, y + _CELL), outline=_FRAME)
    with atomic_write(path) as file:
        sheet.save(file, "PNG")


def _strokes_picture(sketch: VectorSketch) -> Image.Image:
    """Each stroke in its own colour, with its box."""
    picture = np.full((_CELL, _CELL, 3), 255.0)
    colors = _colors(len(sketch))
    for index, color in enumerate(colors):
        ink = rasterise(sketch.select([index]), _CELL, width=2.5, ink="light")[..., None] / 255
        picture = picture * (1 - ink) + np.array(color) * ink
    return _with_boxes(Image.fromarray(picture.round().astype(np.uint8)), sketch.boxes(), colors, 1)


def _regions_picture(photo: npt.NDArray[np.uint8], boxes: FloatArray) -> Image.Image:
    """The photo in the middle of a white square, with its regions; the first, the whole photo, goes undrawn."""
    image = Image.fromarray(photo)
    scale = _CELL / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = _with_boxes(image.resize((width, height), Image.Resampling.LANCZOS), boxes[1:], _colors(len(boxes) - 1), 2)
    square = Image.new("RGB", (_CELL, _CELL), "white")
    square.paste(image, ((_CELL - width) // 2, (_CELL - height) // 2))
    return square


def _edges_picture(photo: npt.NDArray[np.uint8]) -> Image.Image:
    """The outlines of the photo, as a network reads them."""
    return Image.fromarray(edge_map(UnitAffine.letterbox(*photo.shape[:2]).image(photo, _CELL)))


def _with_boxes(image: Image.Image, boxes: FloatArray, colors: Sequence[Color], width: int) -> Image.Image:
    draw = ImageDraw.Draw(image)
    for box, color in zip(boxes, colors, strict=True):
        x1, y1, x2, y2 = (box.reshape(2, 2) * (np.array(image.size) - 1)).round().astype(int).flatten().tolist()
        draw.rectangle((x1, y1, x2, y2), outline=color, width=width)
    return image


def _colors(count: int) -> list[Color]:
    """Distinct hues from red to pink, dark enough for white paper."""
    hues = (0.9 * i / max(count, 1) for i in range(count))
    rgb = (colorsys.hls_to_rgb(hue, 0.42, 0.85) for hue in hues)
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in rgb]
