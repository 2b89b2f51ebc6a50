"""The files of an index: encoded photos in append-only files, and a manifest that says how many bytes of each count.

A folder holds `manifest.json`, the log `photos.jsonl`, thumbnails, and one file of fixed-size rows for the region boxes
and for each field of the encodings. A writer appends to the files, syncs them to disk, and then replaces the manifest.
Bytes beyond the sizes in the manifest were never committed: readers ignore them, and the next writer cuts them off.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir import __version__
from fgsbir.errors import InputError
from fgsbir.files import atomic_write, locked
from fgsbir.sketch.strokes import IntArray

FORMAT = 1
MANIFEST, LOG, THUMBNAILS, LISTS = "manifest.json", "photos.jsonl", "thumbnails.bin", "lists.faiss"
BOXES = "boxes"
DISTILLED = "distilled_"
"""Prefix of the field of distilled vectors."""
REBUILD = "restore it, or build a new index in another folder"

Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class ModelRecord:
    """The identity of the model that encoded the photos.

    Attributes:
        run: run folder.
        experiment: name of its experiment.
        system: name of its system.
        checkpoint: SHA-256 of its checkpoint.
        settings: SHA-256 of the settings of model and rendering.
        global_weight: share of the global embeddings in a distance; None for a system without this setting.
    """

    run: str
    experiment: str
    system: str
    checkpoint: str
    settings: str
    global_weight: float | None

    def require_same(self, other: ModelRecord, folder: Path) -> None:
        """Refuses another model. Folder and name of the run may differ.

        Raises:
            InputError: if weights or settings differ.
        """
        if (self.checkpoint, self.settings) != (other.checkpoint, other.settings):
            raise InputError(
                folder,
                f"the index was made by another model ({self.experiment} in {self.run}, checkpoint "
                f"{self.checkpoint[:8]}) than {other.experiment} in {other.run}, checkpoint {other.checkpoint[:8]}",
                "use that run, or build a new index in another folder",
            )


@dataclass(frozen=True)
class Field:
    """One field of the encodings: shape of a photo's row, and NumPy type of its numbers on disk."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Recall:
    """Recall of the exhaustive top 10 by the first stage, by its number of candidates.

    Attributes:
        photos: number of photos when it was measured.
        queries: number of queries.
        backend: backend of the first stage.
        depths: numbers of candidates, rising.
        shares: recall at each depth, in [0, 1].
    """

    photos: int
    queries: int
    backend: str
    depths: tuple[int, ...]
    shares: tuple[float, ...]

    def depth_for(self, recall: float, photos: int) -> int:
        """The smallest measured depth that reaches a recall, scaled up if the index has grown to `photos` since.

        Raises:
            InputError: if no depth does.
        """
        for depth, share in zip(self.depths, self.shares, strict=True):
            if share >= recall:
                return math.ceil(depth * max(1.0, photos / self.photos))
        best = max(self.shares, default=0.0)
        raise InputError("--recall", f"{recall} was not reached, only {best:.4f}", "lower it, or give --depth")


@dataclass(frozen=True)
class Manifest:
    """The facts of an index.

    Attributes:
        format: version of the file format.
        version: version of fgsbir that wrote it.
        name: random name of the index, used for its collection in a vector database.
        model: model that encoded the photos.
        margin: margin around the ink of the sketches that the model was trained on, in frame units; None if their
            placement varies.
        fields: fields of an encoding, in order, and the boxes.
        rows: number of rows, including rows of removed photos.
        log_bytes: committed size of the log.
        thumbnail_bytes: committed size of the thumbnails.
        recall: recall of the first stage; None if not measured.
    """

    format: int
    version: str
    name: str
    model: ModelRecord
    margin: float | None
    fields: Mapping[str, Field]
    rows: int
    log_bytes: int
    thumbnail_bytes: int
    recall: Recall | None = None

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads the manifest of an index.

        Raises:
            InputError: if the folder holds no index, one of another format, or a damaged manifest.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] != FORMAT:
                problem = f"its format {values['format']} is not {FORMAT}, the one of this version of fgsbir"
                raise InputError(path, problem, "use the version that made it, or build a new index")
            values["model"] = ModelRecord(**values["model"])
            values["fields"] = {name: _field(name, **field) for name, field in values["fields"].items()}
            if (recall := values["recall"]) is not None:
                recall |= {"depths": tuple(recall["depths"]), "shares": tuple(recall["shares"])}
                values["recall"] = Recall(**recall)
            manifest = cls(**values)
            for size in (manifest.rows, manifest.log_bytes, manifest.thumbnail_bytes):
                if not isinstance(size, int) or size < 0:
                    raise ValueError(f"{size!r} is not a size")
            if manifest.rows and BOXES not in manifest.fields:
                raise ValueError(f"it has no field '{BOXES}'")
        except FileNotFoundError:
            fix = "make it: fgsbir index PHOTOS --run RUN --out INDEX"
            raise InputError(folder, "there is no index", fix) from None
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(path, f"damaged ({type(error).__name__}: {error})", REBUILD) from None
        return manifest

    def write(self, folder: Path) -> None:
        """Replaces the manifest of an index, atomically."""
        with atomic_write(folder / MANIFEST, "w") as file:
            file.write(json.dumps(asdict(self), indent=1) + "\n")


