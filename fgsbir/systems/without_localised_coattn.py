"""w/o Localised-Coattn: the hierarchy of an image without its partner."""

from __future__ import annotations

from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.branch_hierarchy import BranchHierarchy
from fgsbir.models.hierarchy import Compatibility, Level, Merge, NodeFusion
from fgsbir.retrieval.distances import VECTOR_DISTANCES, VectorEncoding
from fgsbir.systems.base import Optimisation
from fgsbir.systems.explanation import Explanation, explain_pair
from fgsbir.systems.node_system import NodeSettings, region_nodes
from fgsbir.systems.vector_system import VectorSystem


class WithoutLocalisedCoattn(VectorSystem):
    """The ablation of table 2 (Sain et al. 2020): each branch climbs its hierarchy alone.

    No embedding then depends on a partner: an image has one vector, and a gallery can be indexed.

    Args:
        backbone: network for sketches and photos.
        nodes: settings of the nodes. There is no co-attention and no matching of pairs, so `match_memory` and
            `match_precision` have no effect.
        temperature: temperature of the Gumbel softmax.
        compatibility: how nodes are compared for fusion: "cosine", "scaled" or "raw"; see `NodeFusion`.
        share_fusion: one fusion for both branches, as the framework figure says.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Raises:
        InputError: for a `gate`, which only co-attention has.

    Deviations:
        The paper has no more than the name; nodes, fusion and distance are as in `Proposed`. In training
        the noise is drawn once an image and step, because each image has one tree.
    """

    name = "w/o Localised-Coattn"
    paper = "Sain et al., BMVC 2020"

    def __init__(
        self,
        backbone: Backbone,
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 (frozen)
        temperature: float = 1.0,
        compatibility: Compatibility = "cosine",
        share_fusion: bool = True,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        if nodes.gate != NodeSettings.gate:
            raise InputError("model.nodes.gate", "this system has no co-attention", "leave it out")
        super().__init__(loss, optimisation)
        self.backbone = backbone
        self.regions = nodes.region_encoder(backbone)
        branches = range(1 if share_fusion else 2)
        fusions = [NodeFusion(nodes.dim, nodes.hidden, temperature, compatibility) for _ in branches]
        self.sketch_hierarchy, self.photo_hierarchy = BranchHierarchy(fusions[0]), BranchHierarchy(fusions[-1])
        self.normalise, self.global_weight = nodes.normalise, nodes.global_weight
        self.global_embedding = nodes.global_embedding(backbone)

    def matcher_parameters(self) -> list[nn.Parameter]:
        """Parameters of the fusions."""
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
        if self.global_embedding is None:
            return VectorEncoding(root)
        # With the square roots of the weights, the squared distance of the concatenation is the weighted sum of both.
        vector = self.global_embedding(fine, last).float()
        return VectorEncoding(torch.cat([(1 - self.global_weight) ** 0.5 * root, self.global_weight**0.5 * vector], 1))

    def pair_loss(self, sketches: VectorEncoding, photos: VectorEncoding, photo_ids: Tensor) -> Tensor:
        """The loss of the roots, plus the loss of the global embeddings if they have a weight."""
        parts = zip(self._parts(sketches), self._parts(photos), strict=True)
        return torch.stack([self.loss(VECTOR_DISTANCES, *part, photo_ids) for part in parts]).sum()

    def _parts(self, encoding: VectorEncoding) -> list[VectorEncoding]:
        """Root and global embedding, each without its weight."""
        root, vector = encoding.vector.tensor_split([self.regions.dim], dim=1)
        roots = VectorEncoding(root / (1 - self.global_weight) ** 0.5)
        return [roots, VectorEncoding(vector / self.global_weight**0.5)] if self.global_weight else [roots]

    @torch.no_grad()
    def explain_images(self, sketches: SketchBatch, photos: PhotoBatch) -> list[Explanation]:
        """Merge trees of P sketches and P photos, row by row; neither depends on the other."""
        traces: tuple[list[Merge], list[Merge]] = ([], [])
        self._encode(self.sketch_hierarchy, sketches, traces[0])
        self._encode(self.photo_hierarchy, photos, traces[1])
        counts = sketches.mask.sum(1), photos.mask.sum(1)
        levels = [Level(None, None, sketch, photo, *counts) for sketch, photo in zip_longest(*traces)]
        return [explain_pair(levels, pair) for pair in range(len(counts[0]))]
