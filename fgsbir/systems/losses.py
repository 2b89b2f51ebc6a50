"""Training losses over the pairs of a batch. They ask the system for just the pairs they need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.retrieval.distances import select


class Matcher(Protocol):
    """What a loss needs of a system; see `fgsbir.systems.base.System`."""

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of pairs, row by row, `(P,)`."""

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of all pairs, `(Q, G)`."""


class PairLoss(ABC):
    """A loss over B sketches and their B photos."""

    @abstractmethod
    def __call__(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """The loss.

        Args:
            matcher: the system.
            sketches: encodings of B sketches.
            photos: encodings of their photos, row by row.
            photo_ids: `(B,)`; rows with the same photo are no negatives of each other.
        """


class TripletLoss(PairLoss):
    """Paired triplet hinge with a random negative: max(0, margin + D(S+, P+) - D(S-, P-)).

    The first term is D(S+, P+): the published slide prints D(S+, P-) there, against its own figure
    (Sain et al. 2020, slide 9 and framework figure).

    Args:
        margin: 0.2 in the authors' attention models, 0.3 in their siamese ones.

    Deviations:
        The negative is a random other photo of the same batch, so every photo is encoded once a step; the
        authors load a third picture. A photo is never its own negative; theirs can be.
    """

    def __init__(self, margin: float = 0.2) -> None:
        if margin <= 0:
            raise InputError("loss.margin", f"{margin} is not positive", "use e.g. 0.2")
        self.margin = margin

    def __call__(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """See `PairLoss`."""
        weights = (photo_ids[:, None] != photo_ids).float()
        usable = weights.any(1)
        if not usable.any():  # a batch of one photo: nothing to learn, but a graph for the optimiser
            return matcher.match(sketches, photos).sum() * 0
        rows = usable.nonzero()[:, 0]
        negative = torch.multinomial(weights[rows], 1)[:, 0]
        twice, partners = torch.cat([rows, rows]), torch.cat([rows, negative])
        positive, other = matcher.match(select(sketches, twice), select(photos, partners)).chunk(2)
        return F.relu(self.margin + positive - other).mean()


class ContrastiveLoss(PairLoss):
    """Symmetric in-batch cross-entropy over all pairs of the batch (InfoNCE).

    Distances are squared Euclidean between unit vectors, so 1 - D / 2 is their cosine.

    Args:
        temperature: divides the cosine.
        label_smoothing: share of the target that is spread over the other pairs.
    """

    def __init__(self, temperature: float = 0.07, label_smoothing: float = 0.0) -> None:
        if temperature <= 0:
            raise InputError("loss.temperature", f"{temperature} is not positive", "use e.g. 0.07")
        self.temperature, self.label_smoothing = temperature, label_smoothing

    def __call__(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """See `PairLoss`."""
        logits = (1 - matcher.match_all(sketches, photos) / 2) / self.temperature
        target = torch.arange(len(logits), device=logits.device)
        same_photo = (photo_ids[:, None] == photo_ids) & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same_photo, -1e4)
        smoothing = self.label_smoothing
        return (
            F.cross_entropy(logits, target, label_smoothing=smoothing)
            + F.cross_entropy(logits.T, target, label_smoothing=smoothing)
        ) / 2
