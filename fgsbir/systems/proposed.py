"""The paper's system: cross-modal co-attention and hierarchical fusion, pair by pair."""

from __future__ import annotations

from typing import Literal

from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import Compatibility, NodeFusion, PairedHierarchy
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import Precision, TreeSystem


class Proposed(TreeSystem):
    """Cross-modal hierarchical modelling (Sain et al. 2020, slides 6 to 9).

    Stroke nodes and region nodes attend to each other and, in each branch, the two most compatible nodes
    fuse, until one node a branch is left; the distance of the last two is the distance of the pair.
    What the authors' released code computes instead is `BLocalisedCoattn` with `gate="product"`.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the released code.
        hidden: width of the spaces in which nodes are compared, d_h; 128 in the released code.
        gate: "concat" as in the slides, "product" as in the released main code.
        temperature: of the Gumbel softmax.
        compatibility: how nodes are compared for fusion: "cosine", "scaled" or "raw"; see `NodeFusion`.
        share_fusion: one fusion for both branches, as the framework figure says.
        attend_roots: co-attend once more between the two last nodes.
        normalise: scale the last nodes to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model; see `NodeSystem`.
        pyramid_dim: channels of each grid of the layout in those vectors, 0 for none; see `GlobalEmbedding`.
        region_grid: RoI align samples this many cells a side of each box.
        region_pool: how they become one vector.
        match_memory: limit for matching all pairs, in MiB.
        match_precision: of evaluation inside the matcher; its choices of nodes, its result and all training are
            float32. bfloat16 is about twice as fast where the processor has it; a tree may then differ where two
            choices are nearly equal.
        loss: over the pairs of a batch.
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
        dim: int = 512,
        hidden: int = 128,
        gate: Literal["concat", "product"] = "concat",
        temperature: float = 1.0,
        compatibility: Compatibility = "cosine",
        share_fusion: bool = True,
        attend_roots: bool = False,
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
        fusions = [NodeFusion(dim, hidden, temperature, compatibility) for _ in range(1 if share_fusion else 2)]
        super().__init__(
            backbone,
            RegionEncoder(backbone.region_channels, dim, region_grid, pool=region_pool),
            PairedHierarchy(fusions[0], fusions[-1], CoAttention(dim, hidden, gate), attend_roots),
            normalise,
            global_weight,
            pyramid_dim,
            match_memory,
            match_precision,
            loss,
            optimisation,
        )
