"""Good files of every format that is read, made here, and how each can be damaged."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from fuzz import mutations
from PIL import Image, features

from fgsbir.data.splits import read_list
from fgsbir.sketch.formats import SKETCH_SUFFIXES, to_stroke5
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch

CHAIR = VectorSketch.from_strokes(
    [
        [(0.25, 0.1), (0.3, 0.5), (0.75, 0.52), (0.7, 0.15), (0.25, 0.1)],
        [(0.3, 0.5), (0.28, 0.9)],
        [(0.75, 0.52), (0.8, 0.9)],
        [(0.5, 0.3)],
    ]
)
SVGS = (
    "<svg viewBox='0 0 9 9'><path d='M0 0 C1 2 3 4 5 6 A1 2 30 0 1 4 5 Q3 3 8 1 Z' transform='rotate(30)'/></svg>",
    "<svg width='99' height='9'><g transform='skewX(45)'><circle cx='50' r='9'/></g><rect width='5' height='9'/></svg>",
    "<svg viewBox='0 0 9 9'><defs><g id='a'><line x2='9' stroke='black'/></g></defs><use href='#a' x='3'/>"
    "<polyline points='1,2 3,4 5,2'/><ellipse cx='5' cy='5' rx='2' ry='1' style='fill:none;stroke:#123'/></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg' width='2in' viewBox='-5 -5 20 9'><style>.l{stroke:red}</style>"
    "<symbol id='s' viewBox='0 0 1 1'><polygon points='0,0 1,0 1,1'/></symbol><use href='#s' x='2' width='3'/>"
    "<clipPath id='c'><circle r='4'/></clipPath><g clip-path='url(#c)' opacity='.5'><path class='l' d='m1 1h5v3z'/></g>"
    "<switch><g><line x1='1' x2='9' y2='9' stroke='black' stroke-width='2'/></g></switch></svg>",
)
DRAWING = [[[0, 255, 255], [0, 0, 100], [0, 5, 9]], [[10, 12], [50, 7]], [[30], [30]]]
SEMANTIC = {
    "bounds": [0, 0, 1440, 2560],
    "children": [
        {"bounds": [0, 84, 1440, 280], "componentLabel": "Toolbar", "children": [{"bounds": [40, 100, 200, 240]}]},
        {"bounds": [0, 280, 1440, 2392], "componentLabel": "List Item", "clickable": True},
    ],
}
RAW = {
    "activity_name": "com.example/.Main",
    "activity": {
        "root": {
            "bounds": [0, 0, 1440, 2560],
            "visible-to-user": True,
            "class": "android.widget.FrameLayout",
            "children": [
                None,
                {"bounds": [0, 84, 1440, 280], "visible-to-user": True, "visibility": "visible", "children": []},
                {"bounds": [9, 300, 700, 900], "visible-to-user": False, "visibility": "gone"},
            ],
        }
    },
}
PAIRS = "sketch,photo,split\na.svg,a.png,train\nb.svg,b.png,val\nc.svg,c.png,test\n"
ANNOTATION = {
    part: {
        "images": [f"{name}.jpg" for name in names],
        "sketches": [f"{name}.png" for name in names],
        "triplets": [[[0, 0], [0, 0]]] * len(names),
    }
    for part, names in (("train", ["1", min(read_list("chair_v1_val"))]), ("test", ["201"]))
}


@dataclass(frozen=True)
class Kind:
    """A format.

    Attributes:
        suffix: of its files.
        reader: name of what reads them, in `worker.READERS`.
        seeds: good files.
        knowing: mutations that know the format.
    """

    suffix: str
    reader: str
    seeds: tuple[bytes, ...]
    knowing: tuple[mutations.Mutation, ...] = ()

    def mutated(self, rng: Random) -> bytes:
        """A seed that was damaged."""
        content = rng.choice(self.seeds)
        if self.knowing and rng.random() < 0.7:
            content = rng.choice(self.knowing)(content, rng)
        if not self.knowing or rng.random() < 0.4:
            content = mutations.blind(content, rng, self.seeds)
        return content


def kinds() -> dict[str, Kind]:
    """All formats by name."""
    packed = tuple(gzip.compress(svg.encode(), mtime=0) for svg in SVGS)
    record = {"key_id": "1", "word": "chair", "drawing": DRAWING}
    sketches = {
        "svg": Kind(".svg", "sketch", tuple(map(str.encode, SVGS)), (mutations.svg, mutations.text)),
        "svgz": Kind(".svgz", "sketch", packed, (mutations.svgz,)),
        "json": Kind(".json", "sketch", (_json(record, 1),), (mutations.tree, mutations.text)),
        "ndjson": Kind(".ndjson", "sketch", (_json(record),), (mutations.tree, mutations.text)),
        "npy": Kind(".npy", "sketch", tuple(_arrays()), (mutations.npy,)),
    }
    drawn, photo = rasterise(CHAIR, 160, 3), np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for name, seeds in _images(drawn).items():
        sketches[f"sketch {name}"] = Kind(f".{name}", "sketch", seeds, _knowing(name))
    found = {name: kind for name, kind in sketches.items() if kind.suffix in SKETCH_SUFFIXES}
    for name, seeds in _images(photo).items():
        found[f"photo {name}"] = Kind(f".{name}", "photo", seeds, _knowing(name))
    coordinates = {f"/{part}/a_{i}": _qmul(i) for i, part in enumerate(("train", "test"), 1)}
    boxes = {"a.png": np.array([[0, 0, 256, 256], [10, 20, 100, 200]]), "b.png": [[0, 0, 500, 500], [5, 5, 9, 9]]}
    pickles = tuple(pickle.dumps(coordinates, protocol) for protocol in (2, 3, 5))
    found["coordinates"] = Kind("", "coordinates", pickles, (mutations.pickled,))
    boxed = tuple(pickle.dumps(boxes, protocol) for protocol in (2, 4))
    found["boxes"] = Kind(".pkl", "boxes", boxed, (mutations.pickled,))
    screens = (_json(SEMANTIC), _json(RAW))
    found["hierarchy"] = Kind(".json", "hierarchy", screens, (mutations.tree, mutations.text))
    found["pairs"] = Kind(".csv", "pairs", (PAIRS.encode(), PAIRS.replace(",", ";").encode()), (mutations.text,))
    found["annotation"] = Kind(".json", "annotation", (_json(ANNOTATION),), (mutations.tree, mutations.text))
    return found


def _json(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def _qmul(seed: int) -> Any:
    points = np.random.default_rng(seed).integers(0, 256, (9, 2)).astype(float)
    return np.column_stack([points, np.arange(9) % 4 == 3])


def _arrays() -> Iterator[bytes]:
    five = to_stroke5(CHAIR, 20)
    for array in (
        five,
        np.column_stack([five[:, :2], five[:, 3]]),
        np.round(five[:20] * [255, 255, 1, 1, 1]).astype(np.int16),
    ):
        file = io.BytesIO()
        np.save(file, array)
        yield file.getvalue()


def _knowing(name: str) -> tuple[mutations.Mutation, ...]:
    return (mutations.png, mutations.sized) if name == "png" else (mutations.sized,)


def _images(pixels: Any) -> Mapping[str, tuple[bytes, ...]]:
    """An image in all formats that Pillow writes here, by suffix, in several modes and kinds of compression."""
    image = Image.fromarray(pixels)
    grey, colour = image.convert("L"), image.convert("RGB")
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = colour.quantize(8)
    made = {
        "png": [(grey, {}), (clear, {}), (deep, {}), (palette, {"transparency": 1}), (grey.convert("1"), {})],
        "jpg": [(grey, {}), (colour, {"exif": turned}), (colour.convert("CMYK"), {}), (colour, {"progressive": True})],
        "webp": [(colour, {}), (clear, {"lossless": True}), (colour, {"save_all": True, "append_images": [colour]})],
        "bmp": [(grey, {}), (colour, {}), (palette, {}), (clear, {})],
        "gif": [(palette, {}), (palette, {"save_all": True, "append_images": [palette], "transparency": 0})],
        "tiff": [
            (grey, {}),
            (colour, {"compression": "tiff_lzw"}),
            (colour.convert("CMYK"), {"compression": "tiff_deflate"}),
            (deep, {}),
            (grey.convert("F"), {}),
            (colour, {"save_all": True, "append_images": [colour]}),
            (grey.convert("1"), {"compression": "group4"}),
        ],
    }
    if features.check("avif"):
        made["avif"] = [(colour, {}), (clear, {"quality": 30})]
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
        made["heic"] = [(colour, {}), (clear, {})]
    forms = {"jpg": "JPEG", "heic": "HEIF"}
    return {
        name: tuple(_saved(each, forms.get(name, name.upper()), options) for each, options in files)
        for name, files in made.items()
    }


def _saved(image: Image.Image, form: str, options: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
