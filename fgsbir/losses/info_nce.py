"""In-batch cross-entropy over all pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fgsbir.errors import InputError
from fgsbir.losses.base import Matcher, PairLoss


class InfoNCELoss(PairLoss):
    """Symmetric in-batch cross-entropy over all pairs of the batch (InfoNCE).

    Distances are squared Euclidean between unit vectors, so 1 - D / 2 is their cosine.

    Args:
        temperature: divisor of the cosine.
        label_smoothing: share of the target that is spread evenly over the pairs of a row, its own included; other
            pairs of the same photo get none.
    """

    def __init__(self, temperature: float = 0.07, label_smoothing: float = 0.0) -> None:
        if temperature <= 0:
            raise InputError("loss.temperature", f"{temperature} is not positive", "use e.g. 0.07")
        super().__init__()
        self.temperature, self.label_smoothing = temperature, label_smoothing

    def forward(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """See `PairLoss`."""
        logits = (1 - matcher.match_all(sketches, photos) / 2) / self.temperature
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        possible = (photo_ids[:, None] != photo_ids) | own
        return (self._cross_entropy(logits, possible) + self._cross_entropy(logits.T, possible)) / 2

    def _cross_entropy(self, logits: Tensor, possible: Tensor) -> Tensor:
        """Mean over the rows; the target is a row's own column, smoothed over its `possible` ones."""
        log_share = logits.masked_fill(~possible, -torch.inf).log_softmax(1)
        spread = log_share.masked_fill(~possible, 0).sum(1) / possible.sum(1)
        return -((1 - self.label_smoothing) * log_share.diagonal() + self.label_smoothing * spread).mean()
