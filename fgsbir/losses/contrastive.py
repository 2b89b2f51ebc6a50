"""The contrastive hinge of pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fgsbir.losses.triplet import RandomNegativeLoss


class ContrastiveLoss(RandomNegativeLoss):
    """Pulls each pair together and pushes a random negative out of the margin: D(s, p) + max(0, margin - D(s, p')).

    Unlike a triplet's, its pull never ends. SWIRE's loss, with a margin of 0.2, as a re-implementation has it.
    """

    def penalty(self, positive: Tensor, negative: Tensor) -> Tensor:
        """See `RandomNegativeLoss`."""
        return positive + F.relu(self.margin - negative)
