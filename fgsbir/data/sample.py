"""The tensors that travel from datasets to systems. Plain named tuples: they survive collating, pinning and moving."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor


class SketchBatch(NamedTuple):
    """Sketches as a system reads them.

    Attributes:
        image: `(B, 3, H, W)` uint8 raster, or `(B, C, h, w)` features of a frozen trunk.
        boxes: `(B, N, 4)`, one box a stroke, `(x1, y1, x2, y2)` in [0, 1]; zero where there is none.
        mask: `(B, N)`, True where a box is real; the real ones come first.
        points: `(B, L, 3)`, the path of the pen: x and y in the unit frame (an augmentation may move them out of it),
            and 1 on the last point of a stroke, 0 elsewhere; zero behind the last point. L = 0 where none are wanted.
        lengths: `(B,)`, number of real points.
        position: `(B,)`, index of the sketch in its split.
        photo: `(B,)`, index of its photo in the gallery of the split.
    """

    image: Tensor
    boxes: Tensor
    mask: Tensor
    points: Tensor
    lengths: Tensor
    position: Tensor
    photo: Tensor


class PhotoBatch(NamedTuple):
    """Photos as a system reads them: as `SketchBatch`, with region boxes; `position` is the index in the gallery."""

    image: Tensor
    boxes: Tensor
    mask: Tensor
    position: Tensor


class PairBatch(NamedTuple):
    """Sketches and their photos, row by row. Two rows may hold the same photo."""

    sketch: SketchBatch
    photo: PhotoBatch


Batch = TypeVar("Batch", SketchBatch, PhotoBatch)


def on_device(batch: Batch, device: torch.device | str) -> Batch:
    """The batch with all its tensors on a device."""
    return type(batch)(*(field.to(device) for field in batch))


def stacked(samples: Iterable[Batch]) -> Batch:
    """Samples without a batch axis, as datasets give them, as one batch; at least one."""
    rows = list(samples)
    return type(rows[0])(*map(torch.stack, zip(*rows, strict=True)))
