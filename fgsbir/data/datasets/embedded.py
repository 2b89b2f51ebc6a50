"""The embedded dataset: generated chairs, shoes or app screens, with the truth about their parts."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir.data.datasets.base import DataSource
from fgsbir.data.procedural import Instance, load_instances
from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.errors import InputError


class PartTree(NamedTuple):
    """The parts of a drawn object and the strokes that draw them.

    Attributes:
        parents: parent of each part, `(M,)`, always smaller than its own number; -1 for the whole object.
        owners: part that each stroke draws, `(S,)`.
    """

    parents: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]


class Embedded(DataSource):
    """The generated dataset that comes with the package: no download, the same bytes for the same seed.

    It is generated once, by all cores, and kept in `$FGSBIR_CACHE/embedded`, else `~/.cache/fgsbir/embedded`.

    Args:
        category: what is drawn: "chairs", "shoes" or "screens".
        train: number of training photos.
        val: number of validation photos.
        test: number of test photos.
        sketches_per_photo: number of sketches of each photo.
        size: side of the photos, in pixels.
        seed: seed of everything random.
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
        """Everything generated, the splits one after another; from the cache after the first time.

        Raises:
            InputError: if the category is unknown, a number is out of range, or the cache cannot be written.
        """
        count = sum(self.counts.values())
        return load_instances(self.category, count, self.sketches_per_photo, self.seed, self.size)

    def load(self) -> PairedData:
        """Pairs the sketches with their photos.

        Raises:
            InputError: as `instances`.
        """
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
