"""Maps of an image to its global embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone


class GlobalEmbedding(nn.Module):
    """One unit vector of an image: what it shows and, with a spatial pyramid, where.

    The maximum over the last map tells what is there and forgets all positions. The spatial pyramid (Lazebnik et al.,
    CVPR 2006) keeps them coarsely: the finer map, projected and rectified, has its maximum taken in each cell of some
    grids over the image, each grid with a projection of its own. Sketch and photo of a fine-grained pair show the same
    thing from the same side, so a part is compared with what stands at its position. The squared distance of two such
    vectors is the mean of two: between the maxima and between the pyramids, whose grids all weigh the same.

    Args:
        backbone: network whose maps are read; the spatial pyramid reads the maps of `region_level`.
        pyramid_dim: channels of each grid of the spatial pyramid; 0 for no pyramid.
        grids: cells a side of each grid.

    Raises:
        InputError: for a negative `pyramid_dim`, or a grid without cells.
    """

    def __init__(self, backbone: Backbone, pyramid_dim: int = 0, grids: Sequence[int] = (2, 3)) -> None:
        super().__init__()
        if pyramid_dim < 0:
            fix = "use e.g. 128, or 0 for no spatial pyramid"
            raise InputError("model.pyramid_dim", f"{pyramid_dim} is negative", fix)
        if not grids or min(grids) < 1:
            raise InputError("model.grids", f"{list(grids)} has a grid without cells", "use e.g. [2, 3]")
        self.grids = tuple(grids)
        channels = pyramid_dim * len(self.grids)
        self.project = nn.Conv2d(backbone.region_channels, channels, 1) if pyramid_dim else None

    def forward(self, fine: Tensor, last: Tensor) -> Tensor:
        """Unit vectors `(B, D)`.

        Args:
            fine: maps of the backbone's `region_level`, `(B, C, H, W)`.
            last: maps of its last level, `(B, D, H', W')`.
        """
        what = pooled_vector(last, "max")
        if self.project is None:
            return what
        maps = F.relu(self.project(fine)).chunk(len(self.grids), dim=1)
        where = [F.adaptive_max_pool2d(m, grid).flatten(1) for m, grid in zip(maps, self.grids, strict=True)]
        pyramid = torch.cat([F.normalize(cells, dim=1) for cells in where], dim=1) / len(where) ** 0.5
        both: Tensor = torch.cat([what, pyramid], dim=1) * 0.5**0.5
        return both


def pooled(maps: Tensor, pool: Literal["max", "mean"]) -> Tensor:
    """Vectors `(B, C)` of maps `(B, C, H, W)`."""
    return maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3))


def pooled_vector(maps: Tensor, pool: Literal["max", "mean"]) -> Tensor:
    """Unit vectors `(B, C)` of maps `(B, C, H, W)`."""
    return F.normalize(pooled(maps, pool), dim=1)
