"""Hierarchical fusion in a given order: co-attention at every level, but no choice of nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import Level, Merge, NodeFusion, climb, node_mask


class OrderedHierarchy(nn.Module):
    r"""`PairedHierarchy` with the merges of both branches given.

    $\hat x_{ab} = \mathrm{ReLU}(W_F [x_a, x_b])$ as there, $a$ the earlier node.

    Args:
        dim: node size, d.
        coattention: the co-attention between the branches.
        share_fusion: one $W_F$ for both branches.
    """

    def __init__(self, dim: int, coattention: CoAttention, share_fusion: bool = True) -> None:
        super().__init__()
        self.coattention = coattention
        self.sketch_fuse = NodeFusion(dim, hidden=None).fuse
        self.photo_fuse = self.sketch_fuse if share_fusion else NodeFusion(dim, hidden=None).fuse

    def forward(
        self,
        sketch: Tensor,
        photo: Tensor,
        sketch_count: Tensor,
        photo_count: Tensor,
        sketch_merges: Tensor,
        photo_merges: Tensor,
        trace: list[Level] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Root nodes of P pairs, `(P, d)` each; see `PairedMatcher`.

        Args:
            sketch: nodes `(P, Ns, d)`.
            photo: nodes `(P, Np, d)`.
            sketch_count: `(P,)`.
            photo_count: `(P,)`.
            sketch_merges: pairs of node numbers, `(P, Ns - 1, 2)`. Leaves are 0 to n - 1, merge k makes node n + k, and
                the first n - 1 merges count.
            photo_merges: pairs of node numbers, `(P, Np - 1, 2)`.
            trace: if given, what happened is appended to it, level by level.
        """
        branches = (sketch, photo), (sketch_count, photo_count)
        given = (self.sketch_fuse, sketch_count, sketch_merges), (self.photo_fuse, photo_count, photo_merges)
        return climb(self.coattention, *branches, (_GivenOrder(*given[0]), _GivenOrder(*given[1])), trace)


NOBODY = torch.iinfo(torch.int64).max
"""Number of a column that holds no node; it sorts behind all that do."""


class _GivenOrder:
    """Merges P sets of nodes in a given order, one merge a call.

    Nodes stand in the order of their numbers. Four leaves whose first merge is (0, 2):

        nodes [a b c d], numbers [0 1 2 3]  ->  nodes [b d ac], numbers [1 3 4]

    Args:
        fuse: $W_F$.
        leaves: nodes of each set at the start, `(P,)`.
        merges: pairs of node numbers, `(P, N - 1, 2)`.
    """

    def __init__(self, fuse: nn.Linear, leaves: Tensor, merges: Tensor) -> None:
        self.fuse, self.leaves, self.merges = fuse, leaves, merges
        self.level = 0
        self.numbers: Tensor | None = None

    def __call__(self, nodes: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Merge]:
        """Nodes `(P, W - 1, d)`, counts and the merge, of nodes `(P, W, d)`; a set of one node stays as it is."""
        if self.numbers is None:
            columns = torch.arange(nodes.shape[1], device=nodes.device).expand(len(nodes), -1)
            self.numbers = columns.masked_fill(~node_mask(nodes, count), NOBODY)
        pair, new, done = self.merges[:, self.level], self.leaves + self.level, count < 2
        self.level += 1
        columns = (self.numbers[:, None] == pair[..., None]).int().argmax(2)  # (P, 2); arbitrary where a set is done
        chosen = nodes.gather(1, columns[..., None].expand(-1, -1, nodes.shape[2]))
        fused = F.relu(self.fuse(chosen.flatten(1)))
        left = torch.where(done[:, None], self.numbers, self.numbers.scatter(1, columns, NOBODY))
        numbers = torch.cat([left, torch.where(done, NOBODY, new)[:, None]], 1)
        order = numbers.argsort(dim=1, stable=True)[:, :-2]  # two columns hold no node any more
        self.numbers = numbers.gather(1, order)
        nodes = torch.cat([nodes, fused[:, None]], 1).gather(1, order[..., None].expand(-1, -1, nodes.shape[2]))
        return nodes, (count - 1).clamp(min=1), Merge(columns[:, 0], columns[:, 1], done)
