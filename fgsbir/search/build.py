"""Adds the photos of a folder or of a dataset's split to an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from fgsbir.data.records import SPLITS, PhotoRecord
from fgsbir.data.sample import stacked
from fgsbir.errors import InputError
from fgsbir.progress import progress, say
from fgsbir.search.distil import read_head
from fgsbir.search.index import IndexWriter, Precision
from fgsbir.search.model import LoadedModel, PhotoReader

BATCH = 64
"""Photos encoded and committed at a time, and so the most that are encoded again after an interruption."""


class Added(NamedTuple):
    """What became of the photos.

    Attributes:
        new: number of photos encoded, changed ones included.
        unchanged: number of photos that the index had already.
        broken: an error for each photo that could not be read.
    """

    new: int
    unchanged: int
    broken: list[InputError]


def split_photos(model: LoadedModel, split: str) -> tuple[list[PhotoRecord], PhotoReader]:
    """The photos of a split of the model's dataset, with a reader that reads them as the run's test does.

    Raises:
        InputError: if there is no such split, or the dataset's files are missing.
    """
    if split not in SPLITS:
        raise InputError("--split", f"'{split}' is unknown", f"use one of {', '.join(SPLITS)}")
    model.data.setup("test")
    gallery = model.data.gallery(split)
    return list(gallery.photos), PhotoReader(model, gallery.boxes)


def add_photos(
    writer: IndexWriter,
    model: LoadedModel,
    records: Sequence[PhotoRecord],
    reader: PhotoReader,
    precision: Precision = "float32",
) -> Added:
    """Encodes new and changed photos and adds them batch by batch; prints a line for each broken one.

    `precision` is used for nodes and maps in an empty index; an index with photos keeps its own.
    """
    new, unchanged, broken = 0, 0, []
    head = read_head(writer.folder, writer.manifest.fields)

    def warn(error: InputError) -> None:
        broken.append(error)
        say(f"left out: {error}")

    def changed() -> Iterator[tuple[PhotoRecord, str]]:
        nonlocal unchanged
        for record in progress(records, "Encoding", unit="photo"):
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
        usable = []
        for result in reader.read(batch):
            if isinstance(result, InputError):
                warn(result)
            else:
                usable.append(result)
        if usable:
            photos, samples = zip(*usable, strict=True)
            fields = model.encode_photos(stacked(samples), precision)
            if head is not None:
                fields[head.name] = head.photos(fields["nodes"], fields["counts"])
            if writer.manifest.rows:
                fields = {k: rows.astype(writer.manifest.fields[k].dtype) for k, rows in fields.items()}
            writer.add(photos, fields)
            new += len(photos)
    return Added(new, unchanged, broken)
