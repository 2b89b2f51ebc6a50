"""The photos of an index on disk: rows in files that only grow, and a manifest that says how far they count.

A folder holds `manifest.json`, the log `photos.jsonl`, one file of fixed-size rows for each field of the encoding and
for the region boxes, and thumbnails. A writer adds to the ends of the files, makes the disk keep that, and then
replaces the manifest. What stands behind the sizes that the manifest names was never committed: readers do not see it,
and the next writer cuts it off.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import mmap
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fgsbir import __version__
from fgsbir.errors import InputError
from fgsbir.files import atomic_write

FORMAT = 1
MANIFEST, LOG, THUMBNAILS, LISTS = "manifest.json", "photos.jsonl", "thumbnails.bin", "lists.faiss"
BOXES = "boxes"
DISTILLED = "distilled_"
"""The field of distilled vectors begins so."""
ANEW = "restore it, or build the index anew in another folder"

IntArray = npt.NDArray[np.int64]
Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class ModelRecord:
    """What encoded the photos.

    Attributes:
        run: its folder.
        experiment: that it ran.
        system: its name.
        checkpoint: SHA-256 of its weights.
        settings: SHA-256 of the settings of model and rendering.
        global_weight: share of the vectors' distance in that of a pair; None for a system that does not mix two.
    """

    run: str
    experiment: str
    system: str
    checkpoint: str
    settings: str
    global_weight: float | None

    def require_same(self, other: ModelRecord, folder: Path) -> None:
        """Refuses another model.

        Raises:
            InputError: if weights or settings differ; where the run is, and what it is called, does not matter.
        """
        if (self.checkpoint, self.settings) != (other.checkpoint, other.settings):
            raise InputError(
                folder,
                f"the index was made by another model ({self.experiment} in {self.run}, checkpoint "
                f"{self.checkpoint[:8]}) than {other.experiment} in {other.run}, checkpoint {other.checkpoint[:8]}",
                "use that run, or build an index in another folder",
            )


@dataclass(frozen=True)
class Field:
    """One field of the encodings: `shape` of a photo's row, and the type of its numbers on disk."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Of a row."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Recall:
    """Which share of the exhaustive ranking's top 10 the first stage finds, by the number of its candidates.

    Attributes:
        photos: in the index when it was measured.
        queries: that were asked.
        backend: of the first stage.
        depths: numbers of candidates, rising.
        shares: found within each, in [0, 1].
    """

    photos: int
    queries: int
    backend: str
    depths: tuple[int, ...]
    shares: tuple[float, ...]

    def depth_for(self, recall: float, photos: int) -> int:
        """The fewest candidates that were measured to reach a recall, more in proportion where photos were added.

        Raises:
            InputError: if none do.
        """
        for depth, share in zip(self.depths, self.shares, strict=True):
            if share >= recall:
                return math.ceil(depth * max(1.0, photos / self.photos))
        best = max(self.shares, default=0.0)
        raise InputError("--recall", f"{recall} was not reached, only {best:.4f}", "ask for less, or give --depth")


