"""The contrastive loss of Hadsell et al. (CVPR 2006)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fgsbir.losses.triplet import RandomNegativeLoss


class ContrastiveLoss(RandomNegativeLoss):
    """Pulls each pair together and pushes a random negative out of the margin: D(s, p) + max(0, margin - D(s, p')).

    Unlike the triplet loss it always pulls. SWIRE's loss, with a margin of 0.2 as in a re-implementation.
    """

    def penalty(self, positive: Tensor, negative: Tensor) -> Tensor:
        """See `RandomNegativeLoss`."""
        return positive + F.relu(self.margin - negative)
