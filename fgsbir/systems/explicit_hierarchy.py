"""Explicit Hierarchy: boxes that contain boxes decide what is fused when."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.explicit_hierarchy import OrderedHierarchy
from fgsbir.models.hierarchy import Level
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.regions.containment import containment_parents, merge_order
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import Precision, TreeSystem


class OrderedEncoding(NamedTuple):
    """A set of nodes a picture, the order of their fusion, and a vector of the whole picture.

    Attributes:
        nodes: `(B, N, d)`, real nodes first.
        counts: `(B,)`, number of real nodes n, at least 1.
        merges: `(B, N - 1, 2)`, pairs of node numbers; merge k makes node n + k, the first n - 1 count.
        vector: `(B, D)`; D = 0 where it has no weight.
    """

    nodes: Tensor
    counts: Tensor
    merges: Tensor
    vector: Tensor


class ExplicitHierarchy(TreeSystem):
    """The ablation of table 2 (Sain et al. 2020, slides 12 and 13): the hierarchy of containment, not of a choice.

    The boxes of strokes, and of regions, form a tree, in which large boxes hold smaller ones. Its nodes are fused
    bottom-up (`fgsbir.regions.containment`), with co-attention before every fusion as in `Proposed`. The paper
    uses it on screens, whose parts are boxes within boxes.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the released code.
        hidden: width of the space in which co-attention compares nodes, d_h; 128 in the released code.
        gate: "concat" as in the slides, "product" as in the released main code.
        tolerance: a box may stick out of its parent this far, in [0, 1] of the picture. Hands are inexact.
        share_fusion: one fusion for both branches, as the framework figure says.
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
        InputError: if the tolerance is out of range.

    Deviations:
        Slides and released code show the tree but not how it enters the model: fusing it bottom-up is our reading.
        Otherwise as `Proposed`.
    """

    name = "Explicit Hierarchy"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        dim: int = 512,
        hidden: int = 128,
        gate: Literal["concat", "product"] = "concat",
        tolerance: float = 0.0,
        share_fusion: bool = True,
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
        if not 0 <= tolerance < 1:
            raise InputError("model.tolerance", f"{tolerance} is not in [0, 1)", "use e.g. 0.02")
        super().__init__(
            backbone,
            RegionEncoder(backbone.region_channels, dim, region_grid, pool=region_pool),
            OrderedHierarchy(dim, CoAttention(dim, hidden, gate), share_fusion),
            normalise,
            global_weight,
            pyramid_dim,
            match_memory,
            match_precision,
            loss,
            optimisation,
        )
        self.tolerance = tolerance

    def _encode(self, batch: SketchBatch | PhotoBatch) -> OrderedEncoding:
        nodes, counts, vector = super()._encode(batch)
        return OrderedEncoding(nodes, counts, containment_merges(batch.boxes, batch.mask, self.tolerance), vector)

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Root nodes of P pairs, `(P, d)` each."""
        counts, merges = (sketches.counts, photos.counts), (sketches.merges, photos.merges)
        out: tuple[Tensor, Tensor] = matcher(sketches.nodes, photos.nodes, *counts, *merges, trace)
        return out


def containment_merges(boxes: Tensor, mask: Tensor, tolerance: float) -> Tensor:
    """The order in which the containment trees of B pictures fuse their nodes, `(B, N - 1, 2)`.

    Args:
        boxes: `(B, N, 4)`.
        mask: `(B, N)`, True where a box is real; the real ones come first.
        tolerance: see `containment_parents`.
    """
    out = np.zeros((boxes.shape[0], boxes.shape[1] - 1, 2), dtype=np.int64)
    for picture, (some, real) in enumerate(zip(boxes.float().cpu().numpy(), mask.cpu().numpy(), strict=True)):
        order = merge_order(containment_parents(some[real], tolerance))
        out[picture, : len(order)] = order
    return torch.from_numpy(out).to(boxes.device)
