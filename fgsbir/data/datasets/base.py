"""`DataSource`: what every dataset is to the rest of the package; `FileSource`: one that reads files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from os.path import isfile
from pathlib import Path

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.errors import Faults, InputError
from fgsbir.sketch.strokes import VectorSketch


class DataSource(ABC):
    """A dataset: it knows where its files are and how they are split.

    Attributes:
        name: short name of the dataset, e.g. "chair_v2".
    """

    name: str

    @abstractmethod
    def load(self) -> PairedData:
        """Reads the records of all splits.

        Raises:
            InputError: if files are missing or broken.
        """

    def inspect(self, faults: Faults) -> PairedData:
        """As `load`, for `fgsbir data check`; a `FileSource` goes on after a fault.

        Args:
            faults: list that receives the faults.

        Raises:
            InputError: if there is nothing to go on with.
        """
        return self.load()


class FileSource(DataSource):
    """A dataset of many files: whatever is wrong with one of them is gathered."""

    @abstractmethod
    def inspect(self, faults: Faults) -> PairedData:
        """Reads the records of all splits, without those that a fault spoils.

        Args:
            faults: list that receives a fault for each broken or missing file.

        Raises:
            InputError: if there is nothing to go on with, e.g. no folder.
        """

    def load(self) -> PairedData:
        """Reads the records of all splits.

        Raises:
            InputError: if a file is missing or broken; with their number if there are several.
        """
        faults = Faults()
        with faults.gathered():
            data = self.inspect(faults)
        faults.refuse(self.name)
        return data


def present(photos: Mapping[str, PhotoRecord], faults: Faults) -> dict[str, PhotoRecord]:
    """The photos whose files are there; each of the others is a fault."""
    # `isfile`: `Path.is_file` raises on a name that is too long.
    missing = {id_ for id_, photo in photos.items() if photo.path is not None and not isfile(photo.path)}
    faults += [InputError(photos[id_].path, "no such photo", "unpack the dataset there") for id_ in sorted(missing)]
    return {id_: photo for id_, photo in photos.items() if id_ not in missing}


def usable(
    sketches: Iterable[tuple[str, str, str, VectorSketch | InputError]],
    photos: Mapping[str, PhotoRecord],
    faults: Faults,
) -> tuple[SketchRecord, ...]:
    """Records of the sketches, given as id, photo, split and drawing, that can be read and whose photo is there.

    A drawing that could not be read is a fault; that a photo is missing is one already.
    """
    records = []
    for id_, photo_id, split, sketch in sketches:
        if isinstance(sketch, InputError):
            faults.append(sketch)
        elif photo_id in photos:
            records.append(SketchRecord(id_, photo_id, split, sketch))
    return tuple(records)


def find_folder(root: Path, names: Sequence[str], contents: Sequence[str], what: str) -> Path:
    """The folder of a dataset: the first of `root` and the folders `names` below it that holds all `contents`.

    Raises:
        InputError: if there is none; it says that `what` is missing.
    """
    for folder in (root, *(root / name for name in names)):
        if all((folder / content).exists() for content in contents):
            return folder
    problem = f"no {what}, here or in {' or '.join(map(repr, names))}"
    fix = "download the dataset and name its folder in FGSBIR_DATA or --data.source.init_args.root"
    raise InputError(root, problem, fix)
