"""QMUL-ChairV2 and QMUL-ShoeV2: vector sketches of photographed chairs and shoes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from fgsbir.data.datasets.base import FileSource, find_folder, present, usable
from fgsbir.data.records import PairedData, PhotoRecord
from fgsbir.data.splits import lowest_tenth, read_list
from fgsbir.errors import Faults, InputError
from fgsbir.files import data_root
from fgsbir.sketch.formats import read_qmul

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


class _Release(FileSource):
    """What ChairV2 and ShoeV2 have in common: one coordinate file beside a folder of photos.

    Attributes:
        coordinates: name of the coordinate file; its keys are `/<split>/<photo>_<n>`.
        folders: names of the dataset's folder.
    """

    coordinates: str
    folders: tuple[str, ...]

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = data_root(root)

    @abstractmethod
    def held_out(self, training: set[str]) -> frozenset[str]:
        """The ids of the training photos that are held out for validation, given all of them."""

    def inspect(self, faults: Faults) -> PairedData:
        """Reads the coordinate file and finds the photos.

        Raises:
            InputError: if the coordinate file is missing or broken, or none of the photos held out for validation is
                there.
        """
        needed = (self.coordinates, "photo")
        folder = find_folder(self.root, self.folders, needed, f"'{self.coordinates}' beside a folder 'photo'")
        sketches = read_qmul(folder / self.coordinates, faults)
        val = self.held_out({_photo_id(key) for key in sketches if key.startswith("/train/")})
        found = []
        photos: dict[str, PhotoRecord] = {}
        for key in sorted(sketches):
            _, split, name = key.split("/")
            photo = _photo_id(key)
            if split == "train" and photo in val:
                split = "val"
            photos.setdefault(photo, PhotoRecord(photo, split, folder / "photo" / f"{photo}.png"))
            found.append((name, photo, split, sketches[key]))
        photos = present(photos, faults)
        return PairedData(self.name, usable(found, photos, faults), photos)


class ChairV2(_Release):
    """QMUL-ChairV2: 952 + 323 vector sketches of 300 + 100 chairs, in the release's own split.

    30 of the 300 training photos, with all their sketches, are held out as `val`: a fixed list in
    `fgsbir/data/splits/chair_v2_val.txt`.

    Args:
        root: folder that holds `photo/<id>.png` and `ChairV2_Coordinate`, or the folder above it where it is called
            `qmul-chair-v2` or `ChairV2`; `$FGSBIR_DATA`, else `data`, if not given.
    """

    name = "chair_v2"
    coordinates = "ChairV2_Coordinate"
    folders = ("qmul-chair-v2", "ChairV2")

    def held_out(self, training: set[str]) -> frozenset[str]:
        """The fixed list."""
        val = read_list("chair_v2_val")
        if not val & training:
            problem = "none of the photos that are held out for validation is there"
            raise InputError(self.root / self.coordinates, problem, "use the published ChairV2 files")
        return val


class ShoeV2(_Release):
    """QMUL-ShoeV2: sketches of 2,000 shoes, 1,800 for training, in the release's own split.

    The tenth of the training photos with the lowest hash of their ids (180), with all their sketches, is held out as
    `val`.

    Args:
        root: folder that holds `photo/<id>.png` and `ShoeV2_Coordinate`, or the folder above it where it is called
            `qmul-shoe-v2` or `ShoeV2`; `$FGSBIR_DATA`, else `data`, if not given.
    """

    name = "shoe_v2"
    coordinates = "ShoeV2_Coordinate"
    folders = ("qmul-shoe-v2", "ShoeV2")

    def held_out(self, training: set[str]) -> frozenset[str]:
        """The tenth with the lowest hash."""
        return lowest_tenth(training)


def _photo_id(key: str) -> str:
    """`<photo>` of a key `/<split>/<photo>_<n>`."""
    return key.split("/")[2].rsplit("_", 1)[0]
