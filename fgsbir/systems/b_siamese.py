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
from fgsbir.systems.siamese import SiameseSystem
from fgsbir.systems.vector_system import VectorSystem


class BSiamese(SiameseSystem, VectorSystem):
    """One network for sketches and photos, one vector each (Sain et al. 2020, slide 10, and the authors' code).

    Args:
        backbone: network for sketches and photos.
        pool: how the last map becomes one vector; "mean" in the authors' code.
        dim: size of a linear embedding on the pooled, normalised vector, 64 in the authors' code; `None` for none.
        loss: loss over the pairs of a batch.
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

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return VectorEncoding(F.normalize(self.embed(pooled_vector(self.backbone(batch.image), self.pool)), dim=1))