@dataclass(frozen=True)
class Manifest:
    """The facts of an index.

    Attributes:
        format: of the files.
        version: of fgsbir.
        name: made up when the index was made; that of its collection in a vector database.
        model: that encoded the photos.
        margin: free space about the ink of the sketches that the model knows, in frame units; None where they lie
            freely.
        fields: of an encoding, in order, and the boxes.
        rows: written, those of removed photos included.
        log_bytes: of the log.
        thumbnail_bytes: of the thumbnails.
        recall: of the first stage, where it was measured.
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
        """Reads it.

        Raises:
            InputError: if the folder holds no index, one of another format, or a damaged manifest.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] != FORMAT:
                mend = "use the fgsbir that made it, or build the index anew"
                raise InputError(path, f"format {values['format']} is not {FORMAT}, which this fgsbir reads", mend)
            values["model"] = ModelRecord(**values["model"])
            values["fields"] = {name: _field(name, **field) for name, field in values["fields"].items()}
            if values["recall"] is not None:
                recall = values["recall"]
                values["recall"] = Recall(**{**recall, "depths": (*recall["depths"],), "shares": (*recall["shares"],)})
            manifest = cls(**values)
            for size in (manifest.rows, manifest.log_bytes, manifest.thumbnail_bytes):
                if not isinstance(size, int) or size < 0:
                    raise ValueError(f"{size!r} is no size")
            if manifest.rows and BOXES not in manifest.fields:
                raise ValueError(f"there is no field '{BOXES}'")
        except FileNotFoundError:
            mend = "make it: fgsbir index PHOTOS --run RUN --out INDEX"
            raise InputError(folder, "there is no index", mend) from None
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(path, f"damaged ({type(error).__name__}: {error})", ANEW) from None
        return manifest

    def write(self, folder: Path) -> None:
        """Replaces it, atomically."""
        with atomic_write(folder / MANIFEST, "w") as file:
            file.write(json.dumps(asdict(self), indent=1) + "\n")


def _field(name: str, shape: Sequence[int], dtype: str) -> Field:
    """A field of a manifest, checked: its name is that of a file, and its rows hold numbers."""
    if not name.isidentifier() or np.dtype(dtype).kind not in "fi" or any(int(side) < 0 for side in shape):
        raise ValueError(f"'{name}' is no field of {shape} {dtype}")
    return Field(tuple(map(int, shape)), dtype)


class Stored(NamedTuple):
    """A photo of the log.

    Attributes:
        row: of its encoding.
        digest: SHA-256 of its content.
        thumbnail: place and size in the file of thumbnails.
    """

    row: int
    digest: str
    thumbnail: tuple[int, int]


