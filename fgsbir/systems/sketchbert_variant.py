"""SketchBERT-Variant: a transformer reads the sketch, a network the photo."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import pooled_vector
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.vector_system import VectorSystem


class SketchBertVariant(VectorSystem):
    """A sketch is the path of a pen, a photo an image, one vector each (Sain et al. 2020, table 1, and their code).

    It needs `data.rendering.max_points` above 0.

    Args:
        backbone: network for photos.
        strokes: network for sketches; the authors' settings by default. Its `weights` may name a file that
            `fgsbir pretrain` wrote; the authors pre-train nothing.
        pool: how the photo's last maps become one vector; "mean" in the authors' code.
        dim: size of the vectors; 64 in the authors' code.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        Sketches are mirrored together with their photos; the authors mirror the photos alone. The distance is squared.
    """

    name = "SketchBERT-Variant"
    paper = "Lin et al., CVPR 2020"

    def __init__(
        self,
        backbone: Backbone,
        strokes: StrokeTransformer | None = None,
        pool: Literal["max", "mean"] = "mean",
        dim: int = 64,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone, self.strokes = backbone, strokes or StrokeTransformer()
        self.pool: Literal["max", "mean"] = pool
        self.sketch_head: nn.Module = nn.Linear(self.strokes.dim, dim)
        self.photo_head = nn.Linear(backbone.channels, dim)

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return VectorEncoding(F.normalize(self.sketch_head(self.strokes(batch.points, batch.lengths)), dim=1))

    def encode_photo(self, batch: PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        pooled = pooled_vector(self.backbone(batch.image), self.pool)
        return VectorEncoding(F.normalize(self.photo_head(pooled), dim=1))

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of the network and of the transformer, which may be pre-trained too."""
        return [*self.backbone.parameters(), *self.strokes.parameters()]
