"""The trained model behind an index: its system, how it reads images, and its identity."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.reading import LoadedPhoto, Reader, ink_margin, searched, sketch_sample
from fgsbir.data.records import PhotoRecord
from fgsbir.data.sample import PhotoBatch, SketchBatch, on_device
from fgsbir.errors import InputError
from fgsbir.files import file_digest, usable_cores
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run
from fgsbir.search.index import BOXES, ModelRecord, NewPhoto, Precision
from fgsbir.sketch.strokes import FloatArray, VectorSketch
from fgsbir.systems.base import System

THUMBNAIL = 224
"""Most pixels of a thumbnail's longer side."""


@dataclass(frozen=True)
class LoadedModel:
    """The model of a finished run, loaded.

    Attributes:
        record: its identity, as an index keeps it.
        system: in evaluation mode, on the GPU if there is one.
        data: the data module that it was trained with; its files may be missing.
    """

    record: ModelRecord
    system: System
    data: SketchPhotoDataModule

    @classmethod
    def load(cls, path: Path) -> LoadedModel:
        """Loads the best checkpoint of a run folder.

        Raises:
            InputError: see `load_run`.
        """
        folder = RunFolder(path)
        system, data = load_run(folder)
        config = folder.read_config()
        hashed = {"model": config["model"], **{name: config["data"].get(name) for name in ("rendering", "regions")}}
        record = ModelRecord(
            run=str(path.resolve()),
            experiment=str(config.get("experiment", "")),
            system=system.name,
            checkpoint=file_digest(folder.best_checkpoint),
            settings=hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest(),
            global_weight=getattr(system, "global_weight", None),
        )
        return cls(record, system.to("cuda" if torch.cuda.is_available() else "cpu"), data)

    @torch.inference_mode()
    def encode_photos(self, photos: PhotoBatch, precision: Precision = "float32") -> dict[str, npt.NDArray[Any]]:
        """The fields that an index stores for a batch of photos, `(B, ...)` each."""
        encoded = self.system.encode_batch(on_device(photos, self.system.device))
        fields = {name: field.cpu().numpy() for name, field in encoded._asdict().items()}
        if precision == "float16":  # nodes and maps only: vectors and counts are small
            fields = {k: v.astype(np.float16) if v.ndim > 2 and v.dtype == np.float32 else v for k, v in fields.items()}
        boxes = photos.boxes.masked_fill(~photos.mask[..., None], float("nan"))
        return {**fields, BOXES: boxes.numpy()}

    def sketch_margin(self) -> float | None:
        """The margin around the ink of the run's training sketches, in frame units; None if their placement varies.

        Datasets of objects centre their sketches and scale them to one size, and a query is moved there too. In
        datasets of screens the placement carries meaning, and a query stays where it is.

        Raises:
            InputError: if the dataset is not on this machine.
        """
        if self.system.reader is not None:  # its checkpoint tells
            return self.system.reader.margin
        return ink_margin([record.sketch for record in self.data.records.split_sketches("train")])


def sketch_batch(rendering: Rendering, sketch: VectorSketch, device: torch.device) -> SketchBatch:
    """A batch of one sketch, as a system reads it."""
    return SketchBatch(*(field[None].to(device) for field in sketch_sample(rendering, sketch)))


class PhotoReader:
    """Reads photos as a run does, with a thumbnail each.

    Args:
        model: whose rendering and region source are used.
        boxes: known regions by photo id. Other photos get the run's selective search, or the default one with the
            run's number of regions if the run takes its regions from elsewhere.
    """

    def __init__(self, model: LoadedModel, boxes: Mapping[str, FloatArray] | None = None) -> None:
        rendering = model.data.rendering
        self.reader, self.boxes = Reader(rendering, searched(model.data.regions, rendering)), boxes or {}

    def read(self, records: Sequence[tuple[PhotoRecord, str]]) -> list[tuple[NewPhoto, PhotoBatch] | InputError]:
        """Reads photos, given with their digests, in parallel; the error in place of one that cannot be read."""
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(self._read, *zip(*records, strict=True)))

    def _read(self, record: PhotoRecord, digest: str) -> tuple[NewPhoto, PhotoBatch] | InputError:
        try:
            photo = LoadedPhoto(record.id, record.read(), digest)
            sample = self.reader.photo(photo, self.boxes.get(record.id))
        except InputError as error:
            return error
        return NewPhoto(record.id, digest, thumbnail(photo.pixels)), sample


def thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A photo as a small JPEG of its own aspect ratio. (The square that a system sees is filled up with the border.)"""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    image.save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()
