"""A contact sheet of a dataset: sketches, strokes, photos and their regions side by side."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fgsbir.data.records import SPLITS, PairedData, SketchRecord
from fgsbir.data.transforms import UnitAffine, edge_map
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import FloatArray, VectorSketch

Color = tuple[int, int, int]

_CELL = 256  # side of one image of the contact sheet, in pixels
_GAP = 12
_TITLE = 22  # height of a row's title, in pixels
_INK: Color = (40, 40, 40)
_FAINT: Color = (150, 150, 150)
_FRAME: Color = (220, 220, 220)


def sample(data: PairedData, split: str, count: int, seed: int = 0) -> list[SketchRecord]:
    """The first sketch of each of `count` random photos of a split, or of all photos if there are fewer.

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


def write_contact_sheet(
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
        path: PNG to write.
        count: number of rows.
        split: "train", "val" or "test".
        seed: seed of the choice of pairs.
        photo_style: style of the last image, as in `fgsbir.data.dataset.Rendering`.

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
            _strokes_image(record.sketch),
            _regions_image(photo, regions),
            _regions_image(photo, regions[:0]) if photo_style == "rgb" else _edges_image(photo),
        )
        for column, cell in enumerate(cells):
            x, y = _GAP + column * step, top + _TITLE
            sheet.paste(cell, (x, y))
            draw.rectangle((x - 1, y - 1, x + _CELL, y + _CELL), outline=_FRAME)
    with atomic_write(path) as file:
        sheet.save(file, "PNG")


def _strokes_image(sketch: VectorSketch) -> Image.Image:
    """Each stroke in its own colour, with its box."""
    canvas = np.full((_CELL, _CELL, 3), 255.0)
    colors = _colors(len(sketch))
    for index, color in enumerate(colors):
        ink = rasterise(sketch.select([index]), _CELL, width=2.5, ink="light")[..., None] / 255
        canvas = canvas * (1 - ink) + np.array(color) * ink
    return _with_boxes(Image.fromarray(canvas.round().astype(np.uint8)), sketch.boxes(), colors, 1)


def _regions_image(photo: npt.NDArray[np.uint8], boxes: FloatArray) -> Image.Image:
    """The photo in the middle of a white square, with its regions, without the first one, the whole photo."""
    image = Image.fromarray(photo)
    scale = _CELL / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = _with_boxes(image.resize((width, height), Image.Resampling.LANCZOS), boxes[1:], _colors(len(boxes) - 1), 2)
    square = Image.new("RGB", (_CELL, _CELL), "white")
    square.paste(image, ((_CELL - width) // 2, (_CELL - height) // 2))
    return square


def _edges_image(photo: npt.NDArray[np.uint8]) -> Image.Image:
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
