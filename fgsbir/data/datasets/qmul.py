"""What ChairV2 and ShoeV2 of QMUL have in common: one coordinate file and a folder of photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch

SplitCounts = Mapping[str, tuple[int, int]]  # (sketches, photos) of "train", which includes val, and of "test"

EXPECTED_COUNTS: Mapping[str, SplitCounts] = {
    "chair_v1": {"train": (200, 200), "test": (97, 97)},
    "chair_v2": {"train": (952, 300), "test": (323, 100)},
    "shoe_v2": {"train": (5982, 1800), "test": (666, 200)},
}
"""Sizes of the releases that the scores in `results/` belong to.

Other releases circulate: ChairV2 with 964 + 311 or 951 + 324 sketches, ShoeV2 with 6,051 + 679. Scores on different
releases cannot be compared.
"""


def find_folder(root: Path, coordinates: str, names: tuple[str, ...]) -> Path:
    """The folder with the coordinate file and `photo/`: `root`, or one of `names` below it.

    Raises:
        InputError: if there is none.
    """
    for folder in (root, *(root / name for name in names)):
        if (folder / coordinates).is_file() and (folder / "photo").is_dir():
            return folder
    raise InputError(
        root,
        f"no '{coordinates}' beside a folder 'photo', here or in {' or '.join(repr(name) for name in names)}",
        "download the dataset and name its folder in FGSBIR_DATA or --data.source.init_args.root",
    )


def pair(name: str, folder: Path, sketches: Mapping[str, VectorSketch], val: frozenset[str]) -> PairedData:
    """Records of all sketches and of the photos that their keys name.

    Args:
        name: name of the dataset.
        folder: folder that holds `photo/<id>.png`.
        sketches: by key, `/<split>/<photo>_<n>`.
        val: training photos that are held out for validation.

    Raises:
        InputError: if a photo is missing, or a photo is in two splits.
    """
    records = []
    photos: dict[str, PhotoRecord] = {}
    for key in sorted(sketches):
        id_ = photo_id(key)
        split = key.split("/")[1]
        if split == "train" and id_ in val:
            split = "val"
        photos.setdefault(id_, PhotoRecord(id_, split, folder / "photo" / f"{id_}.png"))
        records.append(SketchRecord(key.split("/")[2], id_, split, sketches[key]))
    present = {path.name for path in (folder / "photo").iterdir()}
    missing = sorted(id_ for id_ in photos if f"{id_}.png" not in present)
    if missing:
        raise InputError(
            folder / "photo",
            f"{len(missing)} of {len(photos)} photos are missing, first '{missing[0]}.png'",
            "unpack the photos of the dataset there",
        )
    return PairedData(name, tuple(records), photos)


def photo_id(key: str) -> str:
    """`<photo>` of a key `/<split>/<photo>_<n>`."""
    return key.split("/")[2].rsplit("_", 1)[0]
