"""A user's own photos and sketches in a folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fgsbir.data.records import SPLITS, PairedData, PhotoRecord, SketchRecord
from fgsbir.data.splits import unit_hash
from fgsbir.errors import InputError
from fgsbir.sketch.formats import SKETCH_SUFFIXES, read_sketch
from fgsbir.sketch.strokes import VectorSketch

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class _Pair:
    """One sketch file, the photo it shows, and its split if the user gave one."""

    sketch: Path
    photo_id: str
    split: str | None = None


def load_folder(
    root: Path,
    pairs: Path | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> PairedData:
    """Pairs `<root>/sketches` with `<root>/photos`.

    Without `pairs` a sketch belongs to the photo of its name, or of its name less a last `_<number>` or
    `-<number>`: `sofa_2.svg` to `sofa_2.jpg` if there is one, otherwise to `sofa.jpg`. Both folders may have
    sub-folders.

    Whole photos are held out, by a hash of their names: adding photos never moves another photo.

    Args:
        root: folder with `photos/` (PNG, JPEG, WebP, BMP) and `sketches/` (any of `SKETCH_SUFFIXES`).
        pairs: CSV with a header and the columns `sketch` (file below `sketches/`), `photo` (name of a file in
            `photos/`) and, if wanted, `split` (train, val or test; empty for one by hash). Only the sketches that
            it lists are used.
        val_fraction: share of the photos for validation, in [0, 1].
        test_fraction: share of the photos for testing, in [0, 1].
        seed: of the hash.

    Raises:
        InputError: if a folder or the CSV cannot be used, a sketch is broken or has no photo, or a split that
            is asked for gets no sketch.
    """
    fractions = {"val": val_fraction, "test": test_fraction}
    for split, fraction in fractions.items():
        if not 0 <= fraction <= 1 or sum(fractions.values()) > 1:
            mend = "use shares in [0, 1] that add up to 1 at most"
            raise InputError(f"folder.{split}_fraction", f"{fraction} leaves no sensible shares", mend)
    photos = _photos(root)
    listed = _paired_by_csv(root, pairs, photos) if pairs else _paired_by_name(root, photos)
    given = {pair.photo_id: pair.split for pair in listed if pair.split}
    splits = {id_: given.get(id_) or _split_by_hash(id_, val_fraction, test_fraction, seed) for id_ in photos}
    drawings = _read_all(root, listed)
    sketches = tuple(
        SketchRecord(_sketch_id(root, p.sketch), p.photo_id, p.split or splits[p.photo_id], drawings[p.sketch])
        for p in listed
    )
    if not given:
        used = {s.split for s in sketches}
        shares = {"train": 1 - val_fraction - test_fraction, **fractions}
        empty = [split for split, share in shares.items() if share > 1e-6 and split not in used]
        if empty:
            mend = "add photos, change the fractions, or give a CSV with a split column"
            raise InputError(root, f"none of the {len(photos)} photos falls into '{empty[0]}'", mend)
    records = {id_: PhotoRecord(id_, splits[id_], path) for id_, path in photos.items()}
    return PairedData(root.resolve().name, sketches, records)


def _photos(root: Path) -> dict[str, Path]:
    """Photo files by id, the name without its suffix."""
    photos: dict[str, Path] = {}
    for path in listed(root / "photos", f"put the photos ({', '.join(PHOTO_SUFFIXES)}) there"):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            if path.stem in photos:
                problem = f"two photos have the name '{path.stem}': {photos[path.stem].name}, {path.name}"
                raise InputError(root / "photos", problem, "rename one")
            photos[path.stem] = path
    if not photos:
        raise InputError(root / "photos", "it holds no photos", f"put {', '.join(PHOTO_SUFFIXES)} files there")
    return photos


def _paired_by_name(root: Path, photos: Mapping[str, Path]) -> list[_Pair]:
    """Every sketch file with the photo of its name."""
    folder = root / "sketches"
    paths = listed(folder, f"put the sketches ({', '.join(SKETCH_SUFFIXES)}) there")
    pairs = []
    orphans = []
    for path in paths:
        names = (path.stem, re.sub(r"[_-]\d+$", "", path.stem))
        photo_id = next((name for name in names if name in photos), None)
        if photo_id is None:
            orphans.append(path.relative_to(folder))
        else:
            pairs.append(_Pair(path, photo_id))
    if orphans:
        raise InputError(
            folder,
            f"{len(orphans)} of {len(paths)} sketches have no photo of their name, first '{orphans[0]}'",
            "name sketches <photo>, <photo>_<n> or <photo>-<n>, or give a CSV of pairs",
        )
    if not pairs:
        raise InputError(folder, "it holds no sketches", f"put {', '.join(SKETCH_SUFFIXES)} files there")
    return pairs


def _paired_by_csv(root: Path, path: Path, photos: Mapping[str, Path]) -> list[_Pair]:
    """The rows of the CSV."""
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


def _split_by_hash(photo_id: str, val_fraction: float, test_fraction: float, seed: int) -> str:
    place = unit_hash(photo_id, seed)
    if place < test_fraction:
        return "test"
    return "val" if place < test_fraction + val_fraction else "train"


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
        raise InputError(
            root / "sketches",
            f"{len(errors)} of {len(pairs)} sketches cannot be used, first: {errors[0]}",
            "repair or remove them",
        )
    return drawings


def _sketch_id(root: Path, path: Path) -> str:
    """The path below `sketches/` without its suffix."""
    return path.relative_to(root / "sketches").with_suffix("").as_posix()


def listed(folder: Path, mend: str) -> list[Path]:
    """The files below a folder in a fixed order, less hidden ones.

    Raises:
        InputError: if there is no such folder, with what to do about it.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", mend)
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
