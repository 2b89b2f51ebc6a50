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
        None with "concat". $[x, y] W$ is computed as $x W_1 + y W_2$, and $(A P) W_2$ as $A (P W_2)$ where
        the other branch has fewer nodes: the same value for fewer multiplications.
    """

    def __init__(self, dim: int, hidden: int = 128, gate: Literal["concat", "product"] = "concat") -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.sketch_query = nn.Linear(dim, hidden, bias=False)
        self.photo_query = nn.Linear(dim, hidden, bias=False)
        self.sketch_gate = nn.Linear(2 * dim, dim) if gate == "concat" else None
        self.photo_gate = nn.Linear(2 * dim, dim) if gate == "concat" else None
        self.sketch_update = nn.Linear(dim, dim)
        self.photo_update = nn.Linear(dim, dim)

    def forward(self, sketch: Tensor, photo: Tensor, sketch_mask: Tensor, photo_mask: Tensor) -> Attended:
        """One step for P pairs.

        Args:
            sketch: `(P, Ns, d)`.
            photo: `(P, Np, d)`.
            sketch_mask: `(P, Ns)`, True where a node is real; at least one a row.
            photo_mask: `(P, Np)`, likewise.
        """
        scores = self.sketch_query(sketch) @ self.photo_query(photo).transpose(1, 2) / math.sqrt(self.hidden)
        to_photo = scores.masked_fill(~photo_mask[:, None], -torch.inf).softmax(2)
        to_sketch = scores.transpose(1, 2).masked_fill(~sketch_mask[:, None], -torch.inf).softmax(2)
        new_sketch = _take_in(sketch, photo, to_photo, self.sketch_gate, self.sketch_update)
        new_photo = _take_in(photo, sketch, to_sketch, self.photo_gate, self.photo_update)
        return Attended(new_sketch, new_photo, to_photo, to_sketch)


def _take_in(x: Tensor, other: Tensor, weights: Tensor, gate: nn.Linear | None, update: nn.Linear) -> Tensor:
    """Gated fusion of nodes `x (P, N, d)` with what they attend to in `other (P, M, d)`."""
    message = weights @ other
    if gate is None:
        opening = x * message
    else:
        own, foreign = gate.weight.chunk(2, dim=1)
        fewer_nodes_here = x.shape[1] <= other.shape[1]
        gathered = F.linear(message, foreign) if fewer_nodes_here else weights @ F.linear(other, foreign)
        opening = F.linear(x, own, gate.bias) + gathered
    return F.relu(update(opening.sigmoid() * (x + message))) + x
