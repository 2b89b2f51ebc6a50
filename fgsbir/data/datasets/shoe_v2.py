"""QMUL-ShoeV2: vector sketches of photographed shoes."""

from __future__ import annotations

from pathlib import Path

from fgsbir.data.datasets.base import DataSource
from fgsbir.data.datasets.qmul import find_folder, pair, photo_id
from fgsbir.data.records import PairedData
from fgsbir.data.splits import lowest_tenth
from fgsbir.files import data_root
from fgsbir.sketch.formats import read_qmul


class ShoeV2(DataSource):
    """QMUL-ShoeV2: sketches of 2,000 shoes, 1,800 for training, in the release's own split.

    The tenth of the training photos with the lowest hash of their ids (180), with all their sketches, is held out as
    `val`.

    Args:
        root: folder that holds `photo/<id>.png` and `ShoeV2_Coordinate`, or the folder above it where it is called
            `qmul-shoe-v2` or `ShoeV2`; `$FGSBIR_DATA`, else `data`, if not given.
    """

    name = "shoe_v2"

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = data_root(root)

    def load(self) -> PairedData:
        """Reads the coordinate file and finds the photos.

        Raises:
            InputError: if a file is missing or broken.
        """
        folder = find_folder(self.root, "ShoeV2_Coordinate", ("qmul-shoe-v2", "ShoeV2"))
        sketches = read_qmul(folder / "ShoeV2_Coordinate")
        val = lowest_tenth(photo_id(key) for key in sketches if key.startswith("/train/"))
        return pair(self.name, folder, sketches, val)
