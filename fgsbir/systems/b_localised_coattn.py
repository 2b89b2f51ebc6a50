"""B-Localised-Coattn."""

from __future__ import annotations

from typing import Literal

from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import AttendedMaximum
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSystem, Precision


class BLocalisedCoattn(NodeSystem):
    """The paper's model without its hierarchy: co-attention once, then the maximum over the nodes of each branch.

    The baseline of table 1 and, with the same scores, "w/o Hierarchy" of table 2 (Sain et al. 2020, slide 10;
    the authors' B-Localised_Co-attn code). With `gate="product"` it is what their released main code computes
    under the name of the proposed model.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the authors' code.
        hidden: width of the space in which nodes are compared, d_h; 128 in the authors' code.
        gate: "concat" as in the slides, "product" as in the released main code.
        normalise: scale the two vectors to unit length, as the authors' code does.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model; see `NodeSystem`.
        pyramid_dim: channels of each grid of the layout in those vectors, 0 for none; see `GlobalEmbedding`.
        region_grid: RoI align samples this many cells a side of each box.
        region_pool: how they become one vector.
        match_memory: limit for matching all pairs, in MiB.
        match_precision: of evaluation inside the matcher; its result and all training are float32.
        loss: over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        As `Proposed`: nodes are projected to `dim` and rectified, and `global_weight` above 0 is ours.
    """

    name = "B-Localised-Coattn"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        dim: int = 512,
        hidden: int = 128,
        gate: Literal["concat", "product"] = "concat",
        normalise: bool = True,
        global_weight: float = 0.0,
        pyramid_dim: int = 0,
        region_grid: int = 7,
        region_pool: Literal["max", "mean"] = "max",
        match_memory: int = 256,
        match_precision: Precision = "float32",
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(
            backbone,
            RegionEncoder(backbone.region_channels, dim, region_grid, pool=region_pool),
            AttendedMaximum(CoAttention(dim, hidden, gate)),
            normalise,
            global_weight,
            pyramid_dim,
            match_memory,
            match_precision,
            loss,
            optimisation,
        )