def spread(total: int, count: int) -> IntArray:
    """Indices of at most `count` of `total` items, spread evenly over them.

    Example:
        >>> spread(9, 3).tolist()
        [0, 4, 8]
    """
    return np.linspace(0, total - 1, min(total, count)).astype(np.int64)


def _field(name: str, shape: Sequence[int], dtype: str) -> Field:
    """A field of a manifest; ValueError if its name is not safe in a file name, or its rows are not of numbers."""
    if not name.isidentifier() or np.dtype(dtype).kind not in "fi" or any(int(side) < 0 for side in shape):
        raise ValueError(f"'{name}' cannot be a field of {shape} {dtype}")
    return Field(tuple(map(int, shape)), dtype)


class Stored(NamedTuple):
    """A photo of an index.

    Attributes:
        row: row of its encoding.
        digest: SHA-256 of its file.
        thumbnail: offset and size in the file of thumbnails, in bytes.
    """

    row: int
    digest: str
    thumbnail: tuple[int, int]


class PhotoIndex:
    """Read access to an index, as committed when it was opened. Later additions and removals do not change it.

    Args:
        folder: folder of the index.

    Raises:
        InputError: if there is no index, or a file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, Manifest.read(folder)
        self.photos: dict[str, Stored] = _read_log(folder / LOG, self.manifest)
        """Photos by id, in the order of their rows."""
        rows, fields = self.manifest.rows, self.manifest.fields
        self._buffers = {
            name: _mapped(folder / f"{name}.bin", rows * field.row_bytes) for name, field in fields.items()
        }
        self._fields = {
            name: np.frombuffer(self._buffers[name] or b"", field.dtype).reshape(rows, *field.shape)
            for name, field in fields.items()
        }
        self._thumbnails = _mapped(folder / THUMBNAILS, self.manifest.thumbnail_bytes) or b""

    def __len__(self) -> int:
        return len(self.photos)

    def rows(self) -> IntArray:
        """The rows of all n photos, rising, `(n,)`."""
        return np.fromiter((stored.row for stored in self.photos.values()), np.int64, len(self.photos))

    def encodings(self, rows: IntArray) -> list[npt.NDArray[Any]]:
        """The fields of the encodings in R rows, `(R, ...)` each, as the system made them."""
        names = (name for name in self._fields if name != BOXES and not name.startswith(DISTILLED))
        return [self.field(name, rows) for name in names]

    def field(self, name: str, rows: IntArray) -> npt.NDArray[Any]:
        """One field in R rows, `(R, ...)`; float16 becomes float32."""
        size, buffer = self.manifest.fields[name].row_bytes, self._buffers[name]
        if buffer is not None:
            # The operating system loads all rows together. Otherwise each waits for the disk and for the read-ahead
            # around it: 100 rows of a large index took 600 ms in place of 20.
            for start in (rows * size).tolist():
                page = start - start % mmap.PAGESIZE
                buffer.madvise(mmap.MADV_WILLNEED, page, start + size - page)
        field: npt.NDArray[Any] = self._fields[name][rows]
        return field.astype(np.float32) if field.dtype == np.float16 else field

    @property
    def vector_field(self) -> str | None:
        """The field whose vectors the first stage compares; None if there is none.

        Views are concatenated: the squared distance of the concatenations is the mean over the views, up to a constant
        factor. Distilled vectors stand in for a system without vectors.
        """
        names = ("vector", "views", *(name for name in self._fields if name.startswith(DISTILLED)))
        return next((name for name in names if name in self._fields and self._fields[name].size), None)

    def vectors(self) -> npt.NDArray[np.float32] | None:
        """The vectors of all rows for the first stage, `(rows, D)`, memory-mapped; None if there are none."""
        name = self.vector_field
        return None if name is None else self._fields[name].reshape(self.manifest.rows, -1)

    def boxes(self, row: int) -> npt.NDArray[np.float32]:
        """The regions of a photo, `(N, 4)`, in the square frame in which it is centred."""
        boxes = np.array(self._fields[BOXES][row])
        real: npt.NDArray[np.float32] = boxes[~np.isnan(boxes[:, 0])]
        return real

    def thumbnail(self, photo: str) -> bytes:
        """A photo as JPEG; KeyError for an unknown id."""
        offset, size = self.photos[photo].thumbnail
        return self._thumbnails[offset : offset + size]


def _read_log(path: Path, manifest: Manifest) -> dict[str, Stored]:
    """Replays the log: the photos that were added and not removed or replaced since."""
    _require_size(path, manifest.log_bytes)
    photos: dict[str, Stored] = {}
    row = 0
    with path.open("rb") as file:
        for line in file.read(manifest.log_bytes).splitlines():
            try:
                entry = json.loads(line)
                if "removed" in entry:
                    del photos[entry["removed"]]
                    continue
                offset, size = entry["thumbnail"]
                if not 0 <= offset <= offset + size <= manifest.thumbnail_bytes:
                    raise ValueError("a thumbnail lies beyond the end of its file")
                photos.pop(entry["photo"], None)  # a changed photo moves to its new row
                photos[entry["photo"]] = Stored(row, entry["digest"], (offset, size))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(path, f"damaged ({type(error).__name__}: {error})", REBUILD) from None
            row += 1
    if row != manifest.rows:
        raise InputError(path, f"damaged ({row} photos where the manifest has {manifest.rows})", REBUILD)
    return photos


def _mapped(path: Path, size: int) -> mmap.mmap | None:
    """The first `size` bytes of a file, memory-mapped; None for a size of 0."""
    _require_size(path, size)
    if not size:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _require_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size if size else 0
    except OSError as error:
        raise InputError(path, f"damaged ({error.strerror})", REBUILD) from None
    if found < size:
        raise InputError(path, f"damaged ({found:,} bytes where the manifest has {size:,})", REBUILD)


class NewPhoto(NamedTuple):
    """A photo to add.

    Attributes:
        id: id in the index.
        digest: SHA-256 of its file.
        thumbnail: the photo as JPEG.
    """

    id: str
    digest: str
    thumbnail: bytes


class IndexWriter:
    """Changes an index; every change is atomic. One process writes at a time.

    Args:
        folder: folder of the index, made if it is missing.
        model: model that encodes the photos; None to change an existing index without adding photos.
        margin: margin of a new index; see `Manifest`.

    Raises:
        InputError: if there is no index and no model, another process writes, the index is damaged or of another
            model, or the folder cannot be written.
    """

    def __init__(self, folder: Path, model: ModelRecord | None, margin: float | None = None) -> None:
        self.folder = folder
        if model is None:
            Manifest.read(folder)  # fails before the lock would make a folder
        with ExitStack() as held:
            held.enter_context(locked(folder / ".lock", wait=False))
            if model is None or (folder / MANIFEST).exists():
                self.manifest = Manifest.read(folder)
                if model is not None:
                    self.manifest.model.require_same(model, folder)
                    self.manifest = replace(self.manifest, model=model, version=__version__)
            else:
                if any(path.name != LOG and not path.name.startswith(".") for path in folder.iterdir()):
                    raise InputError(folder, "the folder holds other files and no index", "name a new folder")
                self.manifest = Manifest(FORMAT, __version__, secrets.token_hex(6), model, margin, {}, 0, 0, 0)
                self._commit([], self.manifest)
            self.photos = _read_log(folder / LOG, self.manifest)
            self._held = held.pop_all()

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def add(self, photos: Sequence[NewPhoto], fields: Mapping[str, npt.NDArray[Any]]) -> None:
        """Adds B photos; they replace photos of the same ids.

        Args:
            photos: photos, each id once.
            fields: fields of their encodings, and `boxes`, `(B, ...)` each.

        Raises:
            InputError: if a file cannot be written.
        """
        specs = {name: Field(rows.shape[1:], rows.dtype.str) for name, rows in fields.items()}
        if self.manifest.rows and specs != dict(self.manifest.fields):
            raise ValueError(f"fields {specs} differ from the fields of the index, {self.manifest.fields}")
        manifest, end, stored = self.manifest, self.manifest.thumbnail_bytes, {}
        for row, photo in enumerate(photos, manifest.rows):
            stored[photo.id] = Stored(row, photo.digest, (end, len(photo.thumbnail)))
            end += len(photo.thumbnail)
        lines = [{"photo": id_, "digest": photo.digest, "thumbnail": photo.thumbnail} for id_, photo in stored.items()]
        for name, rows in fields.items():
            self._append(f"{name}.bin", manifest.rows * specs[name].row_bytes, np.ascontiguousarray(rows).tobytes())
        self._append(THUMBNAILS, manifest.thumbnail_bytes, b"".join(photo.thumbnail for photo in photos))
        self._commit(lines, replace(manifest, fields=specs, rows=manifest.rows + len(photos), thumbnail_bytes=end))
        for id_ in stored:
            self.photos.pop(id_, None)  # a changed photo moves to the end, where its row is
        self.photos |= stored

    def remove(self, photos: Iterable[str]) -> None:
        """Removes photos. The disk space of their rows is not reclaimed.

        Raises:
            InputError: if an id is unknown (none is removed then), or a file cannot be written.
        """
        photos = list(dict.fromkeys(photos))
        for photo in photos:
            if photo not in self.photos:
                raise InputError(self.folder, f"there is no photo '{photo}'", "give ids as fgsbir search prints them")
        if photos:
            self._commit([{"removed": photo} for photo in photos], self.manifest)
            for photo in photos:
                del self.photos[photo]

    def distil(self, name: str, head: bytes, vectors: Iterable[npt.NDArray[np.float32]]) -> None:
        """Stores distilled vectors of all photos; they replace earlier ones.

        Args:
            name: name of their field.
            head: head that made them, as safetensors.
            vectors: vectors of all rows, block by block, `(B, E)` each.
        """
        size, shape, dtype = 0, (0,), ""
        for block in vectors:
            size = self._append(f"{name}.bin", size, block.tobytes())
            shape, dtype = block.shape[1:], block.dtype.str
        with atomic_write(self.folder / f"{name}.safetensors") as file:
            file.write(head)
        earlier = [old for old in self.manifest.fields if old.startswith(DISTILLED) and old != name]
        fields = {old: field for old, field in self.manifest.fields.items() if old not in earlier}
        (self.folder / LISTS).unlink(missing_ok=True)  # of the earlier vectors
        self._commit([], replace(self.manifest, fields={**fields, name: Field(shape, dtype)}, recall=None))
        for old in earlier:
            for kind in ("bin", "safetensors"):
                (self.folder / f"{old}.{kind}").unlink(missing_ok=True)

    def record_recall(self, recall: Recall) -> None:
        """Stores a measured recall in the manifest."""
        self._commit([], replace(self.manifest, recall=recall))

    def _append(self, name: str, size: int, content: bytes) -> int:
        """Writes after the first `size` bytes of a file, in place of what follows, and syncs; the new size."""
        path = self.folder / name
        try:
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.truncate(size)
                file.seek(size)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            fix = "free some space or check its permissions; the index is as it was"
            raise InputError(path, f"cannot be written ({error.strerror})", fix) from None
        return size + len(content)

    def _commit(self, lines: Sequence[Mapping[str, Any]], manifest: Manifest) -> None:
        """Appends to the log, then replaces the manifest: from here on the change counts."""
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        size = self._append(LOG, self.manifest.log_bytes, text.encode())
        manifest = replace(manifest, log_bytes=size)
        manifest.write(self.folder)
        self.manifest = manifest
