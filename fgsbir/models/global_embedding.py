"""Maps of a whole picture to one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone


class GlobalEmbedding(nn.Module):
    """One unit vector of a whole picture: what it shows and, if asked for, where.

    The maximum over the last map says what is there; all places are forgotten. The layout keeps them, coarsely: the
    finer map, projected and rectified, and its maximum in each field of some grids over the picture, each grid with a
    projection of its own (a pyramid as that of Lazebnik et al., CVPR 2006). Sketch and photo of a fine-grained pair
    show the same thing from the same side, so a part is compared with what stands in its place. The squared distance
    of two such vectors is the mean of that of the maxima and that of the layouts, in which all grids weigh the same.

    Args:
        backbone: whose maps it reads; the layout is taken from those of `region_level`.
        pyramid_dim: channels of each grid of the layout; 0 for none.
        grids: fields a side, of each grid.

    Raises:
        InputError: for a negative `pyramid_dim`, or a grid without fields.
    """

    def __init__(self, backbone: Backbone, pyramid_dim: int = 0, grids: Sequence[int] = (2, 3)) -> None:
        super().__init__()
        if pyramid_dim < 0:
            raise InputError("model.pyramid_dim", f"{pyramid_dim} is negative", "use e.g. 128, or 0 for no layout")
        if not grids or min(grids) < 1:
            raise InputError("model.grids", f"{list(grids)} has a grid without fields", "use e.g. [2, 3]")
        self.grids = tuple(grids)
        channels = pyramid_dim * len(self.grids)
        self.project = nn.Conv2d(backbone.region_channels, channels, 1) if pyramid_dim else None

    def forward(self, fine: Tensor, last: Tensor) -> Tensor:
        """Unit vectors `(B, D)`.

        Args:
            fine: `(B, C, H, W)`, of the backbone's `region_level`.
            last: `(B, D, H', W')`.
        """
        what = pooled_vector(last, "max")
        if self.project is None:
            return what
        maps = F.relu(self.project(fine)).chunk(len(self.grids), dim=1)
        where = [F.adaptive_max_pool2d(m, grid).flatten(1) for m, grid in zip(maps, self.grids, strict=True)]
        layout = torch.cat([F.normalize(fields, dim=1) for fields in where], dim=1) / len(where) ** 0.5
        both: Tensor = torch.cat([what, layout], dim=1) * 0.5**0.5
        return both


def pooled_vector(maps: Tensor, pool: Literal["max", "mean"]) -> Tensor:
    """Unit vectors `(B, C)` of maps `(B, C, H, W)`."""
    return F.normalize(maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3)), dim=1)
