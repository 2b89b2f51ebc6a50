"""The datasets, each a small class that finds its records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir.data.datasets.chair_v1 import load_chair_v1
from fgsbir.data.datasets.folder import load_folder
from fgsbir.data.datasets.qmul import load_chair_v2, load_shoe_v2
from fgsbir.data.datasets.swire import SplitBy, load_swire
from fgsbir.data.procedural import Instance, generate
from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.errors import InputError
from fgsbir.files import data_root


class DataSource(ABC):
    """A dataset: it knows where its files are and how they are split."""

    name: str

    @abstractmethod
    def load(self) -> PairedData:
        """Reads the records of all splits.

        Raises:
            InputError: if files are missing or broken.
        """


class ChairV1(DataSource):
    """QMUL-Chair-V1: 200 + 97 chairs, each with one drawn picture, in the release's own split.

    20 of the 200 training photos are held out as `val`: a fixed list in `fgsbir/data/splits/chair_v1_val.txt`.

    Args:
        root: folder that holds `chairs_annotation.json`, `train/` and `test/`, or the folder above it; `$FGSBIR_DATA`,
            or `data`, when it is not given.
        max_strokes: strokes of a sketch at most; not more than `rendering.max_strokes`.
    """

    name = "chair_v1"

    def __init__(self, root: Path | None = None, max_strokes: int = 16) -> None:
        if max_strokes < 1:
            raise InputError("chair_v1.max_strokes", f"{max_strokes} is out of range", "use 1 or more")
        self.root, self.max_strokes = data_root(root), max_strokes

    def load(self) -> PairedData:
        """Reads the annotation, finds the photos and recovers the strokes."""
        return load_chair_v1(self.root, self.max_strokes)


class ChairV2(DataSource):
    """QMUL-ChairV2: 952 + 323 vector sketches of 300 + 100 chairs, in the release's own split.

    30 of the 300 training photos, with all their sketches, are held out as `val`: a fixed list in
    `fgsbir/data/splits/chair_v2_val.txt`.

    Args:
        root: folder that holds `photo/` and `ChairV2_Coordinate`, or the folder above it; `$FGSBIR_DATA`, or
            `data`, when it is not given.
    """

    name = "chair_v2"

    def __init__(self, root: Path | None = None) -> None:
        self.root = data_root(root)

    def load(self) -> PairedData:
        """Reads the coordinate file and finds the photos."""
        return load_chair_v2(self.root)


class ShoeV2(DataSource):
    """QMUL-ShoeV2: sketches of 2,000 shoes, 1,800 for training, in the release's own split.

    A tenth of the training photos is held out as `val`.

    Args:
        root: folder that holds `photo/` and `ShoeV2_Coordinate`, or the folder above it; `$FGSBIR_DATA`, or
            `data`, when it is not given.
    """

    name = "shoe_v2"

    def __init__(self, root: Path | None = None) -> None:
        self.root = data_root(root)

    def load(self) -> PairedData:
        """Reads the coordinate file and finds the photos."""
        return load_shoe_v2(self.root)


class Swire(DataSource):
    """SWIRE: scanned sketches of app screens from RICO by four designers; docs/data.md tells how they are laid out.

    Args:
        root: folder that holds `sketches/` and `screens/`, or the folder above it; `$FGSBIR_DATA`, or `data`, when
            it is not given.
        by: what training has not seen of the test queries: their "screen", their "designer" (then it may have seen
            the screen), or "both".
        max_regions: strokes of a sketch at most; not more than `rendering.max_strokes`.
    """

    name = "swire"

    def __init__(self, root: Path | None = None, by: SplitBy = "screen", max_regions: int = 16) -> None:
        self.root, self.by, self.max_regions = data_root(root), by, max_regions

    def load(self) -> PairedData:
        """Traces the scans, or finds the tracings in the cache, and finds the screens."""
        return load_swire(self.root, self.by, self.max_regions)


class Folder(DataSource):
    """A user's own photos and sketches; docs/data.md tells how they are laid out.

    Args:
        path: folder with `photos/` and `sketches/`.
        pairs: CSV with the columns sketch, photo and, if wanted, split; without it sketches and photos are
            paired by name.
        val_fraction: share of the photos held out for validation, where the CSV does not say.
        test_fraction: share of the photos held out for testing, where the CSV does not say.
    """

    name = "folder"

    def __init__(
        self, path: Path, pairs: Path | None = None, val_fraction: float = 0.1, test_fraction: float = 0.2
    ) -> None:
        self.path, self.pairs = path, pairs
        self.val_fraction, self.test_fraction = val_fraction, test_fraction

    def load(self) -> PairedData:
        """Reads the sketches and pairs them with the photos."""
        return load_folder(self.path, self.pairs, self.val_fraction, self.test_fraction)


class PartTree(NamedTuple):
    """The parts of a drawn object and the strokes that draw them.

    Attributes:
        parents: parent of each part, `(M,)`, always smaller than its own number; -1 for the whole object.
        owners: part that each stroke draws, `(S,)`.
    """

    parents: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]


class Embedded(DataSource):
    """The procedural dataset that comes with the package: no download, the same bytes for the same seed.

    Args:
        category: what is drawn.
        train: training photos.
        val: validation photos.
        test: test photos.
        sketches_per_photo: sketches of each photo.
        size: side of the photos, in pixels.
        seed: of everything.
    """

    name = "embedded"

    def __init__(
        self,
        category: Literal["chairs", "shoes", "screens"] = "chairs",
        train: int = 160,
        val: int = 40,
        test: int = 100,
        sketches_per_photo: int = 3,
        size: int = 160,
        seed: int = 0,
    ) -> None:
        self.counts = {"train": train, "val": val, "test": test}
        for field, value in (*self.counts.items(), ("sketches_per_photo", sketches_per_photo)):
            if value < 1:
                raise InputError(f"embedded.{field}", f"{value} is not positive", "use 1 or more")
        self.category: Literal["chairs", "shoes", "screens"] = category
        self.sketches_per_photo, self.size, self.seed = sketches_per_photo, size, seed

    @cached_property
    def instances(self) -> list[Instance]:
        """What is drawn, the splits one after another."""
        return generate(self.category, sum(self.counts.values()), self.sketches_per_photo, self.seed, self.size)

    def load(self) -> PairedData:
        """Draws the photos and sketches."""
        splits = [split for split, count in self.counts.items() for _ in range(count)]
        photos, sketches = {}, []
        for instance, split in zip(self.instances, splits, strict=True):
            photos[instance.id] = PhotoRecord(instance.id, split, pixels=instance.photo)
            sketches += [
                SketchRecord(f"{instance.id}_{n}", instance.id, split, sketch)
                for n, sketch in enumerate(instance.sketches, start=1)
            ]
        return PairedData(f"embedded_{self.category}", tuple(sketches), photos)

    def part_trees(self) -> dict[str, PartTree]:
        """The truth about the parts of each sketch, by sketch id."""
        return {
            f"{instance.id}_{n}": PartTree(np.array([part.parent for part in instance.parts]), owners)
            for instance in self.instances
            for n, owners in enumerate(instance.stroke_parts, start=1)
        }
