"""Readers of QMUL-ChairV2 and QMUL-ShoeV2, vector sketches of photographed products."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.splits import lowest_tenth, read_list
from fgsbir.errors import InputError
from fgsbir.sketch.formats import read_qmul
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


def load_chair_v2(root: Path) -> PairedData:
    """QMUL-ChairV2 in its published train and test split.

    `val` is 30 of the 300 training photos, with all their sketches: a fixed list in `splits/chair_v2_val.txt`.

    Args:
        root: folder with `photo/<id>.png` and `ChairV2_Coordinate`, or a folder that holds such a folder
            under the name `qmul-chair-v2` or `ChairV2`.

    Raises:
        InputError: if a file is missing or broken, or none of the `val` photos is there.
    """
    folder = _find(root, "ChairV2_Coordinate", ("qmul-chair-v2", "ChairV2"))
    drawings = read_qmul(folder / "ChairV2_Coordinate")
    val = read_list("chair_v2_val")
    if not any(_photo_id(key) in val for key in drawings):
        raise InputError(
            folder / "ChairV2_Coordinate",
            "none of the photos that are held out for validation is there",
            "use the published ChairV2 files",
        )
    return _pair("chair_v2", folder, drawings, val)


def load_shoe_v2(root: Path) -> PairedData:
    """QMUL-ShoeV2 in its published train and test split.

    `val` is the tenth of the training photos with the lowest hash of their ids (180 of 1,800), with all their
    sketches.

    Args:
        root: folder with `photo/<id>.png` and `ShoeV2_Coordinate`, or a folder that holds such a folder
            under the name `qmul-shoe-v2` or `ShoeV2`.

    Raises:
        InputError: if a file is missing or broken.
    """
    folder = _find(root, "ShoeV2_Coordinate", ("qmul-shoe-v2", "ShoeV2"))
    drawings = read_qmul(folder / "ShoeV2_Coordinate")
    val = lowest_tenth(_photo_id(key) for key in drawings if key.startswith("/train/"))
    return _pair("shoe_v2", folder, drawings, val)


def _find(root: Path, coordinates: str, names: tuple[str, ...]) -> Path:
    """The folder that holds the dataset."""
    for folder in (root, *(root / name for name in names)):
        if (folder / coordinates).is_file() and (folder / "photo").is_dir():
            return folder
    raise InputError(
        root,
        f"no '{coordinates}' beside a folder 'photo', here or in {' or '.join(repr(name) for name in names)}",
        "download the dataset and name its folder in FGSBIR_DATA or --data.source.init_args.root",
    )


def _pair(name: str, folder: Path, drawings: Mapping[str, VectorSketch], val: frozenset[str]) -> PairedData:
    """Records of all drawings and of the photos they name."""
    sketches = []
    photos: dict[str, PhotoRecord] = {}
    for key in sorted(drawings):
        photo_id = _photo_id(key)
        split = key.split("/")[1]
        if split == "train" and photo_id in val:
            split = "val"
        photos.setdefault(photo_id, PhotoRecord(photo_id, split, folder / "photo" / f"{photo_id}.png"))
        sketches.append(SketchRecord(key.split("/")[2], photo_id, split, drawings[key]))
    present = {path.name for path in (folder / "photo").iterdir()}
    missing = sorted(id_ for id_ in photos if f"{id_}.png" not in present)
    if missing:
        raise InputError(
            folder / "photo",
            f"{len(missing)} of {len(photos)} photos are missing, first '{missing[0]}.png'",
            "unpack the photos of the dataset there",
        )
    return PairedData(name, tuple(sketches), photos)


def _photo_id(key: str) -> str:
    """`<photo>` of a key `/<split>/<photo>_<n>`."""
    return key.split("/")[2].rsplit("_", 1)[0]
