"""Layout-Siamese: our own variant of B-Siamese."""

from __future__ import annotations

from collections.abc import Sequence

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import GlobalEmbedding
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.siamese import SiameseSystem
from fgsbir.systems.vector_system import VectorSystem


class LayoutSiamese(SiameseSystem, VectorSystem):
    """One network for sketches and photos, one vector each, with a spatial pyramid that keeps what stands where.

    It is the global embedding of the node systems in the modern recipe, without their nodes. What they add to it is
    what strokes, regions, co-attention and hierarchy are worth.

    Args:
        backbone: network for sketches and photos.
        pyramid_dim: channels of each grid of the spatial pyramid; 0 makes this a B-Siamese with maximum pooling.
        grids: cells a side of each grid of the spatial pyramid.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.
    """

    name = "Layout-Siamese"
    paper = "–"

    def __init__(
        self,
        backbone: Backbone,
        pyramid_dim: int = 128,
        grids: Sequence[int] = (2, 3),
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone = backbone
        self.global_embedding = GlobalEmbedding(backbone, pyramid_dim, grids)

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return VectorEncoding(self.global_embedding(*self.backbone.both_levels(batch.image)))
