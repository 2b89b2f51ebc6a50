"""Attention over the positions of one map."""

from __future__ import annotations

from torch import Tensor, nn


class SpatialAttention(nn.Module):
    r"""Weighs the positions of a map and adds the weighted map to it (Song et al. 2017; layers as in Deep_SBIR_tf).

    $$f' = f + f \odot m, \quad m = \mathrm{softmax}_{xy}(w^T \mathrm{ReLU}(V f))$$

    The shortcut keeps what a poor mask would lose.

    Args:
        channels: channels of the map and of the layer inside.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1))

    def mask(self, maps: Tensor) -> Tensor:
        """Weights `(B, 1, H, W)`, positive, with sum 1 an image."""
        scores: Tensor = self.score(maps)
        return scores.flatten(2).softmax(2).view_as(scores)

    def forward(self, maps: Tensor) -> Tensor:
        """Attended maps `(B, C, H, W)` of maps of the same shape."""
        return maps + maps * self.mask(maps)
