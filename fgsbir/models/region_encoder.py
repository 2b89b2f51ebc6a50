"""Feature map and boxes to one vector a region."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align


class RegionEncoder(nn.Module):
    """Map projected to d channels, RoI align, pooled to one vector a region (Sain et al. 2020, slide 6: "RoI Pool").

    Boxes come in [0, 1] and are scaled by the map's own height and width, so the geometry is exact for
    every input size and stride. Rounded scales would move boxes against the pixels.

    Args:
        channels: channels of the feature map, C.
        dim: size of a node, d; `None` leaves the map as it is (d = C).
        output_size: cells a side that RoI align samples in each box.
        sampling_ratio: samples in each cell along each axis.
        pool: how the cells become one vector.

    Deviations:
        The projection to d is ours: it decouples the cost of matching from the backbone's width. It comes
        before the pooling, whose cost grows with the channels.
    """

    def __init__(
        self,
        channels: int,
        dim: int | None = None,
        output_size: int = 7,
        sampling_ratio: int = 2,
        pool: Literal["max", "mean"] = "max",
    ) -> None:
        super().__init__()
        self.output_size, self.sampling_ratio, self.pool = output_size, sampling_ratio, pool
        self.dim = dim or channels
        self.project = nn.Conv2d(channels, dim, 1) if dim else nn.Identity()

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # the number of real boxes changes with every batch
    def forward(self, maps: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        """Nodes `(B, N, d)`, zero where `mask` is False.

        Args:
            maps: `(B, C, H, W)`.
            boxes: `(B, N, 4)` as `(x1, y1, x2, y2)` in [0, 1] of the image.
            mask: `(B, N)`, True where a box is real.
        """
        maps = self.project(maps)
        height, width = maps.shape[-2:]
        image, _ = mask.nonzero(as_tuple=True)
        scale = boxes.new_tensor([width, height, width, height])
        rois = torch.cat([image[:, None].to(boxes), boxes[mask] * scale], dim=1)
        # RoI align has no bf16 kernel on every device, and costs little.
        cells = roi_align(
            maps.float().contiguous(), rois.float(), self.output_size, sampling_ratio=self.sampling_ratio, aligned=True
        )
        vectors = cells.amax((2, 3)) if self.pool == "max" else cells.mean((2, 3))
        nodes: Tensor = vectors.new_zeros(*mask.shape, vectors.shape[-1])
        nodes[mask] = vectors
        return nodes
