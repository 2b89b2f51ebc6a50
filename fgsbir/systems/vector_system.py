"""Systems that encode an image as one vector."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fgsbir.retrieval.distances import elementwise_distance, pairwise_distance
from fgsbir.systems.base import System


class VectorSystem(System):
    """Base of the systems whose encoding is one vector that depends on no partner, so that a gallery can be indexed."""

    indexable = True

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances, `(P,)`."""
        return elementwise_distance(sketches, photos)

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances, `(Q, G)`."""
        return pairwise_distance(sketches, photos)
