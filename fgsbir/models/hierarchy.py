"""Hierarchical fusion: co-attend, merge one node pair a branch, until one node a branch is left.

All pairs of a batch advance together, one level at a time. Nodes are kept packed: the real nodes of a
pair come first, in order, and a merged node goes behind the last, so that a level has one column fewer
than the one before and padding never grows. A set of 4 nodes that merges its first and third:

    [a b c d]  ->  [b d ac]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.models.coattention import CoAttention

Compatibility = Literal["cosine", "scaled", "raw"]


class Merge(NamedTuple):
    """One merge of each pair: nodes `first < second` (positions at that level), `(P,)`; `done` where nothing merged."""

    first: Tensor
    second: Tensor
    done: Tensor


class Level(NamedTuple):
    """What happened at one level, for those who want to look.

    Attributes:
        sketch_to_photo: attention of sketch nodes to photo nodes, `(P, Ns, Np)`; None without co-attention.
        photo_to_sketch: attention of photo nodes to sketch nodes, `(P, Np, Ns)`; None without co-attention.
        sketch_merge: the merge of the sketch branch, None when every sketch has one node.
        photo_merge: the merge of the photo branch, None when every photo has one node.
        sketch_count: real nodes of the sketch before the merge, `(P,)`.
        photo_count: real nodes of the photo before the merge, `(P,)`.
    """

    sketch_to_photo: Tensor | None
    photo_to_sketch: Tensor | None
    sketch_merge: Merge | None
    photo_merge: Merge | None
    sketch_count: Tensor
    photo_count: Tensor


class NodeFusion(nn.Module):
    r"""Chooses the two most compatible nodes of each set and fuses them (Sain et al. 2020, slide 8).

    $$C = (X W_C)(X W_C)^T, \quad q = \mathrm{GumbelSoftmax}(\mathrm{triu}(C)), \quad
    \hat x_{ab} = \mathrm{ReLU}(W_F [x_a, x_b])$$

    Training draws the pair with Gumbel noise and passes the gradient straight through the one-hot choice;
    evaluation takes the best pair.

    Args:
        dim: node size, d.
        hidden: width of $W_C$, which the paper does not print. `None` leaves it out, as the released code does.
        temperature: temperature of the Gumbel softmax, the paper's tau; 1 in the released code.
        compatibility: "cosine" compares directions (C between unit vectors, times $\sqrt{d_h}$), "scaled" divides
            C by $\sqrt{d_h}$, "raw" takes it as it is. Products of long vectors saturate the softmax and drown
            the noise, as they do in the released code, and the longest node swallows the others one by one.
        relu: apply the slide's ReLU; the released code has none.

    Deviations:
        "cosine" is the default. Fusion starts at the sum of its two nodes, but for a trace of noise, so that at first
        the last node is the same for every tree, and what a tree tells is learned from there; a chain of random maps
        passes on nothing, and means weigh nodes by the accidents of the tree. $W_F [x_a, x_b]$ is computed as
        $W_1 x_a + W_2 x_b$.
    """

    def __init__(
        self,
        dim: int,
        hidden: int | None = 128,
        temperature: float = 1.0,
        compatibility: Compatibility = "cosine",
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.score = nn.Linear(dim, hidden, bias=False) if hidden else nn.Identity()
        self.fuse = nn.Linear(2 * dim, dim, bias=False)
        with torch.no_grad():  # start near the sum
            self.fuse.weight.mul_(0.01).add_(torch.eye(dim).repeat(1, 2))
        self.temperature = temperature
        self.compatibility: Compatibility = compatibility
        width = hidden or dim
        self.scale = {"cosine": math.sqrt(width), "scaled": 1 / math.sqrt(width), "raw": 1.0}[compatibility]
        self.relu = relu

    def forward(self, nodes: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Merge]:
        """Merges one pair of nodes in each set that has two or more.

        Args:
            nodes: `(P, N, d)`, N >= 2, real nodes first.
            count: `(P,)`, number of real nodes.

        Returns:
            Nodes `(P, N - 1, d)`, counts `(P,)`, and the merge.
        """
        done = count < 2
        features = self.score(nodes)
        features = features.to(torch.promote_types(features.dtype, torch.float32))  # no choice in half precision
        if self.compatibility == "cosine":
            features = F.normalize(features, dim=2)
        scores = features @ features.transpose(1, 2) * self.scale
        if self.training:
            fused, first, second = self._draw(nodes, scores, count)
        else:
            first, second = _best_pair(scores, count)
            fused = self._fuse(nodes, first, second)
        merge = Merge(first, second, done)
        return _repack(nodes, fused, count, merge), (count - 1).clamp(min=1), merge

    def _fuse(self, nodes: Tensor, first: Tensor, second: Tensor) -> Tensor:
        return self._activate(self.fuse(torch.cat([_rows(nodes, first), _rows(nodes, second)], 1)))

    def _activate(self, x: Tensor) -> Tensor:
        return F.relu(x) if self.relu else x

    def _draw(self, nodes: Tensor, scores: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = torch.triu_indices(nodes.shape[1], nodes.shape[1], 1, device=nodes.device)
        logits = scores[:, first, second].masked_fill(second >= count[:, None], -torch.inf)
        logits = torch.where((count < 2)[:, None], torch.zeros_like(logits), logits)  # no candidate: anything but NaN
        soft = F.gumbel_softmax(logits, self.temperature)
        choice = soft.argmax(1)
        fused = self._fuse(nodes, first[choice], second[choice])
        if nodes.shape[1] > 2:
            # Straight through: the value is the chosen candidate's, the gradient of the choice comes from the
            # soft mixture of all candidates, which therefore need values but no gradient of their own.
            with torch.no_grad():
                flat, (left_weight, right_weight) = nodes.flatten(0, 1), self.fuse.weight.chunk(2, dim=1)
                left, right = (F.linear(flat, w).view_as(nodes) for w in (left_weight, right_weight))
                candidates = self._activate(left[:, first] + right[:, second])
            fused = fused + torch.einsum("ph,phd->pd", (soft - soft.detach()).to(candidates), candidates)
        return fused, first[choice], second[choice]


class PairedMatcher(nn.Module, ABC):
    """Turns the nodes of a pair into one vector a branch."""

    @abstractmethod
    def forward(
        self, sketch: Tensor, photo: Tensor, sketch_count: Tensor, photo_count: Tensor, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Vectors of P pairs, `(P, d)` each.

        Args:
            sketch: `(P, Ns, d)`, real nodes first.
            photo: `(P, Np, d)`, real nodes first.
            sketch_count: number of real nodes, `(P,)`, at least 1 everywhere.
            photo_count: number of real nodes, `(P,)`, at least 1 everywhere.
            trace: if given, what happened is appended to it, level by level.
        """


