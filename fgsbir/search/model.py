"""The run that an index belongs to: its system, how it reads photos, and how it is told from others."""

from __future__ import annotations

import hashlib
import io
import json
import os
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
from fgsbir.data.records import PhotoRecord
from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.data.transforms import UnitAffine
from fgsbir.errors import InputError
from fgsbir.files import file_digest
from fgsbir.regions.selective_search import SelectiveSearch
from fgsbir.regions.source import RegionSource
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run
from fgsbir.search.index import BOXES, Model, NewPhoto, Precision
from fgsbir.sketch.strokes import FloatArray, VectorSketch
from fgsbir.systems.base import System

THUMBNAIL = 224
"""Side of a thumbnail, in pixels."""
USUAL_MARGIN = 0.1
"""Free space about the ink where the sketches of a run cannot be asked; that of generated sketches and others."""


@dataclass(frozen=True)
class Run:
    """A finished run, loaded.

    Attributes:
        model: what an index keeps of it.
        system: in evaluation mode, on the GPU where there is one.
        data: as it was trained on; its files need not be there any more.
    """

    model: Model
    system: System
    data: SketchPhotoDataModule

    @classmethod
    def load(cls, path: Path) -> Run:
        """Loads the best checkpoint of a run.

        Raises:
            InputError: see `load_run`.
        """
        folder = RunFolder(path)
        system, data = load_run(folder)
        config = folder.read_config()
        shown = {"model": config["model"], **{name: config["data"].get(name) for name in ("rendering", "regions")}}
        model = Model(
            run=str(path.resolve()),
            experiment=str(config.get("experiment", "")),
            system=system.name,
            checkpoint=file_digest(folder.best_checkpoint),
            settings=hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest(),
            global_weight=getattr(system, "global_weight", None),
        )
        return cls(model, system.to("cuda" if torch.cuda.is_available() else "cpu"), data)

    @torch.inference_mode()
    def encode_photos(self, photos: PhotoBatch, precision: Precision = "float32") -> dict[str, npt.NDArray[Any]]:
        """The fields that an index stores of a batch of photos."""
        encoded = self.system.encode_batch(PhotoBatch(*(field.to(self.system.device) for field in photos)))
        fields = {name: field.cpu().numpy() for name, field in encoded._asdict().items()}
        if precision == "float16":  # of what is large; vectors and numbers stay as they are
            fields = {k: v.astype(np.float16) if v.ndim > 2 and v.dtype == np.float32 else v for k, v in fields.items()}
        boxes = photos.boxes.masked_fill(~photos.mask[..., None], float("nan"))
        return {**fields, BOXES: boxes.numpy()}

    def margin(self) -> float | None:
        """The free space about the ink of the sketches of the run, in frame units; None where they lie freely.

        Sketches of objects are centred and of one size in the datasets that have them, and a drawing should be put in
        front of the system as it knows them. Where a sketch lies on a screen matters, and stays.

        Raises:
            InputError: if the dataset is not on this machine.
        """
        sketches = [record.sketch for record in self.data.records.split_sketches("train")]
        if not sketches:
            return USUAL_MARGIN
        placed = np.array([_placement(sketch) for sketch in sketches])
        typical = np.median(placed, axis=0)
        alike = (np.abs(placed - typical) < 0.01).all(1).mean() > 0.95
        centred = (np.abs(typical[:2] - 0.5) < 0.01).all()
        return round(float(1 - typical[2]) / 2, 4) if alike and centred else None


def sketch_batch(rendering: Rendering, sketch: VectorSketch, device: torch.device) -> SketchBatch:
    """One drawing as a system reads it."""
    place = torch.tensor(0)
    return SketchBatch(*(field[None].to(device) for field in (*rendering.sketch(sketch), place, place)))


def placed(sketch: VectorSketch, margin: float | None) -> VectorSketch:
    """A drawing where a system expects it: centred and of the usual size, unless it is so already or may lie freely."""
    if margin is None or np.allclose(_placement(sketch), (0.5, 0.5, 1 - 2 * margin), atol=2e-3):
        return sketch
    return sketch.normalised(margin)


def _placement(sketch: VectorSketch) -> tuple[float, float, float]:
    """Middle and longer extent of the ink."""
    x1, y1, x2, y2 = (float(v) for v in sketch.bounds)
    return (x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, y2 - y1)


class PhotoReader:
    """Photos as a run reads them, and as an index shows them.

    Args:
        run: whose rendering and regions are used.
        boxes: known regions by photo id. Others are found as the run finds them where it does by selective search,
            else by selective search of its number of regions.
    """

    def __init__(self, run: Run, boxes: Mapping[str, FloatArray] | None = None) -> None:
        self.rendering, self.boxes = run.data.rendering, boxes or {}
        regions = run.data.regions
        self.regions: RegionSource = (
            regions if isinstance(regions, SelectiveSearch) else SelectiveSearch(self.rendering.num_regions)
        )

    def read(self, records: Sequence[tuple[PhotoRecord, str]]) -> list[tuple[NewPhoto, PhotoBatch] | InputError]:
        """Photos with their digests, several at a time; of a broken one what is wrong with it."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._read, *zip(*records, strict=True)))

    def _read(self, record: PhotoRecord, digest: str) -> tuple[NewPhoto, PhotoBatch] | InputError:
        try:
            photo = _InMemory(record.id, record.read(), digest)
            boxes = self.boxes.get(record.id)
            if boxes is None:
                boxes = self.regions.regions([photo])[record.id]
        except InputError as error:
            return error
        sample = PhotoBatch(*self.rendering.photo(photo.pixels, boxes, UnitAffine()), torch.tensor(0))
        return NewPhoto(record.id, digest, thumbnail(photo.pixels)), sample


@dataclass(frozen=True)
class _InMemory:
    """A photo that was read, with the digest of its file, under which its regions are cached."""

    id: str
    pixels: npt.NDArray[np.uint8]
    content: str

    def read(self) -> npt.NDArray[np.uint8]:
        return self.pixels

    def digest(self) -> str:
        return self.content


def thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A photo as JPEG in the square frame in which the system sees it."""
    square = UnitAffine.letterbox(*pixels.shape[:2]).image(pixels, THUMBNAIL)
    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()
