"""A user's own photos and sketches in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os.path import isfile
from pathlib import Path
from typing import NamedTuple

from fgsbir.data.datasets.base import FileSource, usable
from fgsbir.data.datasets.pairs import Row, read_pairs
from fgsbir.data.records import SPLITS, PairedData, PhotoRecord
from fgsbir.data.splits import unit_hash
from fgsbir.data.traced import read_sketch_files
from fgsbir.errors import Faults, InputError
from fgsbir.images import IMAGE_SUFFIXES
from fgsbir.sketch.formats import SKETCH_SUFFIXES


class _Pair(NamedTuple):
    """One sketch file, the photo it shows, and its split if the user gave one."""

    sketch: Path
    photo_id: str
    split: str | None = None


class Folder(FileSource):
    """A user's own photos and sketches, `<path>/photos` and `<path>/sketches`; docs/how-to/data.md shows the layout.

    Without `pairs` a sketch belongs to the photo of its name, or of its name less a last `_<number>` or `-<number>`:
    `sofa_2.svg` to `sofa_2.jpg` if there is one, otherwise to `sofa.jpg`. Both folders may have sub-folders.

    Whole photos are held out, by a hash of their names: adding photos never moves another photo.

    Args:
        path: folder with `photos/` (PNG, JPEG, WebP, BMP, GIF, TIFF, AVIF, HEIC) and `sketches/` (SVG, QuickDraw,
            stroke-3, stroke-5, or images as those of `photos/`).
        pairs: CSV with a header and the columns `sketch` (file below `sketches/`), `photo` (name of a file in
            `photos/`) and, optionally, `split` (train, val or test; empty for one by hash), separated by commas,
            semicolons or tabs. Only the sketches that it lists are used.
        val_fraction: share of the photos held out for validation, in [0, 1], where the CSV does not say.
        test_fraction: share of the photos held out for testing, in [0, 1], where the CSV does not say.

    Raises:
        InputError: if the fractions are out of range or add up to more than 1.
    """

    name = "folder"

    def __init__(
        self,
        path: str | Path,
        pairs: str | Path | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
    ) -> None:
        self.path, self.pairs = Path(path), Path(pairs) if pairs else None
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        for field, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 <= value <= 1 or val_fraction + test_fraction > 1:
                fix = "use shares in [0, 1] that add up to 1 at most"
                raise InputError(f"folder.{field}", f"{value} leaves no sensible shares", fix)

    def inspect(self, faults: Faults) -> PairedData:
        """Reads the sketches and pairs them with the photos.

        Raises:
            InputError: if a folder is missing or empty, the CSV cannot be used, or a split that is asked for gets no
                photo.
        """
        photos = _photos(self.path, faults)
        if self.pairs:
            pairs = _paired_by_csv(self.path, self.pairs, photos, faults)
        else:
            pairs = _paired_by_name(self.path, photos, faults)
        pairs = _distinct(self.path, pairs, faults)
        given = {pair.photo_id: pair.split for pair in pairs if pair.split}
        splits = {id_: given.get(id_) or self._split_by_hash(id_) for id_ in photos}
        if not given and not faults:
            self._require_splits({splits[pair.photo_id] for pair in pairs}, len(photos))
        drawings = read_sketch_files([pair.sketch for pair in pairs])
        found = (
            (_sketch_id(self.path, pair.sketch), pair.photo_id, splits[pair.photo_id], drawing)
            for pair, drawing in zip(pairs, drawings, strict=True)
        )
        records = {id_: PhotoRecord(id_, splits[id_], path) for id_, path in photos.items()}
        return PairedData(self.path.resolve().name, usable(found, records, faults), records)

    def _require_splits(self, used: set[str], photos: int) -> None:
        """Refuses fractions that leave a split, which they ask for, without a photo."""
        shares = {"train": 1 - self.val_fraction - self.test_fraction, "val": self.val_fraction}
        shares["test"] = self.test_fraction
        if empty := [split for split, share in shares.items() if share > 1e-6 and split not in used]:
            fix = "add photos, change the fractions, or give a CSV with a split column"
            raise InputError(self.path, f"none of the {photos} photos falls into '{empty[0]}'", fix)

    def _split_by_hash(self, photo_id: str) -> str:
        position = unit_hash(photo_id)
        if position < self.test_fraction:
            return "test"
        return "val" if position < self.test_fraction + self.val_fraction else "train"


def _photos(root: Path, faults: Faults) -> dict[str, Path]:
    """Photo files by id, the name without its suffix."""
    photos: dict[str, Path] = {}
    for path in listed(root / "photos", f"put the photos ({', '.join(IMAGE_SUFFIXES)}) there"):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            other = photos.setdefault(path.stem, path)
            if other != path:
                problem = f"two photos have the name '{path.stem}': {other.name}, {path.name}"
                faults.append(InputError(root / "photos", problem, "rename one"))
    if not photos:
        raise InputError(root / "photos", "it holds no photos", f"put {', '.join(IMAGE_SUFFIXES)} files there")
    return photos


def _paired_by_name(root: Path, photos: Mapping[str, Path], faults: Faults) -> list[_Pair]:
    folder = root / "sketches"
    paths = listed(folder, f"put the sketches ({', '.join(SKETCH_SUFFIXES)}) there")
    if not paths:
        raise InputError(folder, "it holds no sketches", f"put {', '.join(SKETCH_SUFFIXES)} files there")
    pairs = []
    for path in paths:
        names = (path.stem, re.sub(r"[_-]\d+$", "", path.stem))
        photo_id = next((name for name in names if name in photos), None)
        if photo_id is None:
            fix = "name sketches <photo>, <photo>_<n> or <photo>-<n>, or give a CSV of pairs"
            faults.append(InputError(path, "there is no photo of its name", fix))
        else:
            pairs.append(_Pair(path, photo_id))
    return pairs


def _paired_by_csv(root: Path, path: Path, photos: Mapping[str, Path], faults: Faults) -> list[_Pair]:
    ids = {photo.name: id_ for id_, photo in photos.items()}
    splits: dict[str, str] = {}
    pairs = []
    for row in read_pairs(path):
        with faults.gathered():
            pairs.append(_pair(f"{path}: line {row.line}", root, row, ids, splits))
    return pairs


def _pair(where: str, root: Path, row: Row, ids: Mapping[str, str], splits: dict[str, str]) -> _Pair:
    """The pair of a line of the CSV; `splits` are the splits that earlier lines gave to photos, and learns this one."""
    sketch = root / "sketches" / row.sketch
    if not isfile(sketch):  # `Path.is_file` raises on a name that is too long
        raise InputError(where, f"there is no sketch '{row.sketch}'", f"name a file below {root / 'sketches'}")
    if row.photo not in ids:
        raise InputError(where, f"there is no photo '{row.photo}'", f"name a file in {root / 'photos'}")
    if row.split and row.split not in SPLITS:
        raise InputError(where, f"the split '{row.split}' is unknown", f"use {', '.join(SPLITS)}, or leave it empty")
    if row.split and splits.setdefault(row.photo, row.split) != row.split:
        problem = f"'{row.photo}' is in '{row.split}' here and in '{splits[row.photo]}' in an earlier line"
        raise InputError(where, problem, "put all sketches of a photo into one split")
    return _Pair(sketch, ids[row.photo], row.split or None)


def _distinct(root: Path, pairs: Iterable[_Pair], faults: Faults) -> list[_Pair]:
    """The pairs without those whose sketch has the id of an earlier one."""
    first: dict[str, _Pair] = {}
    for pair in pairs:
        other = first.setdefault(_sketch_id(root, pair.sketch), pair)
        if other is not pair:
            problem = f"it is there twice, as {other.sketch.name} and {pair.sketch.name}"
            faults.append(InputError(pair.sketch, problem, "rename or remove one"))
    return list(first.values())


def _sketch_id(root: Path, path: Path) -> str:
    """The path below `sketches/` without its suffix."""
    return path.relative_to(root / "sketches").with_suffix("").as_posix()


def listed(folder: Path, fix: str) -> list[Path]:
    """The files below a folder in a fixed order, without hidden ones.

    Args:
        folder: folder to list.
        fix: what to do if there is no such folder.

    Raises:
        InputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", fix)
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