class PairedHierarchy(PairedMatcher):
    """Two branches that climb together: each level co-attends, then merges once in each branch; see `climb`.

    Args:
        sketch_fusion: merges the sketch branch.
        photo_fusion: merges the photo branch; the same module shares its weights, as in the paper's figure.
        coattention: the co-attention between the branches, or None to let each branch climb alone.
        attend_roots: one more co-attention between the two last nodes. The paper's opening figure draws an
            arrow there, the released code has none.
    """

    def __init__(
        self,
        sketch_fusion: NodeFusion,
        photo_fusion: NodeFusion,
        coattention: CoAttention | None,
        attend_roots: bool = False,
    ) -> None:
        super().__init__()
        self.sketch_fusion, self.photo_fusion = sketch_fusion, photo_fusion
        self.coattention = coattention
        self.attend_roots = attend_roots

    def forward(
        self, sketch: Tensor, photo: Tensor, sketch_count: Tensor, photo_count: Tensor, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Root nodes of P pairs; see `PairedMatcher`."""
        branches = (sketch, photo), (sketch_count, photo_count)
        roots = climb(self.coattention, *branches, (self.sketch_fusion, self.photo_fusion), trace)
        if self.attend_roots and self.coattention is not None:
            alone = torch.ones(len(sketch), 1, dtype=torch.bool, device=sketch.device)
            attended = self.coattention(roots[0][:, None], roots[1][:, None], alone, alone)
            return attended.sketch[:, 0], attended.photo[:, 0]
        return roots


class AttendedMaximum(PairedMatcher):
    """No hierarchy: co-attend once, then take the maximum over the nodes of each branch.

    This is what the authors' released code computes instead of the hierarchy, and, with the slides' gate,
    their B-Localised-Coattn.

    Args:
        coattention: the co-attention between the branches.
    """

    def __init__(self, coattention: CoAttention) -> None:
        super().__init__()
        self.coattention = coattention

    def forward(
        self, sketch: Tensor, photo: Tensor, sketch_count: Tensor, photo_count: Tensor, trace: list[Level] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Maxima of P pairs; see `PairedMatcher`."""
        masks = node_mask(sketch, sketch_count), node_mask(photo, photo_count)
        out = self.coattention(sketch, photo, *masks)
        if trace is not None:
            trace.append(Level(out.sketch_to_photo, out.photo_to_sketch, None, None, sketch_count, photo_count))
        return (
            out.sketch.masked_fill(~masks[0][..., None], -torch.inf).amax(1),
            out.photo.masked_fill(~masks[1][..., None], -torch.inf).amax(1),
        )


MergeOnce = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Merge]]
"""One merge in each of P sets: nodes `(P, N, d)` and counts to nodes `(P, N - 1, d)`, counts and the merge."""


