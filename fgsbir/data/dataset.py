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

from fgsbir.data.features import ImageFeatures, SplitFeatures
from fgsbir.data.records import PhotoRecord, SketchRecord
from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.data.transforms import Augmentation, UnitAffine, edge_map
from fgsbir.errors import InputError
from fgsbir.sketch.detail import DetailLevel
from fgsbir.sketch.detail import detail as reduce_detail
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import FloatArray, VectorSketch

# OpenCV's threads do not survive the fork of a loader process, which would wait for them for ever.
cv2.setNumThreads(0)


@dataclass(frozen=True)
class Rendering:
    """How records become tensors.

    Args:
        image_size: side of every image, in pixels.
        max_strokes: capacity for stroke nodes; a sketch with more has its shortest neighbours joined.
        num_regions: capacity for photo regions; the first ones of the region source are used.
        whole_sketch_node: whether to add a node for the whole sketch behind the strokes, as the photo has one for the
            whole photo. The paper's figure allows both readings.
        line_width: width of strokes, in pixels of a 256-pixel image.
        ink: "dark" draws black on white like a photo's outlines, "light" white on black as the authors do.
        min_box_side: smallest side of a stroke box, in frame units; thinner boxes are widened to it.
        photo_style: "rgb", or "edges" for the photos' outlines in the same ink; see `edge_map`. Outlines are drawn
            last, from the photo as it is augmented, moved and scaled, because moved or scaled lines would blur.
        max_points: capacity for the points of a sketch, for systems that read the path of the pen; 0 gives none. A
            sketch with more is `thinned`, never cut off. All strokes are kept apart, whatever `max_strokes` is, and
            the points go through every augmentation of the strokes, mirroring included. (The authors mirror the
            images and leave the coordinates as they are.)
    """

    image_size: int = 224
    max_strokes: int = 16
    num_regions: int = 16
    whole_sketch_node: bool = False
    line_width: float = 2.0
    ink: Literal["dark", "light"] = "dark"
    min_box_side: float = 0.03
    photo_style: Literal["rgb", "edges"] = "rgb"
    max_points: int = 0

    def __post_init__(self) -> None:
        if self.max_points != 0 and self.max_points < 2:
            problem = f"{self.max_points} is too few"
            raise InputError("data.rendering.max_points", problem, "use 0 for none, or e.g. 256")

    def sketch(
        self, sketch: VectorSketch, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The fields of a `SketchBatch` that show the sketch.

        Image `(3, H, W)` uint8, or its `features` if given, stroke boxes `(N, 4)` and their mask `(N,)`, points
        `(L, 3)` and their number.
        """
        path = point_sequence(sketch, self.max_points)
        sketch = sketch.grouped(self.max_strokes)
        boxes = sketch.boxes(self.min_box_side)
        if self.whole_sketch_node:
            low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
            boxes = np.vstack([boxes, np.concatenate([low, high])])
        if features is None:
            raster = rasterise(sketch, self.image_size, self.line_width, self.ink)
            features = torch.from_numpy(raster).expand(3, -1, -1)
        return features, *_padded(boxes, self.max_strokes + self.whole_sketch_node), *path

    def photo(
        self,
        image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        boxes: FloatArray,
        affine: UnitAffine,
        features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image `(3, H, W)` uint8, region boxes `(N, 4)` and their mask `(N,)`, both seen through `affine`.

        `features` of the transformed image replace it if given.
        """
        through = affine.after(UnitAffine.letterbox(*image.shape[:2]))
        if features is None:
            pixels = through.image(image, self.image_size)
            if self.photo_style == "edges":
                pixels = edge_map(pixels) if self.ink == "dark" else 255 - edge_map(pixels)
            features = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        return features, *_padded(through.boxes(boxes[: self.num_regions]), self.num_regions)


@dataclass(eq=False, repr=False)
class SketchDataset(Dataset[SketchBatch]):
    """The sketches of a split, unchanged, as queries.

    Args:
        sketches: the queries.
        photos: the gallery, in the order of the indices in `SketchBatch.photo`.
        rendering: how records become tensors.
        detail: level of detail of each sketch.
        features: features of the sketches that replace their images.
    """

    sketches: Sequence[SketchRecord]
    photos: Sequence[PhotoRecord]
    rendering: Rendering
    detail: DetailLevel = "full"
    features: ImageFeatures | None = None

    def __post_init__(self) -> None:
        self.gallery_index = {photo.id: i for i, photo in enumerate(self.photos)}

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> SketchBatch:
        record = self.sketches[index]
        features = self.features.get(index) if self.features else None
        fields = self.rendering.sketch(reduce_detail(record.sketch, self.detail), features)
        return SketchBatch(*fields, torch.tensor(index), torch.tensor(self.gallery_index[record.photo_id]))

    def image(self, index: int, mirror: bool = False) -> Tensor:
        """The image of the sketch, `(3, H, W)` uint8, even where features replace it."""
        sketch = reduce_detail(self.sketches[index].sketch, self.detail)
        return self.rendering.sketch(UnitAffine.about_centre(flip=mirror).sketch(sketch))[0]


@dataclass(eq=False, repr=False)
class PhotoDataset(Dataset[PhotoBatch]):
    """The photos of a split, unchanged, as a gallery.

    Args:
        photos: the gallery.
        boxes: region boxes `(N, 4)` by photo id.
        rendering: how records become tensors.
        features: features of the photos that replace their images.
    """

    photos: Sequence[PhotoRecord]
    boxes: Mapping[str, FloatArray]
    rendering: Rendering
    features: ImageFeatures | None = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> PhotoBatch:
        record = self.photos[index]
        features = self.features.get(index) if self.features else None
        return PhotoBatch(
            *self.rendering.photo(record.read(), self.boxes[record.id], UnitAffine(), features), torch.tensor(index)
        )

    def image(self, index: int, mirror: bool = False) -> Tensor:
        """The image of the photo, `(3, H, W)` uint8, even where features replace it."""
        record = self.photos[index]
        affine = UnitAffine.about_centre(flip=mirror)
        return self.rendering.photo(record.read(), self.boxes[record.id], affine)[0]


@dataclass(eq=False, repr=False)
class PairDataset(Dataset[PairBatch]):
    """Sketches with their photos, randomly changed, for training.

    The change depends on the seed, the epoch and the index alone. So a resumed training sees what an
    uninterrupted one does, whatever the number of workers. Item `epoch * len(self) + index` is pair `index` in
    epoch `epoch`; `EpochSampler` counts so.

    Args:
        sketches: training sketches.
        photos: training photos.
        boxes: region boxes `(N, 4)` by photo id.
        rendering: how records become tensors.
        augmentation: random changes.
        detail: level of detail of each sketch.
        seed: seed of the changes.
        features: features of sketches and photos that replace their images; the augmentation may then only mirror.
    """

    sketches: Sequence[SketchRecord]
    photos: Sequence[PhotoRecord]
    boxes: Mapping[str, FloatArray]
    rendering: Rendering
    augmentation: Augmentation
    detail: DetailLevel = "full"
    seed: int = 0
    features: SplitFeatures | None = None

    def __post_init__(self) -> None:
        self.gallery_index = {photo.id: i for i, photo in enumerate(self.photos)}

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> PairBatch:
        epoch, index = divmod(index, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        record = self.sketches[index]
        partner = self.gallery_index[record.photo_id]
        change = self.augmentation
        for_sketch, for_photo = change.affines(rng)
        sketch = change.strokes(for_sketch.sketch(reduce_detail(record.sketch, self.detail)), rng)
        pixels = change.photo(self.photos[partner].read(), rng)
        of_sketch = of_photo = None
        if self.features:
            mirror = bool(for_sketch.matrix[0, 0] < 0)
            of_sketch, of_photo = self.features.sketches.get(index, mirror), self.features.photos.get(partner, mirror)
        boxes = self.boxes[record.photo_id]
        return PairBatch(
            SketchBatch(*self.rendering.sketch(sketch, of_sketch), torch.tensor(index), torch.tensor(partner)),
            PhotoBatch(*self.rendering.photo(pixels, boxes, for_photo, of_photo), torch.tensor(partner)),
        )


class EpochSampler(DistributedSampler[int]):
    """Shuffles by seed and epoch, gives each process its share, and tells the dataset the epoch."""

    def __iter__(self) -> Iterator[int]:
        offset = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (offset + index for index in super().__iter__())


def point_sequence(sketch: VectorSketch, max_points: int) -> tuple[Tensor, Tensor]:
    """The points `(L, 3)` of a sketch and their number, `()`, as in `SketchBatch`; L is `max_points`."""
    rows = torch.zeros(max_points, 3)
    if not max_points:
        return rows, torch.tensor(0)
    sketch = sketch.thinned(max_points)
    rows[: len(sketch.points), :2] = torch.from_numpy(np.array(sketch.points))
    rows[sketch.offsets[1:] - 1, 2] = 1
    return rows, torch.tensor(len(sketch.points))


def _padded(boxes: FloatArray, capacity: int) -> tuple[Tensor, Tensor]:
    """Boxes `(N, 4)` as `(capacity, 4)`, zero behind the real ones, and which are real, `(capacity,)`."""
    out, mask = torch.zeros(capacity, 4), torch.zeros(capacity, dtype=torch.bool)
    out[: len(boxes)] = torch.from_numpy(np.ascontiguousarray(boxes))
    mask[: len(boxes)] = True
    return out, mask
