"""B-Siamese."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import pooled_vector
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.vector_system import VectorSystem


class BSiamese(VectorSystem):
    """One network for sketches and photos, one vector each (Sain et al. 2020, slide 10, and the authors' code).

    Args:
        backbone: shared by sketches and photos.
        pool: of the last map; "mean" in the authors' code.
        dim: size of a linear embedding on the pooled, normalised vector, 64 in the authors' code; `None` for none.
        loss: over the pairs of a batch.
        optimisation: optimiser and schedule.
    """

    name = "B-Siamese"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        pool: Literal["max", "mean"] = "mean",
        dim: int | None = 64,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone, self.pool = backbone, pool
        self.embed = nn.Linear(backbone.channels, dim) if dim else nn.Identity()

    def _encode(self, batch: SketchBatch | PhotoBatch) -> VectorEncoding:
        return VectorEncoding(F.normalize(self.embed(pooled_vector(self.backbone(batch.image), self.pool)), dim=1))

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(batch)

    def encode_photo(self, batch: PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(batch)
