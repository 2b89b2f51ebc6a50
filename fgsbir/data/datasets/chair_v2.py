"""QMUL-ChairV2: vector sketches of photographed chairs."""

from __future__ import annotations

from pathlib import Path

from fgsbir.data.datasets.base import DataSource
from fgsbir.data.datasets.qmul import find_folder, pair, photo_id
from fgsbir.data.records import PairedData
from fgsbir.data.splits import read_list
from fgsbir.errors import InputError
from fgsbir.files import data_root
from fgsbir.sketch.formats import read_qmul


class ChairV2(DataSource):
    """QMUL-ChairV2: 952 + 323 vector sketches of 300 + 100 chairs, in the release's own split.

    30 of the 300 training photos, with all their sketches, are held out as `val`: a fixed list in
    `fgsbir/data/splits/chair_v2_val.txt`.

    Args:
        root: folder that holds `photo/<id>.png` and `ChairV2_Coordinate`, or the folder above it where it is called
            `qmul-chair-v2` or `ChairV2`; `$FGSBIR_DATA`, else `data`, if not given.
    """

    name = "chair_v2"

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = data_root(root)

    def load(self) -> PairedData:
        """Reads the coordinate file and finds the photos.

        Raises:
            InputError: if a file is missing or broken, or none of the `val` photos is there.
        """
        folder = find_folder(self.root, "ChairV2_Coordinate", ("qmul-chair-v2", "ChairV2"))
        sketches = read_qmul(folder / "ChairV2_Coordinate")
        val = read_list("chair_v2_val")
        if not any(photo_id(key) in val for key in sketches):
            raise InputError(
                folder / "ChairV2_Coordinate",
                "none of the photos that are held out for validation is there",
                "use the published ChairV2 files",
            )
        return pair(self.name, folder, sketches, val)
