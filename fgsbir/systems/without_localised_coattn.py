"""w/o Localised-Coattn: the hierarchy without the other picture."""

from __future__ import annotations

from itertools import zip_longest
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.branch_hierarchy import BranchHierarchy
from fgsbir.models.hierarchy import Compatibility, Level, Merge, NodeFusion
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.retrieval.distances import VECTOR_DISTANCES, VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.explanation import Explanation, explain_pair
from fgsbir.systems.node_system import region_nodes, weighted_whole
from fgsbir.systems.vector_system import VectorSystem


class WithoutLocalisedCoattn(VectorSystem):
    """The ablation of table 2 (Sain et al. 2020): each branch climbs its hierarchy alone.

    No embedding then depends on a partner: a picture has one vector, and a gallery can be indexed once.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the released code.
        hidden: width of the space in which nodes are compared, d_h; 128 in the released code.
        temperature: of the Gumbel softmax.
        compatibility: how nodes are compared for fusion: "cosine", "scaled" or "raw"; see `NodeFusion`.
        share_fusion: one fusion for both branches, as the framework figure says.
        normalise: scale the last nodes to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model. Each of the two distances then has a loss of its own, that of whole pictures
            alone trains the backbone, and rankings mix them.
        pyramid_dim: channels of each grid of the layout in those vectors, 0 for none; see `GlobalEmbedding`.
        region_grid: RoI align samples this many cells a side of each box.
        region_pool: how they become one vector.
        loss: over the pairs of a batch.
        optimisation: optimiser and schedule.

    Deviations:
        The paper has no more than the name; nodes, fusion and distance are those of `Proposed`. In training
        the noise is drawn once a picture and step, for there is but one tree a picture.
    """

    name = "w/o Localised-Coattn"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        dim: int = 512,
        hidden: int = 128,
        temperature: float = 1.0,
        compatibility: Compatibility = "cosine",
        share_fusion: bool = True,
        normalise: bool = True,
        global_weight: float = 0.0,
        pyramid_dim: int = 0,
        region_grid: int = 7,
        region_pool: Literal["max", "mean"] = "max",
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone = backbone
        self.regions = RegionEncoder(backbone.region_channels, dim, region_grid, pool=region_pool)
        fusions = [NodeFusion(dim, hidden, temperature, compatibility) for _ in range(1 if share_fusion else 2)]
        self.sketch_hierarchy, self.photo_hierarchy = BranchHierarchy(fusions[0]), BranchHierarchy(fusions[-1])
        self.normalise, self.global_weight = normalise, global_weight
        self.whole = weighted_whole(backbone, global_weight, pyramid_dim)

    def matcher_parameters(self) -> list[nn.Parameter]:
        """Those of the fusions."""
        return list({p: None for h in (self.sketch_hierarchy, self.photo_hierarchy) for p in h.parameters()})

    def encode_sketch(self, batch: SketchBatch) -> VectorEncoding:
        """The root of each sketch's tree, `(B, D)`."""
        return self._encode(self.sketch_hierarchy, batch)

    def encode_photo(self, batch: PhotoBatch) -> VectorEncoding:
        """The root of each photo's tree, `(B, D)`."""
        return self._encode(self.photo_hierarchy, batch)

    def _encode(
        self, hierarchy: BranchHierarchy, batch: SketchBatch | PhotoBatch, trace: list[Merge] | None = None
    ) -> VectorEncoding:
        fine, last = self.backbone.both_levels(batch.image)
        nodes = region_nodes(self.regions, fine, batch, self.global_weight)
        with torch.autocast(nodes.device.type, enabled=False):  # no choice in half precision
            root = hierarchy(nodes, batch.mask.sum(1), trace)
        root = F.normalize(root, dim=1) if self.normalise else root
        if self.whole is None:
            return VectorEncoding(root)
        # Roots of the weights: the squared distance of the whole is then the weighted sum of both.
        whole = self.whole(fine, last).float()
        return VectorEncoding(torch.cat([(1 - self.global_weight) ** 0.5 * root, self.global_weight**0.5 * whole], 1))

    def pair_loss(self, sketches: VectorEncoding, photos: VectorEncoding, photo_ids: Tensor) -> Tensor:
        """The loss of the roots, plus that of the whole pictures where they have a weight."""
        parts = zip(self._parts(sketches), self._parts(photos), strict=True)
        return torch.stack([self.loss(VECTOR_DISTANCES, *part, photo_ids) for part in parts]).sum()

    def _parts(self, encoding: VectorEncoding) -> list[VectorEncoding]:
        """Root and whole, each without its weight."""
        root, whole = encoding.vector.tensor_split([self.regions.dim], dim=1)
        roots = VectorEncoding(root / (1 - self.global_weight) ** 0.5)
        return [roots, VectorEncoding(whole / self.global_weight**0.5)] if self.global_weight else [roots]

    @torch.no_grad()
    def explain_pictures(self, sketches: SketchBatch, photos: PhotoBatch) -> list[Explanation]:
        """Merge trees of P sketches and P photos, row by row; neither depends on the other."""
        traces: tuple[list[Merge], list[Merge]] = ([], [])
        self._encode(self.sketch_hierarchy, sketches, traces[0])
        self._encode(self.photo_hierarchy, photos, traces[1])
        counts = sketches.mask.sum(1), photos.mask.sum(1)
        levels = [Level(None, None, sketch, photo, *counts) for sketch, photo in zip_longest(*traces)]
        return [explain_pair(levels, pair) for pair in range(len(counts[0]))]
