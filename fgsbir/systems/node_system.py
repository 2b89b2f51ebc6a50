"""Systems that turn an image into one node a stroke or region and match the nodes pair by pair."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.global_embedding import GlobalEmbedding
from fgsbir.models.hierarchy import Level
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.retrieval.distances import (
    VECTOR_DISTANCES,
    Distances,
    NodeEncoding,
    elementwise_distance,
    paired_distances,
    pairs_in_memory,
    pairwise_distance,
)
from fgsbir.systems.base import Optimisation
from fgsbir.systems.explanation import Explanation, explain_pair
from fgsbir.systems.precision import has_bfloat16, tell_once
from fgsbir.systems.siamese import SiameseSystem


@dataclass(frozen=True)
class NodeSettings:
    """Settings that all systems of stroke and region nodes share.

    Args:
        dim: size of a node, d; 512 in the authors' code.
        hidden: size of the space in which nodes are compared, d_h; 128 in the authors' code.
        gate: gate of the co-attention; "concat" as in the slides, "product" as in the authors' released main code.
        normalise: scale the last two vectors to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of the distance between global embeddings in the distance of a pair, in [0, 1); 0 is the
            paper's model. Above 0 each of the two distances has a loss of its own, and the backbone learns from the
            loss of global embeddings alone.
        pyramid_dim: channels of each grid of the spatial pyramid in the global embedding, 0 for none; see
            `GlobalEmbedding`.
        region_grid: cells a side that RoI align samples in each box.
        region_pool: how these cells become one vector.
        match_memory: memory limit for matching all pairs, in MiB.
        match_precision: matcher precision in evaluation. Merge decisions, distances and training stay float32.
            bfloat16 is about twice as fast; a tree may then differ if two choices are nearly equal. On a processor
            without bfloat16 instructions, where it is several times slower, float32 is used instead and a line says so.

    Raises:
        InputError: if `global_weight` is out of range, or 0 with a spatial pyramid.
    """

    dim: int = 512
    hidden: int = 128
    gate: Literal["concat", "product"] = "concat"
    normalise: bool = True
    global_weight: float = 0.0
    pyramid_dim: int = 0
    region_grid: int = 7
    region_pool: Literal["max", "mean"] = "max"
    match_memory: int = 256
    match_precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if not 0 <= self.global_weight < 1:
            raise InputError("model.nodes.global_weight", f"{self.global_weight} is not in [0, 1)", "use e.g. 0.85")
        if self.pyramid_dim and not self.global_weight:
            problem = "global embeddings have no weight, so their spatial pyramid has no effect"
            raise InputError("model.nodes.pyramid_dim", problem, "set model.nodes.global_weight above 0, or use 0")

    def region_encoder(self, backbone: Backbone) -> RegionEncoder:
        """A new layer from maps and boxes to nodes."""
        return RegionEncoder(backbone.region_channels, self.dim, self.region_grid, pool=self.region_pool)

    def coattention(self) -> CoAttention:
        """A new co-attention between the branches."""
        return CoAttention(self.dim, self.hidden, self.gate)

    def global_embedding(self, backbone: Backbone) -> GlobalEmbedding | None:
        """A new global embedding; None if it has no weight."""
        return GlobalEmbedding(backbone, self.pyramid_dim) if self.global_weight else None


class NodeSystem(SiameseSystem):
    """Base of the systems whose embeddings exist for a pair only.

    An image becomes one node a stroke or region. `matcher` turns the nodes of a pair into one vector a branch, and
    their squared Euclidean distance is the distance of the pair.

    Args:
        backbone: network for sketches and photos.
        nodes: settings of the nodes and their matching.
        regions: layer from maps and boxes to nodes.
        matcher: the paired model; see `roots`.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.
    """

    def __init__(
        self,
        backbone: Backbone,
        nodes: NodeSettings,
        regions: RegionEncoder,
        matcher: nn.Module,
        loss: PairLoss | None,
        optimisation: Optimisation,
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone, self.regions, self.matcher = backbone, regions, matcher
        self.normalise, self.global_weight = nodes.normalise, nodes.global_weight
        self.global_embedding = nodes.global_embedding(backbone)
        self.match_memory = nodes.match_memory
        self.match_precision: Literal["float32", "bfloat16"] = nodes.match_precision

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> Any:
        """One node a stroke or region."""
        fine, last = self.backbone.both_levels(batch.image)
        nodes = region_nodes(self.regions, fine, batch, self.global_weight)
        vector = self.global_embedding(fine, last) if self.global_embedding else nodes.new_zeros(len(nodes), 0)
        return NodeEncoding(nodes, batch.mask.sum(1), vector)

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """What `matcher` (ours, or a copy in another precision) makes of P pairs, `(P, d)` each."""
        out: tuple[Tensor, Tensor] = matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts, trace)
        return out

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of P pairs, `(P,)`: the weighted mean of those between paired and between global embeddings."""
        return self._mix(self.match_nodes(sketches, photos), elementwise_distance(sketches, photos))

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of all pairs, `(Q, G)`; see `match`."""
        return self._mix(self.match_all_nodes(sketches, photos), pairwise_distance(sketches, photos))

    def match_nodes(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(P,)`."""
        return self._paired_distance(self.matcher, sketches, photos)

    def match_all_nodes(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(Q, G)`."""
        matcher, nodes = self.matcher, [sketches.nodes, photos.nodes]
        if self.match_precision == "bfloat16" and not self.training:
            if has_bfloat16(nodes[0].device):
                matcher = copy.deepcopy(matcher).bfloat16()
                nodes = [n.bfloat16() for n in nodes]
            else:
                tell_once("model.nodes.match_precision: no bfloat16 instructions on this processor; using float32")
        return paired_distances(
            partial(self._paired_distance, matcher),
            sketches._replace(nodes=nodes[0]),
            photos._replace(nodes=nodes[1]),
            pairs_in_memory(self.match_memory, nodes[0].shape[1] + nodes[1].shape[1], nodes[0].shape[2]),
            shown=not self.training,
        )

    def pair_loss(self, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """The loss of the paired embeddings, plus the loss of the global embeddings if they have a weight."""
        encoded = sketches, photos, photo_ids
        loss: Tensor = self.loss(Distances(self.match_nodes, self.match_all_nodes), *encoded)
        return loss + self.loss(VECTOR_DISTANCES, *encoded) if self.global_weight else loss

    def _mix(self, paired: Tensor, between_global: Tensor) -> Tensor:
        return (1 - self.global_weight) * paired + self.global_weight * between_global

    def _paired_distance(self, matcher: nn.Module, sketches: Any, photos: Any) -> Tensor:
        sketch, photo = (root.float() for root in self.roots(matcher, sketches, photos))
        if self.normalise:
            sketch, photo = F.normalize(sketch, dim=1), F.normalize(photo, dim=1)
        return (sketch - photo).square().sum(1)


class TreeSystem(NodeSystem):
    """A `NodeSystem` whose matcher merges nodes, two at a time, until one is left."""

    @torch.no_grad()
    def explain(self, sketches: Any, photos: Any) -> list[Explanation]:
        """Merge trees and attention of P pairs of encodings."""
        trace: list[Level] = []
        self.roots(self.matcher, sketches, photos, trace)
        return [explain_pair(trace, pair) for pair in range(len(sketches.counts))]

    @torch.no_grad()
    def explain_images(self, sketches: SketchBatch, photos: PhotoBatch) -> list[Explanation]:
        """Merge trees and attention of P sketches and P photos, row by row."""
        return self.explain(self.encode_sketch(sketches), self.encode_photo(photos))


def region_nodes(regions: RegionEncoder, maps: Tensor, batch: SketchBatch | PhotoBatch, weight: float) -> Tensor:
    """Rectified nodes `(B, N, d)` of maps `(B, C, H, W)`.

    If global embeddings have a weight, they alone train the backbone: pairs overfit sooner and spoil it for both.
    """
    return F.relu(regions(maps.detach() if weight else maps, batch.boxes, batch.mask))
