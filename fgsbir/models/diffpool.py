"""Hierarchical pooling of two node sets by learned soft clusters, with co-attention at every level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import node_mask


class GraphNetwork(nn.Module):
    r"""Layers of $\mathrm{ReLU}(\mathrm{LayerNorm}(A X W))$ on a weighted graph.

    Args:
        dim: node size, d.
        layers: at least 1.

    Deviations:
        RexYing's GraphConv scales each node to unit length and then normalises over the batch. LayerNorm stands in for
        both: with batch statistics a pair's distance would depend on the pairs beside it, and on their padding.
    """

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.weights = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Nodes `(P, N, d)` of nodes of the same shape and edges `(P, N, N)`."""
        for weight, norm in zip(self.weights, self.norms, strict=True):
            nodes = F.relu(norm(adjacency @ weight(nodes)))
        return nodes


class Pooled(NamedTuple):
    """P graphs of K nodes, and the losses of their clusters.

    Attributes:
        nodes: `(P, K, d)`.
        adjacency: `(P, K, K)`.
        link: how far the edges are from those that the clusters imply, `(P,)`; see `link_loss`.
        entropy: how undecided the clusters are, `(P,)`; see `assignment_entropy`.
    """

    nodes: Tensor
    adjacency: Tensor
    link: Tensor
    entropy: Tensor


class DiffPool(nn.Module):
    r"""One level of differentiable pooling to K clusters (Ying et al. 2018).

    $$Z = \mathrm{GNN}_{emb}(A, X), \quad S = \mathrm{softmax}(\mathrm{GNN}_{pool}(A, X)), \quad
    X' = S^T Z, \quad A' = S^T A S$$

    Our own, because torch-geometric is not among the requirements and its layer would not do: it divides the link
    loss by the number of entries, padding counted, and takes both losses over the whole batch, where here pairs have
    graphs of different size and each is to count the same.

    Args:
        dim: node size, d.
        clusters: K. With one, S is all ones, as at the top of the original: nothing is assigned or lost.
        layers: layers of each graph network.

    Deviations:
        A dense layer on the last graph layer gives the logits of S; both networks read out their last layer alone.
    """

    def __init__(self, dim: int, clusters: int, layers: int) -> None:
        super().__init__()
        self.embed = GraphNetwork(dim, layers)
        self.pool = GraphNetwork(dim, layers) if clusters > 1 else None
        self.assign = nn.Linear(dim, clusters) if clusters > 1 else None

    def forward(self, nodes: Tensor, adjacency: Tensor, mask: Tensor) -> Pooled:
        """Pools P graphs.

        Args:
            nodes: `(P, N, d)`.
            adjacency: `(P, N, N)`, zero to and from padding.
            mask: `(P, N)`, True where a node is real.
        """
        embedded, real = self.embed(nodes, adjacency), mask[..., None]
        if self.pool is None or self.assign is None:
            clusters = real.to(nodes)
            link = entropy = nodes.new_zeros(len(nodes))
        else:
            logits = self.assign(self.pool(nodes, adjacency))
            clusters = logits.softmax(2) * real
            link, entropy = link_loss(adjacency, clusters), assignment_entropy(logits, mask)
        return Pooled(clusters.mT @ embedded, clusters.mT @ adjacency @ clusters, link, entropy)


def link_loss(adjacency: Tensor, clusters: Tensor) -> Tensor:
    r"""$\lVert A - S S^T \rVert_F$ of each of P graphs, `(P,)`.

    Args:
        adjacency: `(P, N, N)`, zero to and from padding.
        clusters: S, `(P, N, K)`, zero for padding.
    """
    distance: Tensor = torch.linalg.vector_norm(adjacency - clusters @ clusters.mT, dim=(1, 2))
    return distance


