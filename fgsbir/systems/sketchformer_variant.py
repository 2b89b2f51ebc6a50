"""SketchFormer-Variant: a transformer and a network read the sketch, another network the photo."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from fgsbir.data.sample import SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import pooled_vector
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.sketchbert_variant import SketchBertVariant


class SketchFormerVariant(SketchBertVariant):
    """As `SketchBertVariant`, but the sketch is also read as an image (Sain et al. 2020, table 1, and their code).

    Args:
        backbone: network for photos; the network for sketch images starts as its copy.
        strokes: network for the path of the pen; the authors' settings by default.
        pool: how the last maps become one vector; "mean" in the authors' code.
        balanced: scale the transformer's vector to unit length like the network's. As published it is not, and with
            768 values of order one some fifty times longer.
        hidden: size of the layer that joins the two vectors; 512 in the authors' code.
        dropout: dropout after that layer.
        dim: size of the vectors; 64 in the authors' code.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        As for `SketchBertVariant`.
    """

    name = "SketchFormer-Variant"
    paper = "Ribeiro et al., CVPR 2020"

    def __init__(
        self,
        backbone: Backbone,
        strokes: StrokeTransformer | None = None,
        pool: Literal["max", "mean"] = "mean",
        balanced: bool = False,
        hidden: int = 512,
        dropout: float = 0.5,
        dim: int = 64,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(backbone, strokes, pool, dim, loss, optimisation)
        self.sketch_backbone, self.balanced = copy.deepcopy(backbone), balanced
        self.sketch_head = nn.Sequential(
            nn.Linear(self.strokes.dim + backbone.channels, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
        )

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        path = self.strokes(batch.points, batch.lengths)
        image = pooled_vector(self.sketch_backbone(batch.image), self.pool)
        both = torch.cat([F.normalize(path, dim=1) if self.balanced else path, image], 1)
        return VectorEncoding(F.normalize(self.sketch_head(both), dim=1))

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of both networks and of the transformer."""
        return [*self.sketch_backbone.parameters(), *super().backbone_parameters()]