class PhotoIndex:
    """A view of what was committed when it was opened. Photos that are added or removed later do not change it.

    Args:
        folder: of the index.

    Raises:
        InputError: if there is no index, or a file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, Manifest.read(folder)
        self.photos: dict[str, Stored] = _read_log(folder / LOG, self.manifest)
        """By id, in the order of their rows."""
        rows, fields = self.manifest.rows, self.manifest.fields
        self._buffers = {name: _mapped(folder / f"{name}.bin", rows * field.bytes) for name, field in fields.items()}
        self._fields = {
            name: np.frombuffer(self._buffers[name] or b"", field.dtype).reshape(rows, *field.shape)
            for name, field in fields.items()
        }
        self._thumbnails = _mapped(folder / THUMBNAILS, self.manifest.thumbnail_bytes) or b""

    def __len__(self) -> int:
        return len(self.photos)

    def rows(self) -> IntArray:
        """The rows of all photos, rising, `(n,)`."""
        return np.fromiter((stored.row for stored in self.photos.values()), np.int64, len(self.photos))

    def encodings(self, rows: IntArray) -> list[npt.NDArray[Any]]:
        """The fields of the encodings in some rows, `(R, ...)` each, as the system made them."""
        names = (name for name in self._fields if name != BOXES and not name.startswith(DISTILLED))
        return [self.field(name, rows) for name in names]

    def field(self, name: str, rows: IntArray) -> npt.NDArray[Any]:
        """One field in some rows, `(R, ...)`, in single precision."""
        self._fetch(name, rows)
        field: npt.NDArray[Any] = self._fields[name][rows]
        return field.astype(np.float32) if field.dtype == np.float16 else field

    def _fetch(self, name: str, rows: IntArray) -> None:
        """Asks the system for some rows at once.

        Read one after the other, each row that is not in memory yet waits for the disk, and for all that the system
        reads ahead around it: 100 rows of a large index took 600 ms so, and take 20.
        """
        size, buffer = self.manifest.fields[name].bytes, self._buffers[name]
        if buffer is not None:
            for start in (rows * size).tolist():
                page = start - start % mmap.PAGESIZE
                buffer.madvise(mmap.MADV_WILLNEED, page, start + size - page)

    @property
    def vector_field(self) -> str | None:
        """The field of the encodings that the first stage compares; None if they have no vector.

        The views of a system that has several are one vector: the mean of their distances is the distance of that, but
        for a factor. Distilled vectors stand in where there are no others.
        """
        names = ("vector", "views", *(name for name in self._fields if name.startswith(DISTILLED)))
        return next((name for name in names if name in self._fields and self._fields[name].size), None)

    def vectors(self) -> npt.NDArray[np.float32] | None:
        """The vectors of all rows for the first stage, `(rows, D)`, read as they are needed; None if there are none."""
        name = self.vector_field
        if name is None:
            return None
        vectors: npt.NDArray[np.float32] = self._fields[name].reshape(self.manifest.rows, -1)
        return vectors

    def boxes(self, row: int) -> npt.NDArray[np.float32]:
        """The regions of a photo in the frame of its thumbnail, `(N, 4)`."""
        boxes = np.array(self._fields[BOXES][row])
        real: npt.NDArray[np.float32] = boxes[~np.isnan(boxes[:, 0])]
        return real

    def thumbnail(self, photo: str) -> bytes:
        """A photo as JPEG. KeyError if there is none of this id."""
        place, size = self.photos[photo].thumbnail
        return self._thumbnails[place : place + size]


def _read_log(path: Path, manifest: Manifest) -> dict[str, Stored]:
    """The photos that are in the index after all that the log says."""
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
                place, size = entry["thumbnail"]
                if not 0 <= place <= place + size <= manifest.thumbnail_bytes:
                    raise ValueError("a thumbnail is out of its file")
                photos.pop(entry["photo"], None)  # a changed photo moves to its new row
                photos[entry["photo"]] = Stored(row, entry["digest"], (place, size))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(path, f"damaged ({type(error).__name__}: {error})", ANEW) from None
            row += 1
    if row != manifest.rows:
        raise InputError(path, f"damaged ({row} photos where the manifest has {manifest.rows})", ANEW)
    return photos


def _mapped(path: Path, size: int) -> mmap.mmap | None:
    """The first bytes of a file, read as they are needed; None for none."""
    _require_size(path, size)
    if not size:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _require_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size if size else 0
    except OSError as error:
        raise InputError(path, f"damaged ({error.strerror})", ANEW) from None
    if found < size:
        raise InputError(path, f"damaged ({found:,} bytes where the manifest has {size:,})", ANEW)


class NewPhoto(NamedTuple):
    """A photo to add.

    Attributes:
        id: in the index.
        digest: SHA-256 of its content.
        thumbnail: JPEG.
    """

    id: str
    digest: str
    thumbnail: bytes


class IndexWriter:
    """Adds photos to an index and removes them, each time wholly or not at all. One process at a time.

    Args:
        folder: of the index, made if it is missing.
        model: that encodes the photos; None to change an index that is there without adding to it.
        margin: see `Manifest`; of a new index.

    Raises:
        InputError: if there is no index and no model, another process writes, the index is damaged or of another
            model, or the folder cannot be written.
    """

    def __init__(self, folder: Path, model: ModelRecord | None, margin: float | None = None) -> None:
        self.folder = folder
        if model is None:
            Manifest.read(folder)  # makes no folder where there is no index
        with ExitStack() as held:
            held.enter_context(_lock(folder))
            if model is None or (folder / MANIFEST).exists():
                self.manifest = Manifest.read(folder)
                if model is not None:
                    self.manifest.model.require_same(model, folder)
                    self.manifest = replace(self.manifest, model=model, version=__version__)
            else:
                if any(path.name != LOG and not path.name.startswith(".") for path in folder.iterdir()):
                    raise InputError(folder, "the folder holds other files, and no index", "name a new folder")
                self.manifest = Manifest(FORMAT, __version__, secrets.token_hex(6), model, margin, {}, 0, 0, 0)
                self._commit([], self.manifest)
            self.photos = _read_log(folder / LOG, self.manifest)
            self._held = held.pop_all()

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def add(self, photos: Sequence[NewPhoto], fields: Mapping[str, npt.NDArray[Any]]) -> None:
        """Adds photos, in place of those of the same id.

        Args:
            photos: B of them.
            fields: of their encodings, and `boxes`, `(B, ...)` each.

        Raises:
            InputError: if a file cannot be written.
        """
        specs = {name: Field(rows.shape[1:], rows.dtype.str) for name, rows in fields.items()}
        if self.manifest.rows and specs != dict(self.manifest.fields):
            raise ValueError(f"fields {specs} are not those of the index, {self.manifest.fields}")
        manifest, place, stored = self.manifest, self.manifest.thumbnail_bytes, {}
        for row, photo in enumerate(photos, manifest.rows):
            stored[photo.id] = Stored(row, photo.digest, (place, len(photo.thumbnail)))
            place += len(photo.thumbnail)
        lines = [{"photo": id_, "digest": photo.digest, "thumbnail": photo.thumbnail} for id_, photo in stored.items()]
        for name, rows in fields.items():
            self._append(f"{name}.bin", manifest.rows * specs[name].bytes, np.ascontiguousarray(rows).tobytes())
        self._append(THUMBNAILS, manifest.thumbnail_bytes, b"".join(photo.thumbnail for photo in photos))
        rows_now = manifest.rows + len(photos)
        self._commit(lines, replace(manifest, fields=specs, rows=rows_now, thumbnail_bytes=place))
        for id_, photo_now in stored.items():
            self.photos.pop(id_, None)
            self.photos[id_] = photo_now

    def remove(self, photos: Iterable[str]) -> None:
        """Removes photos; the room of their rows is not given back.

        Raises:
            InputError: if there is no such photo, and then none is removed; or a file cannot be written.
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
        """Gives all photos distilled vectors, in place of earlier ones.

        Args:
            name: of their field.
            head: that made them.
            vectors: of all rows, some at a time, `(B, E)` each.
        """
        size, shape, dtype = 0, (0,), ""
        for block in vectors:
            size = self._append(f"{name}.bin", size, block.tobytes())
            shape, dtype = block.shape[1:], block.dtype.str
        with atomic_write(self.folder / f"{name}.safetensors") as file:
            file.write(head)
        earlier = [old for old in self.manifest.fields if old.startswith(DISTILLED) and old != name]
        fields = {old: field for old, field in self.manifest.fields.items() if old not in earlier}
        (self.folder / LISTS).unlink(missing_ok=True)  # they hold the earlier ones
        self._commit([], replace(self.manifest, fields={**fields, name: Field(shape, dtype)}, recall=None))
        for old in earlier:
            for kind in ("bin", "safetensors"):
                (self.folder / f"{old}.{kind}").unlink(missing_ok=True)

    def record(self, recall: Recall) -> None:
        """Keeps what was measured."""
        self._commit([], replace(self.manifest, recall=recall))

    def _append(self, name: str, size: int, content: bytes) -> int:
        """Writes behind the first `size` bytes of a file, and waits until the disk has it."""
        path = self.folder / name
        try:
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.truncate(size)
                file.seek(size)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            mend = "free some space or check its permissions; what was there before is whole"
            raise InputError(path, f"cannot be written ({error.strerror})", mend) from None
        return size + len(content)

    def _commit(self, lines: Sequence[Mapping[str, Any]], manifest: Manifest) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        size = self._append(LOG, self.manifest.log_bytes, text.encode())
        manifest = replace(manifest, log_bytes=size)
        manifest.write(self.folder)
        self.manifest = manifest


def _lock(folder: Path) -> Any:
    """An open file that locks the index for writing until it is closed, however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN) and folder.is_dir() and os.access(folder, os.W_OK):
            raise InputError(folder, "another process writes this index", "wait until it is done") from None
        raise InputError(folder, f"cannot be written ({error.strerror})", "name a folder you can write") from None
    return file
