"""A user's own photos and sketches in a folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fgsbir.data.datasets.base import DataSource
from fgsbir.data.records import SPLITS, PairedData, PhotoRecord, SketchRecord
from fgsbir.data.splits import unit_hash
from fgsbir.errors import InputError
from fgsbir.images import IMAGE_SUFFIXES
from fgsbir.sketch.formats import SKETCH_SUFFIXES, read_sketch
from fgsbir.sketch.strokes import VectorSketch


class _Pair(NamedTuple):
    """One sketch file, the photo it shows, and its split if the user gave one."""

    sketch: Path
    photo_id: str
    split: str | None = None


class Folder(DataSource):
    """A user's own photos and sketches, `<path>/photos` and `<path>/sketches`; docs/how-to/data.md shows the layout.

    Without `pairs` a sketch belongs to the photo of its name, or of its name less a last `_<number>` or `-<number>`:
    `sofa_2.svg` to `sofa_2.jpg` if there is one, otherwise to `sofa.jpg`. Both folders may have sub-folders.

    Whole photos are held out, by a hash of their names: adding photos never moves another photo.

    Args:
        path: folder with `photos/` (PNG, JPEG, WebP, BMP, GIF, TIFF, AVIF, HEIC) and `sketches/` (SVG, QuickDraw,
            stroke-3, stroke-5, or images as those of `photos/`).
        pairs: CSV with a header and the columns `sketch` (file below `sketches/`), `photo` (name of a file in
            `photos/`) and, optionally, `split` (train, val or test; empty for one by hash). Only the sketches that it
            lists are used.
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

    def load(self) -> PairedData:
        """Reads the sketches and pairs them with the photos.

        Raises:
            InputError: if a folder or the CSV cannot be used, a sketch is broken or has no photo, or a split that
                is asked for gets no sketch.
        """
        photos = _photos(self.path)
        pairs = _paired_by_csv(self.path, self.pairs, photos) if self.pairs else _paired_by_name(self.path, photos)
        given = {pair.photo_id: pair.split for pair in pairs if pair.split}
        splits = {id_: given.get(id_) or self._split_by_hash(id_) for id_ in photos}
        read = _read_all(self.path, pairs)
        sketches = tuple(
            SketchRecord(_sketch_id(self.path, p.sketch), p.photo_id, p.split or splits[p.photo_id], read[p.sketch])
            for p in pairs
        )
        if not given:
            shares = {"train": 1 - self.val_fraction - self.test_fraction, "val": self.val_fraction}
            shares["test"] = self.test_fraction
            used = {s.split for s in sketches}
            if empty := [split for split, share in shares.items() if share > 1e-6 and split not in used]:
                fix = "add photos, change the fractions, or give a CSV with a split column"
                raise InputError(self.path, f"none of the {len(photos)} photos falls into '{empty[0]}'", fix)
        records = {id_: PhotoRecord(id_, splits[id_], path) for id_, path in photos.items()}
        return PairedData(self.path.resolve().name, sketches, records)

    def _split_by_hash(self, photo_id: str) -> str:
        position = unit_hash(photo_id)
        if position < self.test_fraction:
            return "test"
        return "val" if position < self.test_fraction + self.val_fraction else "train"


def _photos(root: Path) -> dict[str, Path]:
    """Photo files by id, the name without its suffix."""
    photos: dict[str, Path] = {}
    for path in listed(root / "photos", f"put the photos ({', '.join(IMAGE_SUFFIXES)}) there"):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if path.stem in photos:
                problem = f"two photos have the name '{path.stem}': {photos[path.stem].name}, {path.name}"
                raise InputError(root / "photos", problem, "rename one")
            photos[path.stem] = path
    if not photos:
        raise InputError(root / "photos", "it holds no photos", f"put {', '.join(IMAGE_SUFFIXES)} files there")
    return photos


def _paired_by_name(root: Path, photos: Mapping[str, Path]) -> list[_Pair]:
    folder = root / "sketches"
    paths = listed(folder, f"put the sketches ({', '.join(SKETCH_SUFFIXES)}) there")
    pairs, orphans = [], []
    for path in paths:
        names = (path.stem, re.sub(r"[_-]\d+$", "", path.stem))
        photo_id = next((name for name in names if name in photos), None)
        if photo_id is None:
            orphans.append(path.relative_to(folder))
        else:
            pairs.append(_Pair(path, photo_id))
    if orphans:
        problem = f"{len(orphans)} of {len(paths)} sketches have no photo of their name, first '{orphans[0]}'"
        fix = "name sketches <photo>, <photo>_<n> or <photo>-<n>, or give a CSV of pairs"
        raise InputError(folder, problem, fix)
    if not pairs:
        raise InputError(folder, "it holds no sketches", f"put {', '.join(SKETCH_SUFFIXES)} files there")
    return pairs


def _paired_by_csv(root: Path, path: Path, photos: Mapping[str, Path]) -> list[_Pair]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read as CSV ({error})", "save it as UTF-8 CSV") from None
    if not rows or not {"sketch", "photo"} <= rows[0].keys():
        raise InputError(path, "it has no rows with the columns 'sketch' and 'photo'", "give it such a header")
    ids = {photo.name: id_ for id_, photo in photos.items()}
    pairs = []
    for number, row in enumerate(rows, start=2):
        where = f"{path}: line {number}"
        sketch, split = root / "sketches" / (row["sketch"] or ""), row.get("split") or None
        if not sketch.is_file():
            raise InputError(where, f"there is no sketch '{row['sketch']}'", f"name a file below {root / 'sketches'}")
        if row["photo"] not in ids:
            raise InputError(where, f"there is no photo '{row['photo']}'", f"name a file in {root / 'photos'}")
        if split not in (None, *SPLITS):
            raise InputError(where, f"the split '{split}' is unknown", f"use {', '.join(SPLITS)}, or leave it empty")
        pairs.append(_Pair(sketch, ids[row["photo"]], split))
    return pairs


def _read_all(root: Path, pairs: list[_Pair]) -> dict[Path, VectorSketch]:
    """The drawings of all sketch files; complains once about all that are broken or have the same id."""
    drawings: dict[Path, VectorSketch] = {}
    ids: dict[str, Path] = {}
    errors = []
    for path in (pair.sketch for pair in pairs):
        other = ids.setdefault(_sketch_id(root, path), path)
        if path in drawings or other != path:
            errors.append(f"{path}: it is there twice, as {other.name} and {path.name}")
            continue
        try:
            drawings[path] = read_sketch(path)
        except InputError as error:
            errors.append(str(error))
    if errors:
        problem = f"{len(errors)} of {len(pairs)} sketches cannot be used, first: {errors[0]}"
        raise InputError(root / "sketches", problem, "repair or remove them")
    return drawings


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
