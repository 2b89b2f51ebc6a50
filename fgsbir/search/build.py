"""Fills an index with the photos of a folder or of a dataset's split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fgsbir.data.datasets.folder import PHOTO_SUFFIXES, listed
from fgsbir.data.records import SPLITS, PhotoRecord
from fgsbir.data.sample import stacked
from fgsbir.errors import InputError
from fgsbir.search.distil import read_head
from fgsbir.search.index import IndexWriter, Precision
from fgsbir.search.model import LoadedModel, PhotoReader

BATCH = 64
"""Photos that are encoded and committed at a time: so many are encoded again after an interruption, at most."""


class Added(NamedTuple):
    """What became of the photos.

    Attributes:
        new: encoded, those that had changed included.
        unchanged: that the index had already.
        broken: that could not be read.
    """

    new: int
    unchanged: int
    broken: list[InputError]


def folder_photos(folder: Path) -> list[PhotoRecord]:
    """The photos in a folder and those below it; their ids are their paths in it.

    Raises:
        InputError: if there is no such folder, or no photo in it.
    """
    kinds = ", ".join(PHOTO_SUFFIXES)
    files = [path for path in listed(folder, "name a folder of photos") if path.suffix.lower() in PHOTO_SUFFIXES]
    if not files:
        raise InputError(folder, f"it holds no photos ({kinds})", "name a folder of photos")
    return [PhotoRecord(path.relative_to(folder).as_posix(), "", path) for path in files]


def split_photos(run: LoadedModel, split: str) -> tuple[list[PhotoRecord], PhotoReader]:
    """The photos of a split of the run's dataset, read as the run's test reads them.

    Raises:
        InputError: if there is no such split, or the dataset's files are missing.
    """
    if split not in SPLITS:
        raise InputError("--split", f"'{split}' is unknown", f"use one of {', '.join(SPLITS)}")
    run.data.setup("test")
    gallery = run.data.gallery(split)
    return list(gallery.photos), PhotoReader(run, gallery.boxes)


def add_photos(
    writer: IndexWriter,
    run: LoadedModel,
    records: Sequence[PhotoRecord],
    reader: PhotoReader,
    precision: Precision = "float32",
    progress: bool = True,
) -> Added:
    """Encodes the photos that an index does not have as they are now, and adds them batch by batch.

    Args:
        writer: of the index.
        run: that encodes them.
        records: the photos.
        reader: that reads them.
        precision: of nodes and maps in an index that is empty.
        progress: show a bar on a terminal, and a line for each broken photo.
    """
    new, unchanged, broken = 0, 0, []
    head = read_head(writer.folder, writer.manifest.fields)
    with tqdm(records, "Encoding", unit="photo", disable=None if progress else True) as bar:

        def warn(error: InputError) -> None:
            broken.append(error)
            if progress:
                bar.write(f"left out: {error}")

        def changed() -> Iterator[tuple[PhotoRecord, str]]:
            nonlocal unchanged
            for record in bar:
                try:
                    digest = record.digest()
                except InputError as error:
                    warn(error)
                    continue
                stored = writer.photos.get(record.id)
                if stored is not None and stored.digest == digest:
                    unchanged += 1
                else:
                    yield record, digest

        pending = changed()
        while batch := list(islice(pending, BATCH)):
            read = reader.read(batch)
            for result in read:
                if isinstance(result, InputError):
                    warn(result)
            usable = [result for result in read if not isinstance(result, InputError)]
            if usable:
                photos, samples = zip(*usable, strict=True)
                fields = run.encode_photos(stacked(samples), precision)
                if head is not None:
                    fields[head.name] = head.photos(fields["nodes"], fields["counts"])
                if writer.manifest.rows:  # its precision is that of its first photos
                    fields = {k: rows.astype(writer.manifest.fields[k].dtype) for k, rows in fields.items()}
                writer.add(photos, fields)
                new += len(photos)
    return Added(new, unchanged, broken)
