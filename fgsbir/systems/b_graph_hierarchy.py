"""B-Graph-Hierarchy."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.diffpool import PairedDiffPool
from fgsbir.models.hierarchy import Level
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSystem, Precision


class BGraphHierarchy(NodeSystem):
    """The paper's model with soft clusters in place of its hierarchy (Sain et al. 2020, slide 10).

    The slide says that it is inspired by DiffPool (Ying et al. 2018). Nodes of sketch and photo co-attend and are
    pooled to a few clusters, level by level, until one node a branch is left; see `PairedDiffPool`.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the released code of the proposed model.
        hidden: width of the spaces in which nodes are compared, d_h; 128 there.
        gate: "concat" as in the slides, "product" as in the released main code.
        clusters: nodes that each level leaves, falling to 1.
        layers: of each graph network; 3 in RexYing's code.
        link_weight: of the Frobenius norm of A - S S^T in the loss, a mean over the pairs that were matched.
        entropy_weight: of the entropy of S, likewise.
        normalise: scale the last nodes to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model; see `NodeSystem`.
        pyramid_dim: channels of each grid of the layout in those vectors, 0 for none; see `GlobalEmbedding`.
        region_grid: RoI align samples this many cells a side of each box.
        region_pool: how they become one vector.
        match_memory: limit for matching all pairs, in MiB.
        match_precision: of evaluation inside the matcher; its result and all training are float32.
        loss: over the pairs of a batch.
        optimisation: optimiser and schedule.

    Raises:
        InputError: see `PairedDiffPool`; or for a negative weight.

    Deviations:
        No code of it was released: levels, edges, weights of the losses and the co-attention in between are our
        reading. The last node is the embedding, as in `Proposed`; DiffPool takes the maximum over the nodes of each
        level. Nodes are projected to `dim` and rectified, and `global_weight` above 0 is ours, as there.
    """

    name = "B-Graph-Hierarchy"
    paper = "Ying et al., NeurIPS 2018"

    def __init__(
        self,
        backbone: Backbone,
        dim: int = 512,
        hidden: int = 128,
        gate: Literal["concat", "product"] = "concat",
        clusters: tuple[int, ...] = (4, 1),
        layers: int = 3,
        link_weight: float = 0.1,
        entropy_weight: float = 0.1,
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
        for setting, weight in (("link_weight", link_weight), ("entropy_weight", entropy_weight)):
            if weight < 0:
                raise InputError(f"model.{setting}", f"{weight} is negative", "use e.g. 0.1, or 0 for none")
        super().__init__(
            backbone,
            RegionEncoder(backbone.region_channels, dim, region_grid, pool=region_pool),
            PairedDiffPool(dim, hidden, CoAttention(dim, hidden, gate), clusters, layers),
            normalise,
            global_weight,
            pyramid_dim,
            match_memory,
            match_precision,
            loss,
            optimisation,
        )
        self.link_weight, self.entropy_weight = link_weight, entropy_weight
        self._penalties: list[Tensor] = []
        """Of the pairs matched in training since `regulariser` was last read, `(P,)` each."""

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The last nodes of P pairs, `(P, d)` each; clusters are soft and leave no trace."""
        sketch, photo, link, entropy = matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts)
        if self.training:
            self._penalties.append(self.link_weight * link + self.entropy_weight * entropy)
        return sketch, photo

    def regulariser(self) -> Tensor | float:
        """Mean penalty of the clusters of all pairs that were matched since it was last read."""
        penalties, self._penalties = self._penalties, []
        return torch.cat(penalties).mean() if penalties else 0.0
