"""Base of the training losses: modules over the pairs of a batch that ask the system for the pairs they need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor, nn

from fgsbir.data.records import PairedData
from fgsbir.models.recorded import Recorded


class Matcher(Protocol):
    """What a loss needs from a system; see `fgsbir.systems.base.System`."""

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of pairs, row by row, `(P,)`."""

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of all pairs, `(Q, G)`."""


class PairLoss(Recorded, nn.Module, ABC):
    """A loss over B sketches and their B photos."""

    @abstractmethod
    def forward(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """The loss.

        Args:
            matcher: the system.
            sketches: encodings of B sketches.
            photos: encodings of their photos, row by row.
            photo_ids: `(B,)`; rows with the same photo are no negatives of each other.
        """

    def prepare(self, data: PairedData) -> None:
        """Takes what it needs from the training data, before training."""