def climb(
    coattention: CoAttention | None,
    nodes: tuple[Tensor, Tensor],
    counts: tuple[Tensor, Tensor],
    merges: tuple[MergeOnce, MergeOnce],
    trace: list[Level] | None = None,
) -> tuple[Tensor, Tensor]:
    """Root nodes of P pairs, `(P, d)` each.

    A pair has `max(Ns, Np) - 1` levels. A branch that has come down to one node no longer merges but goes
    on co-attending while its partner climbs; a pair whose both branches are done changes no more.

    Args:
        coattention: the co-attention at the start of each level, if any.
        nodes: of sketch and photo, `(P, Ns, d)` and `(P, Np, d)`, real nodes first.
        counts: numbers of real nodes of sketch and photo, `(P,)` each, at least 1 everywhere.
        merges: the merge of each level, of the sketch branch and of the photo branch.
        trace: if given, what happened is appended to it, level by level.
    """
    (sketch, photo), (sketch_count, photo_count) = nodes, counts
    most = torch.maximum(sketch_count, photo_count)
    levels, fewest = int(most.max()) - 1, int(most.min()) - 1
    sketch, photo = sketch[:, : int(sketch_count.max())], photo[:, : int(photo_count.max())]
    for level in range(levels):
        to_photo = to_sketch = sketch_merge = photo_merge = None
        before = sketch_count, photo_count
        if coattention is not None:
            out = coattention(sketch, photo, node_mask(sketch, sketch_count), node_mask(photo, photo_count))
            to_photo, to_sketch = out.sketch_to_photo, out.photo_to_sketch
            if level < fewest:
                sketch, photo = out.sketch, out.photo
            else:  # some pairs are done
                active = (most > level + 1)[:, None, None]
                sketch, photo = torch.where(active, out.sketch, sketch), torch.where(active, out.photo, photo)
        if sketch.shape[1] > 1:
            sketch, sketch_count, sketch_merge = merges[0](sketch, sketch_count)
        if photo.shape[1] > 1:
            photo, photo_count, photo_merge = merges[1](photo, photo_count)
        if trace is not None:
            trace.append(Level(to_photo, to_sketch, sketch_merge, photo_merge, *before))
    return sketch[:, 0], photo[:, 0]


def node_mask(nodes: Tensor, count: Tensor) -> Tensor:
    """`(P, N)`, True for the first `count` of the N columns of `nodes (P, N, d)`."""
    return torch.arange(nodes.shape[1], device=nodes.device) < count[:, None]


def _rows(nodes: Tensor, index: Tensor) -> Tensor:
    """Node `index[p]` of each set p: `(P, N, d)`, `(P,)` to `(P, d)`."""
    pairs, width, dim = nodes.shape
    return nodes.reshape(-1, dim).index_select(0, index + torch.arange(0, pairs * width, width, device=index.device))


def _best_pair(scores: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Positions `first < second` of the highest score among the real nodes of each set, `(P,)` each."""
    width = scores.shape[1]
    position = torch.arange(width, device=scores.device)
    possible = (position[:, None] < position) & (position < count[:, None, None])
    best = scores.masked_fill(~possible, -torch.inf).flatten(1).argmax(1)
    return best // width, best % width


def _repack(nodes: Tensor, fused: Tensor, count: Tensor, merge: Merge) -> Tensor:
    """Drops both merged nodes and appends the fused one behind the rest; done sets stay as they are."""
    pairs, width, dim = nodes.shape
    slot = torch.arange(width - 1, device=nodes.device)
    # Column s is filled from s, one further right behind the first merged node and two behind the second.
    source = slot + (slot >= merge.first[:, None]).long() + (slot >= merge.second[:, None] - 1).long()
    source = torch.where(merge.done[:, None], slot, source.clamp(max=width - 1))
    offset = torch.arange(0, pairs * width, width, device=nodes.device)
    packed = nodes.reshape(-1, dim).index_select(0, (source + offset[:, None]).flatten()).view(pairs, width - 1, dim)
    last = (count - 2).clamp(min=0)  # column of the fused node, or of the only node in a set that is done
    value = torch.where(merge.done[:, None], nodes[:, 0], fused)
    return packed.index_put((torch.arange(pairs, device=nodes.device), last), value)
