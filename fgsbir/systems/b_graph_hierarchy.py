"""B-Graph-Hierarchy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.diffpool import PairedDiffPool
from fgsbir.models.hierarchy import Level
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings, NodeSystem


class BGraphHierarchy(NodeSystem):
    """The paper's model with soft clusters in place of its hierarchy (Sain et al. 2020, slide 10).

    The slide says that it is inspired by DiffPool (Ying et al. 2018). Nodes of sketch and photo co-attend and are
    pooled to a few clusters, level by level, until one node a branch is left; see `PairedDiffPool`.

    Args:
        backbone: network for sketches and photos.
        nodes: settings of the nodes and their matching.
        clusters: number of nodes after each level, falling to 1.
        layers: layers of each graph network; 3 in RexYing's code.
        link_weight: weight of the Frobenius norm of A - S S^T in the loss, a mean over the pairs that were matched.
        entropy_weight: weight of the entropy of S in the loss, a mean over the same pairs.
        loss: loss over the pairs of a batch.
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
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 (frozen)
        clusters: tuple[int, ...] = (4, 1),
        layers: int = 3,
        link_weight: float = 0.1,
        entropy_weight: float = 0.1,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        for setting, weight in (("link_weight", link_weight), ("entropy_weight", entropy_weight)):
            if weight < 0:
                raise InputError(f"model.{setting}", f"{weight} is negative", "use e.g. 0.1, or 0 for none")
        regions = nodes.region_encoder(backbone)
        matcher = PairedDiffPool(nodes.dim, nodes.hidden, nodes.coattention(), clusters, layers)
        super().__init__(backbone, nodes, regions, matcher, loss, optimisation)
        self.link_weight, self.entropy_weight = link_weight, entropy_weight
        self._penalties: list[Tensor] = []
        """Penalties of the pairs matched in training since `regulariser` was last called, `(P,)` each."""

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The last nodes of P pairs, `(P, d)` each; clusters are soft and leave no trace."""
        sketch, photo, link, entropy = matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts)
        if self.training:
            self._penalties.append(self.link_weight * link + self.entropy_weight * entropy)
        return sketch, photo

    def regulariser(self) -> Tensor | float:
        """Mean penalty of the clusters over all pairs matched since the last call."""
        penalties, self._penalties = self._penalties, []
        return torch.cat(penalties).mean() if penalties else 0.0
