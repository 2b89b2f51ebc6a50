"""Hierarchical fusion in a given order: co-attention at every level, but no choice of nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import Level, Merge, NodeFusion, node_mask


class OrderedHierarchy(nn.Module):
    r"""`PairedHierarchy` with the merges of both branches given.

    $\hat x_{ab} = \mathrm{ReLU}(W_F [x_a, x_b])$ as there, $a$ the earlier node; levels, branches that are done and
    pairs that are done are treated as there.

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
        """Root nodes of P pairs, `(P, d)` each.

        Args:
            sketch: `(P, Ns, d)`, real nodes first.
            photo: `(P, Np, d)`, likewise.
            sketch_count: `(P,)`, at least 1 everywhere.
            photo_count: `(P,)`, likewise.
            sketch_merges: `(P, Ns - 1, 2)`, pairs of node numbers; of a sketch with n nodes merge k makes node
                n + k, and the first n - 1 merges count.
            photo_merges: `(P, Np - 1, 2)`, likewise.
            trace: if given, what happened is appended to it, level by level.
        """
        most = torch.maximum(sketch_count, photo_count)
        sketch, photo = sketch[:, : int(sketch_count.max())], photo[:, : int(photo_count.max())]
        sketch_numbers, photo_numbers = _numbers(sketch, sketch_count), _numbers(photo, photo_count)
        for level in range(int(most.max()) - 1):
            left = (sketch_count - level).clamp(min=1), (photo_count - level).clamp(min=1)
            out = self.coattention(sketch, photo, node_mask(sketch, left[0]), node_mask(photo, left[1]))
            climbing = (most > level + 1)[:, None, None]
            sketch, photo = torch.where(climbing, out.sketch, sketch), torch.where(climbing, out.photo, photo)
            sketch_merge = photo_merge = None
            if sketch.shape[1] > 1:
                pair, new = sketch_merges[:, level], sketch_count + level
                sketch, sketch_numbers, sketch_merge = _fuse(
                    self.sketch_fuse, sketch, sketch_numbers, pair, new, left[0]
                )
            if photo.shape[1] > 1:
                pair, new = photo_merges[:, level], photo_count + level
                photo, photo_numbers, photo_merge = _fuse(self.photo_fuse, photo, photo_numbers, pair, new, left[1])
            if trace is not None:
                trace.append(Level(out.sketch_to_photo, out.photo_to_sketch, sketch_merge, photo_merge, *left))
        return sketch[:, 0], photo[:, 0]


NOBODY = torch.iinfo(torch.int64).max
"""Number of a column that holds no node: behind all that do."""


def _numbers(nodes: Tensor, count: Tensor) -> Tensor:
    """The numbers of the leaves in their columns, `(P, N)`."""
    return (
        torch.arange(nodes.shape[1], device=nodes.device)
        .expand(len(nodes), -1)
        .masked_fill(~node_mask(nodes, count), NOBODY)
    )


def _fuse(
    fuse: nn.Linear, nodes: Tensor, numbers: Tensor, pair: Tensor, new: Tensor, left: Tensor
) -> tuple[Tensor, Tensor, Merge]:
    """One merge in each set that has two nodes or more.

    Args:
        fuse: $W_F$.
        nodes: `(P, W, d)`, in the order of their numbers, W >= 2.
        numbers: of the nodes, `(P, W)`.
        pair: the numbers of the two that merge, `(P, 2)`.
        new: the number of what they become, `(P,)`.
        left: real nodes of each set, `(P,)`.

    Returns:
        Nodes `(P, W - 1, d)` and their numbers `(P, W - 1)`, in order again, and the merge.
    """
    done = left < 2
    places = (numbers[:, None] == pair[..., None]).int().argmax(2)  # (P, 2); anything where a set is done
    chosen = nodes.gather(1, places[..., None].expand(-1, -1, nodes.shape[2]))
    fused = F.relu(fuse(chosen.flatten(1)))
    gone = numbers.scatter(1, places, NOBODY)
    numbers = torch.cat([torch.where(done[:, None], numbers, gone), torch.where(done, NOBODY, new)[:, None]], 1)
    order = numbers.argsort(dim=1, stable=True)[:, :-2]
    nodes = torch.cat([nodes, fused[:, None]], 1).gather(1, order[..., None].expand(-1, -1, nodes.shape[2]))
    return nodes, numbers.gather(1, order), Merge(places[:, 0], places[:, 1], done)
