"""Maps of a whole picture to one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone


class WholePicture(nn.Module):
    """One unit vector of a whole picture: what it shows and, if asked for, where.

    The maximum over the last map says what is there; all places are forgotten. The layout keeps them, coarsely: the
    finer map, projected and rectified, and its maximum in each field of a grid over the picture. Sketch and photo of a
    fine-grained pair show the same thing from the same side, so a part is compared with what stands in its place.
    The squared distance of two such vectors is the mean of that of the maxima and that of the layouts.

    Args:
        backbone: whose maps it reads; the layout is taken from those of `region_level`.
        layout_dim: channels of the layout; 0 for none.
        grid: fields of the layout, a side.

    Raises:
        InputError: for a negative `layout_dim`, or a grid without fields.
    """

    def __init__(self, backbone: Backbone, layout_dim: int = 0, grid: int = 3) -> None:
        super().__init__()
        if layout_dim < 0:
            raise InputError("model.layout_dim", f"{layout_dim} is negative", "use e.g. 128, or 0 for no layout")
        if grid < 1:
            raise InputError("model.grid", f"{grid} is not positive", "use e.g. 3")
        self.grid = grid
        self.project = nn.Conv2d(backbone.region_channels, layout_dim, 1) if layout_dim else None

    def forward(self, fine: Tensor, last: Tensor) -> Tensor:
        """Unit vectors `(B, D)`.

        Args:
            fine: `(B, C, H, W)`, of the backbone's `region_level`.
            last: `(B, D, H', W')`.
        """
        what = pooled_vector(last, "max")
        if self.project is None:
            return what
        where = F.adaptive_max_pool2d(F.relu(self.project(fine)), self.grid).flatten(1)
        both: Tensor = torch.cat([what, F.normalize(where, dim=1)], dim=1) * 0.5**0.5
        return both


def pooled_vector(maps: Tensor, pool: Literal["max", "mean"]) -> Tensor:
    """Unit vectors `(B, C)` of maps `(B, C, H, W)`."""
    return F.normalize(maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3)), dim=1)
