"""What all systems share that give a picture one vector."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fgsbir.retrieval.distances import elementwise_distance, pairwise_distance
from fgsbir.systems.base import System


class VectorSystem(System):
    """Base of the systems whose encoding is one vector, which needs no partner: a gallery can be indexed once."""

    indexable = True

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances, `(P,)`."""
        return elementwise_distance(sketches, photos)

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances, `(Q, G)`."""
        return pairwise_distance(sketches, photos)
