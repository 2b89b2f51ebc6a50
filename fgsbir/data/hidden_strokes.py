"""Sketches with hidden strokes, for self-supervised pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fgsbir.data.dataset import point_sequence
from fgsbir.data.transforms import Augmentation
from fgsbir.sketch.strokes import VectorSketch


class HiddenStrokes(NamedTuple):
    """B sketches, with the points to reconstruct.

    Attributes:
        points: `(B, L, 3)`, as in `SketchBatch`.
        lengths: `(B,)`, number of real points.
        hidden: `(B, L)`, True for every point of a hidden stroke.
    """

    points: Tensor
    lengths: Tensor
    hidden: Tensor


class HiddenStrokeDataset(Dataset[HiddenStrokes]):
    """Augmented sketches, each with some of its strokes hidden.

    Augmentation and choice of strokes depend on the seed, the epoch and the index alone; see `PairDataset`.

    Args:
        sketches: sketches to learn from.
        max_points: capacity for points, L.
        hide: share of the strokes that are hidden, rounded to whole strokes: at least one, and never all.
        augmentation: random changes; only its changes of sketches are used.
        seed: seed of both.
    """

    def __init__(
        self, sketches: Sequence[VectorSketch], max_points: int, hide: float, augmentation: Augmentation, seed: int
    ) -> None:
        self.sketches, self.max_points, self.hide = sketches, max_points, hide
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> HiddenStrokes:
        epoch, index = divmod(index, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        affine, _ = self.augmentation.affines(rng)
        sketch = self.augmentation.strokes(affine.sketch(self.sketches[index]), rng).thinned(self.max_points)
        count = min(max(1, round(self.hide * len(sketch))), len(sketch) - 1)
        chosen = rng.permutation(len(sketch))[:count]
        owner = np.repeat(np.arange(len(sketch)), np.diff(sketch.offsets))  # the stroke of each point
        hidden = torch.zeros(self.max_points, dtype=torch.bool)
        hidden[: len(owner)] = torch.from_numpy(np.isin(owner, chosen))
        return HiddenStrokes(*point_sequence(sketch, self.max_points), hidden)
