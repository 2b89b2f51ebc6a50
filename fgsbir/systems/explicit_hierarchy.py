"""Explicit Hierarchy: boxes that contain boxes decide what is fused when."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.explicit_hierarchy import OrderedHierarchy
from fgsbir.models.hierarchy import Level
from fgsbir.regions.containment import containment_parents, merge_order
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings, TreeSystem


class OrderedEncoding(NamedTuple):
    """The nodes of each image, the order of their fusion, and its global embedding.

    Attributes:
        nodes: `(B, N, d)`, real nodes first.
        counts: `(B,)`, number of real nodes n, at least 1.
        merges: `(B, N - 1, 2)`, pairs of node numbers; merge k makes node n + k, the first n - 1 count.
        vector: `(B, D)`; D = 0 if it has no weight.
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
        backbone: network for sketches and photos.
        nodes: settings of the nodes and their matching.
        tolerance: how far a box may stick out of its parent, in [0, 1] of the image; hand-drawn boxes are inexact.
        share_fusion: one fusion for both branches, as the framework figure says.
        loss: loss over the pairs of a batch.
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
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 (frozen)
        tolerance: float = 0.0,
        share_fusion: bool = True,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        if not 0 <= tolerance < 1:
            raise InputError("model.tolerance", f"{tolerance} is not in [0, 1)", "use e.g. 0.02")
        regions = nodes.region_encoder(backbone)
        matcher = OrderedHierarchy(nodes.dim, nodes.coattention(), share_fusion)
        super().__init__(backbone, nodes, regions, matcher, loss, optimisation)
        self.tolerance = tolerance

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> OrderedEncoding:
        """One node a stroke or region, and the order in which they fuse."""
        nodes, counts, vector = super().encode_image(batch)
        return OrderedEncoding(nodes, counts, containment_merges(batch.boxes, batch.mask, self.tolerance), vector)

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Root nodes of P pairs, `(P, d)` each."""
        counts, merges = (sketches.counts, photos.counts), (sketches.merges, photos.merges)
        out: tuple[Tensor, Tensor] = matcher(sketches.nodes, photos.nodes, *counts, *merges, trace)
        return out


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch 2.4 cannot trace its NumPy code
def containment_merges(boxes: Tensor, mask: Tensor, tolerance: float) -> Tensor:
    """The order in which the containment trees of B images fuse their nodes, `(B, N - 1, 2)`.

    Args:
        boxes: `(B, N, 4)`.
        mask: `(B, N)`, True where a box is real; the real ones come first.
        tolerance: see `containment_parents`.
    """
    out = np.zeros((boxes.shape[0], boxes.shape[1] - 1, 2), dtype=np.int64)
    for image, (some, real) in enumerate(zip(boxes.float().cpu().numpy(), mask.cpu().numpy(), strict=True)):
        order = merge_order(containment_parents(some[real], tolerance))
        out[image, : len(order)] = order
    return torch.from_numpy(out).to(boxes.device)
