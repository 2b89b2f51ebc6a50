"""Layout-Siamese: our own variant of B-Siamese."""

from __future__ import annotations

from collections.abc import Sequence

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import GlobalEmbedding
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.vector_system import VectorSystem


class LayoutSiamese(VectorSystem):
    """One network for sketches and photos, one vector each, which keeps what stands where.

    It is the part that whole pictures play in the node systems of the modern recipe, without any nodes: what those
    add to it is what strokes, regions, co-attention and hierarchy are worth.

    Args:
        backbone: shared by sketches and photos.
        pyramid_dim: channels of each grid of the layout; 0 makes this a B-Siamese with maximum pooling.
        grids: fields a side, of each grid of the layout.
        loss: over the pairs of a batch.
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
        self.whole = GlobalEmbedding(backbone, pyramid_dim, grids)

    def _encode(self, batch: SketchBatch | PhotoBatch) -> VectorEncoding:
        return VectorEncoding(self.whole(*self.backbone.both_levels(batch.image)))

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(batch)

    def encode_photo(self, batch: PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(batch)
