"""SWIRE: a network for sketches and another for screens."""

from __future__ import annotations

import copy
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import pooled
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.vector_system import VectorSystem


class Swire(VectorSystem):
    """Two networks that share nothing, one vector each (Huang et al. 2019).

    Args:
        backbone: the photos' network; the sketches' starts as its copy. VGG-A with batch norm (`vgg11_bn`) in the
            original.
        pool: how the last maps become one vector.
        dim: size of the vectors; 64 in the original.
        loss: loss over the pairs of a batch; `ContrastiveLoss` in the original.
        optimisation: optimiser and schedule.

    Deviations:
        The last maps are pooled, with one dense layer to `dim`; VGG-A has two more of 4,096 between. Vectors have unit
        length, so that a margin means the same throughout training, and their distance is squared. The
        networks, the size and the loss follow a re-implementation; the original's code was not found.
    """

    name = "SWIRE"
    paper = "Huang et al., CHI 2019"

    def __init__(
        self,
        backbone: Backbone,
        pool: Literal["max", "mean"] = "mean",
        dim: int = 64,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.photo_backbone, self.sketch_backbone = backbone, copy.deepcopy(backbone)
        self.photo_head, self.sketch_head = (nn.Linear(backbone.channels, dim) for _ in range(2))
        self.pool: Literal["max", "mean"] = pool

    def _encode(self, backbone: nn.Module, head: nn.Module, images: Tensor) -> VectorEncoding:
        return VectorEncoding(F.normalize(head(pooled(backbone(images), self.pool)), dim=1))

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(self.sketch_backbone, self.sketch_head, batch.image)

    def encode_photo(self, batch: PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, D)`."""
        return self._encode(self.photo_backbone, self.photo_head, batch.image)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of both networks."""
        return [*self.sketch_backbone.parameters(), *self.photo_backbone.parameters()]
