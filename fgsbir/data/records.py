"""What a dataset is before any tensor: photos, sketches, and which belongs to which."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.images import photo_pixels
from fgsbir.sketch.strokes import VectorSketch

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PhotoRecord:
    """One photo: a file, or pixels already in memory (the embedded dataset).

    Args:
        id: unique name within the dataset.
        split: "train", "val" or "test".
        path: image file, if there is one.
        pixels: `(H, W, 3)` uint8 RGB, if there is no file.
    """

    id: str
    split: str
    path: Path | None = None
    pixels: npt.NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    def read(self) -> npt.NDArray[np.uint8]:
        """The photo, `(H, W, 3)` uint8 RGB; see `photo_pixels`.

        Raises:
            InputError: if the file is missing or is no image that can be read.
        """
        if self.pixels is not None:
            return self.pixels
        assert self.path is not None
        return photo_pixels(self.path)

    def digest(self) -> str:
        """SHA-256 of the content, the key under which results computed from it are cached."""
        if self.pixels is not None:
            return hashlib.sha256(self.pixels.tobytes()).hexdigest()
        assert self.path is not None
        return hashlib.sha256(read_bytes(self.path)).hexdigest()


@dataclass(frozen=True)
class SketchRecord:
    """One sketch and the photo it was drawn from.

    Args:
        id: unique name within the dataset.
        photo_id: id of the true match.
        split: "train", "val" or "test"; the same as its photo's, unless photos recur.
        sketch: strokes in the unit frame.
    """

    id: str
    photo_id: str
    split: str
    sketch: VectorSketch = field(repr=False)


@dataclass(frozen=True)
class PairedData:
    """A sketch-photo dataset.

    Args:
        name: name of the dataset, e.g. "chair_v2".
        sketches: all sketches, in a fixed order.
        photos: all photos by id, in a fixed order.
        recurring: whether sketches of one photo may be in several splits, as in SWIRE's split by designer. The
            photo's own split then means nothing, and training sees photos of the test gallery.
        judgements: answers of people, by id of the photo drawn: pairs of photo ids, the first of which is nearer to
            the sketch of that photo than the second.

    Raises:
        InputError: if a sketch names a photo that is not there, or that is in another split and must not be.
    """

    name: str
    sketches: tuple[SketchRecord, ...]
    photos: Mapping[str, PhotoRecord]
    recurring: bool = False
    judgements: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for sketch in self.sketches:
            photo = self.photos.get(sketch.photo_id)
            if photo is None:
                raise InputError(
                    f"{self.name}: sketch {sketch.id}",
                    f"its photo '{sketch.photo_id}' is missing",
                    "add the photo or remove the sketch",
                )
            if photo.split != sketch.split and not self.recurring:
                raise InputError(
                    f"{self.name}: sketch {sketch.id}",
                    f"it is in '{sketch.split}' but its photo '{photo.id}' is in '{photo.split}'",
                    "put both into one split",
                )

    def split_sketches(self, split: str) -> list[SketchRecord]:
        """The sketches of one split: its queries."""
        return [s for s in self.sketches if s.split == split]

    def split_photos(self, split: str) -> list[PhotoRecord]:
        """The photos of one split that have a sketch: its gallery, each photo once."""
        used = {s.photo_id for s in self.sketches if s.split == split}
        return [p for p in self.photos.values() if p.id in used]

    def split_hash(self, split: str) -> str:
        """Short hash of the query and gallery ids of a split; two results are comparable only if it is equal."""
        ids = [s.id for s in self.split_sketches(split)] + [p.id for p in self.split_photos(split)]
        return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:8]