def assignment_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean entropy, in nats, of the rows of S of each of P graphs, `(P,)`.

    Args:
        logits: logits of S, `(P, N, K)`.
        mask: `(P, N)`, True where a node is real; at least one a row.
    """
    logs = logits.log_softmax(2)
    return (-(logs.exp() * logs).sum(2) * mask).sum(1) / mask.sum(1)


class PairedPooling(NamedTuple):
    """What a pair becomes.

    Attributes:
        sketch: the last node of the sketch, `(P, d)`.
        photo: the last node of the photo, `(P, d)`.
        link: sum of the link losses over levels and branches, `(P,)`.
        entropy: sum of the entropies over levels and branches, `(P,)`.
    """

    sketch: Tensor
    photo: Tensor
    link: Tensor
    entropy: Tensor


class PairedDiffPool(nn.Module):
    r"""Two branches that are pooled level by level: each level co-attends, then pools each branch.

    The edges of the first level are $A = \mathrm{softmax}(X W_C (X W_C)^T / \sqrt{d_h})$ of the nodes that have
    co-attended, after the compatibilities by which the proposed hierarchy chooses. Branches share all weights
    except in the co-attention.

    Args:
        dim: node size, d.
        hidden: width of $W_C$, d_h.
        coattention: co-attention between the branches, the same at all levels.
        clusters: number of nodes after each level, falling to 1.
        layers: layers of each graph network.

    Raises:
        InputError: if the clusters do not fall to 1, or there is no layer.
    """

    def __init__(
        self, dim: int, hidden: int, coattention: CoAttention, clusters: Sequence[int] = (4, 1), layers: int = 3
    ) -> None:
        super().__init__()
        falling = all(more > fewer for more, fewer in pairwise(clusters))
        if not clusters or clusters[-1] != 1 or not falling:
            raise InputError("model.clusters", f"{list(clusters)} does not fall to 1", "use e.g. [4, 1]")
        if layers < 1:
            raise InputError("model.layers", f"{layers} is not positive", "use e.g. 3")
        self.coattention = coattention
        self.compare = nn.Linear(dim, hidden, bias=False)
        self.pools = nn.ModuleList(DiffPool(dim, k, layers) for k in clusters)

    def edges(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """A `(P, N, N)` of nodes `(P, N, d)`, rows of real nodes sum to 1; zero to and from padding."""
        features = self.compare(nodes)
        scores = features @ features.mT / math.sqrt(self.compare.out_features)
        adjacency: Tensor = scores.masked_fill(~mask[:, None], -torch.inf).softmax(2) * mask[..., None]
        return adjacency

    def forward(self, sketch: Tensor, photo: Tensor, sketch_count: Tensor, photo_count: Tensor) -> PairedPooling:
        """Pools P pairs.

        Args:
            sketch: `(P, Ns, d)`, real nodes first.
            photo: `(P, Np, d)`, as `sketch`.
            sketch_count: `(P,)`, number of real nodes, at least 1 everywhere.
            photo_count: `(P,)`, as `sketch_count`.
        """
        sketch, photo = sketch[:, : int(sketch_count.max())], photo[:, : int(photo_count.max())]
        masks = [node_mask(sketch, sketch_count), node_mask(photo, photo_count)]
        edges: list[Tensor] = []
        link = entropy = sketch.new_zeros(len(sketch))
        for pool in self.pools:
            attended = self.coattention(sketch, photo, *masks)
            branches = [attended.sketch, attended.photo]
            edges = edges or [self.edges(nodes, mask) for nodes, mask in zip(branches, masks, strict=True)]
            pooled = [pool(*graph) for graph in zip(branches, edges, masks, strict=True)]
            (sketch, photo), edges = [p.nodes for p in pooled], [p.adjacency for p in pooled]
            masks = [nodes.new_ones(nodes.shape[:2], dtype=torch.bool) for nodes in (sketch, photo)]
            link, entropy = link + sum(p.link for p in pooled), entropy + sum(p.entropy for p in pooled)
        return PairedPooling(sketch[:, 0], photo[:, 0], link, entropy)
