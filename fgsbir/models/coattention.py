"""Cross-modal co-attention with gated fusion, for many pairs of node sets at once."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attended(NamedTuple):
    """What one co-attention step returns.

    Attributes:
        sketch: updated sketch nodes, `(P, Ns, d)`.
        photo: updated photo nodes, `(P, Np, d)`.
        sketch_to_photo: weights of each sketch node over the photo's nodes, `(P, Ns, Np)`, rows sum to 1.
        photo_to_sketch: weights of each photo node over the sketch's nodes, `(P, Np, Ns)`.
    """

    sketch: Tensor
    photo: Tensor
    sketch_to_photo: Tensor
    photo_to_sketch: Tensor


class CoAttention(nn.Module):
    r"""Each node of one branch gathers what matches it in the other and takes it in through a gate.

    With strokes $S$ and regions $P$ (Sain et al. 2020, slide 7; the photo direction is the mirror image):

    $$A = (S W_\psi^S)(P W_\psi^P)^T, \quad S^P = \mathrm{softmax}(A / \sqrt{d_h})\, P$$
    $$G = \sigma([S, S^P] W_G), \quad \tilde S = E_S(G \odot (S + S^P)) + S$$

    where $E_S$ is a linear layer with a ReLU.

    Args:
        dim: node size, d.
        hidden: size of the space in which nodes are compared, d_h.
        gate: "concat" is the slides' learned gate; "product" is the gate of the authors' released main
            code, $\sigma(S \odot S^P)$, which has no parameters.

    Deviations:
        The layers E start at almost nothing, so that nodes start unchanged: otherwise each level adds much the same
        to all nodes, and after a dozen levels nothing of them is left to learn from. $[x, y] W$ is computed as
        $x W_1 + y W_2$, and $(A P) W_2$ as $A (P W_2)$ where the other branch has fewer nodes: the same value for
        fewer multiplications.
    """

    def __init__(self, dim: int, hidden: int = 128, gate: Literal["concat", "product"] = "concat") -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.sketch_projection = nn.Linear(dim, hidden, bias=False)
        self.photo_projection = nn.Linear(dim, hidden, bias=False)
        self.sketch_gate = Gate(dim) if gate == "concat" else None
        self.photo_gate = Gate(dim) if gate == "concat" else None
        self.sketch_update = nn.Linear(dim, dim)
        self.photo_update = nn.Linear(dim, dim)
        with torch.no_grad():
            for layer in (self.sketch_update, self.photo_update):
                layer.weight.mul_(0.01)
                layer.bias.zero_()

    def forward(self, sketch: Tensor, photo: Tensor, sketch_mask: Tensor, photo_mask: Tensor) -> Attended:
        """One step for P pairs.

        Args:
            sketch: `(P, Ns, d)`.
            photo: `(P, Np, d)`.
            sketch_mask: `(P, Ns)`, True where a node is real; at least one a row.
            photo_mask: `(P, Np)`, True where a node is real; at least one a row.
        """
        projected = _rowwise(self.sketch_projection, sketch), _rowwise(self.photo_projection, photo)
        scores = projected[0] @ projected[1].transpose(1, 2) / math.sqrt(self.hidden)
        to_photo = scores.masked_fill(~photo_mask[:, None], -torch.inf).softmax(2)
        to_sketch = scores.transpose(1, 2).masked_fill(~sketch_mask[:, None], -torch.inf).softmax(2)
        new_sketch = _take_in(sketch, photo, to_photo, self.sketch_gate, self.sketch_update)
        new_photo = _take_in(photo, sketch, to_sketch, self.photo_gate, self.photo_update)
        return Attended(new_sketch, new_photo, to_photo, to_sketch)


class Gate(nn.Module):
    """The linear layer of a gate over a node and its message, in two halves: $[x, y] W = x W_1 + y W_2$."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.own = nn.Linear(dim, dim)
        self.foreign = nn.Linear(dim, dim, bias=False)


def _take_in(x: Tensor, other: Tensor, weights: Tensor, gate: Gate | None, update: nn.Linear) -> Tensor:
    """Gated fusion of nodes `x (P, N, d)` with what they attend to in `other (P, M, d)`."""
    message = weights @ other
    if gate is None:
        opening = x * message
    else:
        fewer_nodes_here = x.shape[1] <= other.shape[1]
        gathered = _rowwise(gate.foreign, message) if fewer_nodes_here else weights @ _rowwise(gate.foreign, other)
        opening = _rowwise(gate.own, x) + gathered
    return F.relu(_rowwise(update, opening.sigmoid() * (x + message))) + x


def _rowwise(layer: nn.Linear, nodes: Tensor) -> Tensor:
    """`layer` on `nodes (P, N, d)` as one product; torch may make it P products, with P copies of the weights."""
    out: Tensor = layer(nodes.flatten(0, 1))
    return out.view(*nodes.shape[:2], -1)
