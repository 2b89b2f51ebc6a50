"""`RegionSource`: the interface of all sources of photo regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fgsbir.sketch.strokes import FloatArray


class Photo(Protocol):
    """What a region source needs to know of a photo."""

    @property
    def id(self) -> str:
        """Unique name within the dataset."""

    def read(self) -> npt.NDArray[np.uint8]:
        """The photo, `(H, W, 3)` uint8 RGB."""

    def digest(self) -> str:
        """A hash of the content, fit for a file name."""


class RegionSource(ABC):
    """Finds the regions of photos: the nodes that a photo brings to the co-attention.

    Attributes:
        computed: whether regions are computed from the pixels of a photo, rather than read from a file.
    """

    computed: bool = False

    @abstractmethod
    def regions(self, photos: Sequence[Photo]) -> dict[str, FloatArray]:
        """The regions of each photo, by photo id.

        Args:
            photos: photos in any order.

        Returns:
            For each photo `(N, 4)` float32 boxes `(x1, y1, x2, y2)` in [0, 1] of its own frame. The first is
            the whole photo, `(0, 0, 1, 1)`; N is at least 1 and may differ from photo to photo.

        Raises:
            InputError: if a photo or a file of regions cannot be used.
        """
