"""Triplet-Attn-SN: Triplet-SN with spatial attention, coarse and fine vectors, and a second-order distance."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fgsbir.losses import PairLoss
from fgsbir.models.holef import Holef
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.models.spatial_attention import SpatialAttention
from fgsbir.systems.base import Optimisation
from fgsbir.systems.triplet_sn import TripletSN


class TripletAttnSN(TripletSN):
    """Deep spatial-semantic attention on Triplet-SN (Song et al. 2017; Deep_SBIR_tf's triplet_sbir_train.py).

    The attended map, summed over its positions, is the fine vector; what the dense layers make of it is the coarse one.
    Both have unit length and stand side by side, so squared distances go up to 8, and a contrastive loss sees the
    sum of two cosines.

    Args:
        backbone: network for sketches and photos. In the original its first four convolutions are frozen.
        distance: "holef", the paper's, which learns W near the identity and may become negative (see `Holef`);
            "euclidean", squared, as in the released code.
        regularisation: weight of HOLEF's distance from the identity in the loss.
        crop: side of a view as a share of the image's; 225 of 256 pixels in the original.
        crops: number of views in evaluation, 10, or 1 for the centre alone.
        flip: probability that a crop is mirrored in training, of sketch and photo each on its own.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        HOLEF and its weight, 5e-4, follow memory of the paper: its released code has neither. See also `TripletSN`
        and `Holef`.
    """

    name = "Triplet-Attn-SN"
    paper = "Song et al., ICCV 2017"

    def __init__(
        self,
        backbone: SketchANet,
        distance: Literal["holef", "euclidean"] = "holef",
        regularisation: float = 5e-4,
        crop: float = 225 / 256,
        crops: Literal[1, 10] = 10,
        flip: float = 0.5,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(backbone, crop, crops, flip, loss, optimisation)
        self.attention = SpatialAttention(backbone.channels)
        self.holef = Holef(backbone.channels + backbone.dim) if distance == "holef" else None
        self.regularisation = regularisation

    def embed(self, images: Tensor) -> Tensor:
        """Fine and coarse unit vectors side by side, `(B, 512)`, of images `(B, 3, H, W)` of one view."""
        maps = self.attention(self.backbone.maps(images))
        fine, coarse = maps.sum((2, 3)), self.backbone.head(maps)
        return torch.cat([F.normalize(fine, dim=1), F.normalize(coarse, dim=1)], dim=1)

    def view_distance(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Distances `(...)` of vectors `(..., D)`, row by row."""
        return super().view_distance(sketches, photos) if self.holef is None else self.holef(sketches, photos)

    def view_distances(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Distances `(Q, G)` of vectors `(Q, D)` and `(G, D)`."""
        if self.holef is None:
            return super().view_distances(sketches, photos)
        return self.holef.all_pairs(sketches, photos)

    def regulariser(self) -> Tensor | float:
        """Keeps HOLEF near the Euclidean distance."""
        return 0.0 if self.holef is None else self.regularisation * self.holef.penalty()
