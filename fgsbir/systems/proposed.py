"""The paper's system: cross-modal co-attention and hierarchical fusion, pair by pair."""

from __future__ import annotations

from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.hierarchy import Compatibility, NodeFusion, PairedHierarchy
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings, TreeSystem


class Proposed(TreeSystem):
    """Cross-modal hierarchical modelling (Sain et al. 2020, slides 6 to 9).

    Stroke nodes and region nodes attend to each other and, in each branch, the two most compatible nodes
    fuse, until one node a branch is left; the distance of the last two is the distance of the pair.
    What the authors' released code computes instead is `BLocalisedCoattn` with the gate "product".

    Args:
        backbone: network for sketches and photos.
        nodes: settings of the nodes and their matching.
        temperature: temperature of the Gumbel softmax.
        compatibility: how nodes are compared for fusion: "cosine", "scaled" or "raw"; see `NodeFusion`.
        share_fusion: one fusion for both branches, as the framework figure says.
        attend_roots: one more co-attention, between the two last nodes.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        Nodes are projected to `dim` and rectified; the paper takes the backbone's own, rectified, channels.
        `global_weight` above 0 is ours.
    """

    name = "Proposed"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 (frozen)
        temperature: float = 1.0,
        compatibility: Compatibility = "cosine",
        share_fusion: bool = True,
        attend_roots: bool = False,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        branches = range(1 if share_fusion else 2)
        fusions = [NodeFusion(nodes.dim, nodes.hidden, temperature, compatibility) for _ in branches]
        regions = nodes.region_encoder(backbone)
        matcher = PairedHierarchy(fusions[0], fusions[-1], nodes.coattention(), attend_roots)
        super().__init__(backbone, nodes, regions, matcher, loss, optimisation)
