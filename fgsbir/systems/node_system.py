"""What all systems share that give a picture one node a stroke or region and match nodes pair by pair."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
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
from fgsbir.systems.base import Optimisation, System
from fgsbir.systems.explanation import Explanation, explain_pair

Precision = Literal["float32", "bfloat16"]


class NodeSystem(System):
    """Base of the systems whose embeddings exist for a pair only.

    A picture becomes one node a stroke or region; `matcher` turns the nodes of a pair into one vector a
    branch, and their squared Euclidean distance is that of the pair.

    Args:
        backbone: shared by sketches and photos.
        regions: from maps and boxes to nodes.
        matcher: the paired model; see `roots`.
        normalise: scale the last two vectors to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model. Each of the two distances then has a loss of its own, that of whole pictures
            alone trains the backbone, and rankings mix them.
        pyramid_dim: channels of each grid of the layout in those vectors, 0 for none; see `GlobalEmbedding`.
        match_memory: limit for matching all pairs, in MiB.
        match_precision: of evaluation inside the matcher; its choices of nodes, its result and all training are
            float32. bfloat16 is about twice as fast where the processor has it; a tree may then differ where two
            choices are nearly equal.
        loss: over the pairs of a batch.
        optimisation: optimiser and schedule.
    """

    def __init__(
        self,
        backbone: Backbone,
        regions: RegionEncoder,
        matcher: nn.Module,
        normalise: bool,
        global_weight: float,
        pyramid_dim: int,
        match_memory: int,
        match_precision: Precision,
        loss: PairLoss | None,
        optimisation: Optimisation,
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone, self.regions, self.matcher = backbone, regions, matcher
        self.normalise, self.global_weight = normalise, global_weight
        self.whole = weighted_whole(backbone, global_weight, pyramid_dim)
        self.match_memory = match_memory
        self.match_precision: Precision = match_precision

    def _encode(self, batch: SketchBatch | PhotoBatch) -> Any:
        fine, last = self.backbone.both_levels(batch.image)
        nodes = region_nodes(self.regions, fine, batch, self.global_weight)
        whole = self.whole(fine, last) if self.whole else nodes.new_zeros(len(nodes), 0)
        return NodeEncoding(nodes, batch.mask.sum(1), whole)

    def encode_sketch(self, batch: SketchBatch) -> Any:
        """One node a stroke."""
        return self._encode(batch)

    def encode_photo(self, batch: PhotoBatch) -> Any:
        """One node a region."""
        return self._encode(batch)

    def roots(
        self, matcher: nn.Module, sketches: Any, photos: Any, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """What `matcher` (ours, or a copy in another precision) makes of P pairs, `(P, d)` each."""
        out: tuple[Tensor, Tensor] = matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts, trace)
        return out

    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of P pairs, `(P,)`: squared Euclidean between paired embeddings, and between whole pictures."""
        return self._mix(self.match_nodes(sketches, photos), elementwise_distance(sketches, photos))

    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """As `match`, of all pairs, `(Q, G)`."""
        return self._mix(self.match_all_nodes(sketches, photos), pairwise_distance(sketches, photos))

    def match_nodes(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(P,)`."""
        return self._paired_distance(self.matcher, sketches, photos)

    def match_all_nodes(self, sketches: Any, photos: Any) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(Q, G)`."""
        matcher, nodes = self.matcher, [sketches.nodes, photos.nodes]
        if self.match_precision == "bfloat16" and not self.training:
            matcher = copy.deepcopy(matcher).bfloat16()
            nodes = [n.bfloat16() for n in nodes]
        return paired_distances(
            partial(self._paired_distance, matcher),
            sketches._replace(nodes=nodes[0]),
            photos._replace(nodes=nodes[1]),
            pairs_in_memory(self.match_memory, nodes[0].shape[1] + nodes[1].shape[1], nodes[0].shape[2]),
            progress=not self.training,
        )

    def pair_loss(self, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """The loss of the paired embeddings, plus that of the whole pictures where they have a weight."""
        encoded = sketches, photos, photo_ids
        loss: Tensor = self.loss(Distances(self.match_nodes, self.match_all_nodes), *encoded)
        return loss + self.loss(VECTOR_DISTANCES, *encoded) if self.global_weight else loss

    def _mix(self, paired: Tensor, whole: Tensor) -> Tensor:
        return (1 - self.global_weight) * paired + self.global_weight * whole

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
    def explain_pictures(self, sketches: SketchBatch, photos: PhotoBatch) -> list[Explanation]:
        """Merge trees and attention of P sketches and P photos, row by row."""
        return self.explain(self.encode_sketch(sketches), self.encode_photo(photos))


def region_nodes(regions: RegionEncoder, maps: Tensor, batch: SketchBatch | PhotoBatch, weight: float) -> Tensor:
    """Rectified nodes `(B, N, d)` of maps `(B, C, H, W)`.

    Where whole pictures have a weight they alone train the backbone: pairs overfit sooner, and spoil it for both.
    """
    return F.relu(regions(maps.detach() if weight else maps, batch.boxes, batch.mask))


def weighted_whole(backbone: Backbone, weight: float, pyramid_dim: int) -> GlobalEmbedding | None:
    """The vector of whole pictures; None where it has no weight.

    Raises:
        InputError: if a vector that has no weight should keep a layout.
    """
    if pyramid_dim and not weight:
        problem = "whole pictures have no weight, so nothing keeps a layout"
        raise InputError("model.pyramid_dim", problem, "set model.global_weight above 0, or leave it out")
    return GlobalEmbedding(backbone, pyramid_dim) if weight else None
