"""The paper's system: cross-modal co-attention and hierarchical fusion, pair by pair."""

from __future__ import annotations

import copy
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import AttendedMaximum, Level, Merge, NodeFusion, PairedHierarchy
from fgsbir.models.region_encoder import RegionEncoder
from fgsbir.retrieval.distances import NodeEncoding, paired_distances, pairs_in_memory, squared_euclidean
from fgsbir.systems.b_siamese import pooled_vector
from fgsbir.systems.base import Optimisation, System
from fgsbir.systems.losses import PairLoss

Precision = Literal["float32", "bfloat16"]


class Explanation(NamedTuple):
    """What happened to one pair. Leaves are 0 to n - 1; the k-th merge of a branch makes node n + k.

    Attributes:
        sketch_merges: node pairs in the order of their fusion; `photo_merges`: likewise.
        levels: per level the nodes of both branches and their attention to each other, as plain lists.
    """

    sketch_merges: list[tuple[int, int]]
    photo_merges: list[tuple[int, int]]
    levels: list[dict[str, list[int] | list[list[float]]]]


class Proposed(System):
    """Cross-modal hierarchical modelling (Sain et al. 2020, slides 6 to 9).

    Stroke nodes and region nodes attend to each other and, in each branch, the two most compatible nodes
    fuse, until one node a branch is left; the distance of the last two is the distance of the pair.

    Args:
        backbone: shared by sketches and photos.
        dim: node size d; 512 in the released code.
        hidden: width of the spaces in which nodes are compared, d_h; 128 in the released code.
        gate: "concat" as in the slides, "product" as in the released main code.
        root: how a branch becomes one vector: "fusion" by the hierarchy; "max" by co-attending once and taking
            the maximum over the nodes, which is all that the released code does.
        temperature: of the Gumbel softmax.
        scale_scores: divide compatibilities by the square root of d_h.
        share_fusion: one fusion for both branches, as the framework figure says.
        attend_roots: co-attend once more between the two last nodes.
        normalise: scale the last nodes to unit length, without which a margin of 0.2 has no meaning.
        global_weight: share of a plain siamese distance between pooled whole-picture vectors, in [0, 1).
            0 is the paper's model.
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

    def __init__(
        self,
        backbone: Backbone,
        dim: int = 512,
        hidden: int = 128,
        gate: Literal["concat", "product"] = "concat",
        root: Literal["fusion", "max"] = "fusion",
        temperature: float = 1.0,
        scale_scores: bool = True,
        share_fusion: bool = True,
        attend_roots: bool = False,
        normalise: bool = True,
        global_weight: float = 0.0,
        region_grid: int = 7,
        region_pool: Literal["max", "mean"] = "max",
        match_memory: int = 256,
        match_precision: Precision = "float32",
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone = backbone
        self.regions = RegionEncoder(backbone.channels, dim, region_grid, pool=region_pool)
        coattention = CoAttention(dim, hidden, gate)
        self.matcher: PairedHierarchy | AttendedMaximum
        if root == "max":
            self.matcher = AttendedMaximum(coattention)
        else:
            fusions = [NodeFusion(dim, hidden, temperature, scale_scores) for _ in range(1 if share_fusion else 2)]
            self.matcher = PairedHierarchy(fusions[0], fusions[-1], coattention, attend_roots)
        self.normalise, self.global_weight = normalise, global_weight
        self.match_memory = match_memory
        self.match_precision: Precision = match_precision

    def _encode(self, batch: SketchBatch | PhotoBatch) -> NodeEncoding:
        maps = self.backbone(batch.image)
        nodes = F.relu(self.regions(maps, batch.boxes, batch.mask))
        vector = pooled_vector(maps, "max") if self.global_weight else maps.new_zeros(len(maps), 0)
        return NodeEncoding(nodes, batch.mask.sum(1), vector)

    def encode_sketch(self, batch: SketchBatch) -> NodeEncoding:
        """One node a stroke."""
        return self._encode(batch)

    def encode_photo(self, batch: PhotoBatch) -> NodeEncoding:
        """One node a region."""
        return self._encode(batch)

    def match(self, sketches: NodeEncoding, photos: NodeEncoding) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(P,)`."""
        tree = self._tree_distance(self.matcher, sketches, photos)
        whole = (sketches.vector.float() - photos.vector.float()).square().sum(1)
        return self._combine(tree, whole)

    def match_all(self, sketches: NodeEncoding, photos: NodeEncoding) -> Tensor:
        """Squared Euclidean distances between the paired embeddings, `(Q, G)`."""
        matcher, nodes = self.matcher, [sketches.nodes, photos.nodes]
        if self.match_precision == "bfloat16" and not self.training:
            matcher = copy.deepcopy(matcher).bfloat16()
            nodes = [n.bfloat16() for n in nodes]
        chunk = pairs_in_memory(self.match_memory, nodes[0].shape[1] + nodes[1].shape[1], nodes[0].shape[2])
        tree = paired_distances(
            partial(self._tree_distance, matcher),
            sketches._replace(nodes=nodes[0]),
            photos._replace(nodes=nodes[1]),
            chunk,
            progress=not self.training,
        )
        return self._combine(tree, squared_euclidean(sketches.vector, photos.vector))

    def _combine(self, tree: Tensor, whole: Tensor) -> Tensor:
        return (1 - self.global_weight) * tree + self.global_weight * whole

    def _tree_distance(self, matcher: nn.Module, sketches: NodeEncoding, photos: NodeEncoding) -> Tensor:
        sketch, photo = self._embed(matcher, sketches, photos)
        return (sketch - photo).square().sum(1)

    def _embed(
        self, matcher: nn.Module, sketches: NodeEncoding, photos: NodeEncoding, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The embeddings of P sketches and P photos as pairs, `(P, d)` float32 each."""
        roots = matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts, trace)
        sketch, photo = (root.float() for root in roots)
        return (F.normalize(sketch, dim=1), F.normalize(photo, dim=1)) if self.normalise else (sketch, photo)

    @torch.no_grad()
    def explain(self, sketches: NodeEncoding, photos: NodeEncoding) -> list[Explanation]:
        """Merge trees and attention of P pairs; there is no tree with `root="max"`."""
        trace: list[Level] = []
        self._embed(self.matcher, sketches, photos, trace)
        return [_explain(trace, pair) for pair in range(len(sketches.counts))]


def _explain(trace: list[Level], pair: int) -> Explanation:
    counts = (trace[0].sketch_count, trace[0].photo_count) if trace else ()
    branches = [list(range(int(count[pair]))) for count in counts]
    made = [len(nodes) for nodes in branches]
    out = Explanation([], [], [])
    for level in trace:
        sketch, photo = branches
        if len(sketch) == len(photo) == 1:
            break
        entry: dict[str, list[int] | list[list[float]]] = {"sketch_nodes": list(sketch), "photo_nodes": list(photo)}
        if level.sketch_to_photo is not None and level.photo_to_sketch is not None:
            entry["sketch_to_photo"] = level.sketch_to_photo[pair, : len(sketch), : len(photo)].tolist()
            entry["photo_to_sketch"] = level.photo_to_sketch[pair, : len(photo), : len(sketch)].tolist()
        out.levels.append(entry)
        merges = ((level.sketch_merge, out.sketch_merges), (level.photo_merge, out.photo_merges))
        for branch, (merge, log) in enumerate(merges):
            if merge is not None and not merge.done[pair]:
                log.append(_merge(branches[branch], merge, pair, made[branch]))
                made[branch] += 1
    return out


def _merge(nodes: list[int], merge: Merge, pair: int, new: int) -> tuple[int, int]:
    """Repeats one merge on a list of node numbers, in place."""
    second, first = nodes.pop(int(merge.second[pair])), nodes.pop(int(merge.first[pair]))
    nodes.append(new)
    return first, second
