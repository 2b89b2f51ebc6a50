"""Torch datasets over the records of one split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from fgsbir.data.records import PhotoRecord, SketchRecord
from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.data.transforms import Augmentation, UnitAffine
from fgsbir.sketch.detail import DetailLevel
from fgsbir.sketch.detail import detail as reduce_detail
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import FloatArray, VectorSketch

# OpenCV's threads do not survive the fork of a loader process, which would then wait for them for ever.
cv2.setNumThreads(0)


@dataclass(frozen=True)
class Rendering:
    """How records become tensors.

    Args:
        image_size: side of every picture, in pixels.
        max_strokes: room for stroke nodes; a sketch with more has its shortest neighbours joined.
        num_regions: room for photo regions; the first ones of the region source are used.
        whole_sketch_node: add a node for the whole drawing behind the strokes, as the photo has one for the
            whole picture. The paper's figure allows both readings.
        line_width: of strokes, in pixels of a 256-pixel picture.
        ink: "dark" draws black on white like a photo's outlines, "light" white on black as the authors do.
        min_box_side: thinner stroke boxes are widened to this, in frame units.
    """

    image_size: int = 224
    max_strokes: int = 16
    num_regions: int = 16
    whole_sketch_node: bool = False
    line_width: float = 2.0
    ink: Literal["dark", "light"] = "dark"
    min_box_side: float = 0.03

    def sketch(self, sketch: VectorSketch) -> tuple[Tensor, Tensor, Tensor]:
        """Image `(3, H, W)` uint8, stroke boxes `(N, 4)` and their mask `(N,)`."""
        sketch = sketch.grouped(self.max_strokes)
        boxes = sketch.boxes(self.min_box_side)
        if self.whole_sketch_node:
            low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
            boxes = np.vstack([boxes, np.concatenate([low, high])])
        raster = rasterise(sketch, self.image_size, self.line_width, self.ink)
        image = torch.from_numpy(raster).expand(3, -1, -1)
        return image, *_padded(boxes, self.max_strokes + self.whole_sketch_node)

    def photo(
        self, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], boxes: FloatArray, affine: UnitAffine
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image `(3, H, W)` uint8, region boxes `(N, 4)` and their mask `(N,)`, both seen through `affine`."""
        through = affine.after(UnitAffine.letterbox(*image.shape[:2]))
        pixels = torch.from_numpy(through.image(image, self.image_size)).permute(2, 0, 1).contiguous()
        return pixels, *_padded(through.boxes(boxes[: self.num_regions]), self.num_regions)


class SketchDataset(Dataset[SketchBatch]):
    """The sketches of a split, unchanged, as queries.

    Args:
        sketches: the queries.
        photos: the gallery, in the order that `SketchBatch.photo` counts.
        rendering: how they become tensors.
        detail: how much of each drawing is used.
    """

    def __init__(
        self,
        sketches: Sequence[SketchRecord],
        photos: Sequence[PhotoRecord],
        rendering: Rendering,
        detail: DetailLevel = "full",
    ) -> None:
        self.sketches, self.rendering, self.detail = sketches, rendering, detail
        self.place = {photo.id: i for i, photo in enumerate(photos)}

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> SketchBatch:
        record = self.sketches[index]
        image, boxes, mask = self.rendering.sketch(reduce_detail(record.sketch, self.detail))
        return SketchBatch(image, boxes, mask, torch.tensor(index), torch.tensor(self.place[record.photo_id]))


class PhotoDataset(Dataset[PhotoBatch]):
    """The photos of a split, unchanged, as a gallery.

    Args:
        photos: the gallery.
        boxes: region boxes `(N, 4)` by photo id.
        rendering: how they become tensors.
    """

    def __init__(self, photos: Sequence[PhotoRecord], boxes: Mapping[str, FloatArray], rendering: Rendering) -> None:
        self.photos, self.boxes, self.rendering = photos, boxes, rendering

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> PhotoBatch:
        record = self.photos[index]
        return PhotoBatch(
            *self.rendering.photo(record.read(), self.boxes[record.id], UnitAffine()), torch.tensor(index)
        )


class PairDataset(Dataset[PairBatch]):
    """Sketches with their photos, randomly changed, for training.

    The change depends on the seed, the epoch and the index alone, so a resumed training sees what an
    uninterrupted one does, whatever the number of workers. An item is asked for as
    `epoch * len(self) + index`, as `EpochSampler` does.

    Args:
        sketches: training sketches.
        photos: training photos.
        boxes: region boxes `(N, 4)` by photo id.
        rendering: how they become tensors.
        augmentation: random changes.
        detail: how much of each drawing is used.
        seed: of the changes.
    """

    def __init__(
        self,
        sketches: Sequence[SketchRecord],
        photos: Sequence[PhotoRecord],
        boxes: Mapping[str, FloatArray],
        rendering: Rendering,
        augmentation: Augmentation,
        detail: DetailLevel = "full",
        seed: int = 0,
    ) -> None:
        self.sketches, self.photos, self.boxes = sketches, photos, boxes
        self.rendering, self.augmentation, self.detail, self.seed = rendering, augmentation, detail, seed
        self.place = {photo.id: i for i, photo in enumerate(photos)}

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> PairBatch:
        epoch, index = divmod(index, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        record = self.sketches[index]
        place = self.place[record.photo_id]
        change = self.augmentation
        for_sketch, for_photo = change.affines(rng)
        sketch = change.strokes(for_sketch.sketch(reduce_detail(record.sketch, self.detail)), rng)
        pixels = change.photo(self.photos[place].read(), rng)
        return PairBatch(
            SketchBatch(*self.rendering.sketch(sketch), torch.tensor(index), torch.tensor(place)),
            PhotoBatch(*self.rendering.photo(pixels, self.boxes[record.photo_id], for_photo), torch.tensor(place)),
        )


class EpochSampler(DistributedSampler[int]):
    """Shuffles by seed and epoch, gives each process its share, and tells the dataset the epoch."""

    def __iter__(self) -> Iterator[int]:
        offset = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (offset + index for index in super().__iter__())


def _padded(boxes: FloatArray, room: int) -> tuple[Tensor, Tensor]:
    out, mask = torch.zeros(room, 4), torch.zeros(room, dtype=torch.bool)
    out[: len(boxes)] = torch.from_numpy(np.ascontiguousarray(boxes))
    mask[: len(boxes)] = True
    return out, mask
