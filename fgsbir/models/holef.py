"""HOLEF: a learnable second-order distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Holef(nn.Module):
    r"""Compares every element of one vector with every element of another (Song et al. 2017).

    $$D_H(s, p) = \sum_{ij} W_{ij} (s_i - p_j)^2 = \sum_i r_i s_i^2 + \sum_j c_j p_j^2 - 2 s^T W p$$

    with $r$ and $c$ the sums of the rows and columns of $W$, so no `(Q, G, D, D)` is ever made. $W = I$ gives the
    squared Euclidean distance, and that is where it starts.

    $W$ may have negative entries, and so may the distances; and the distance of a vector to itself need not be zero.
    Their order and their differences, which ranks and losses read, are defined all the same.

    Args:
        dim: size of the vectors, D.

    Deviations:
        What is learned is `offset`, with $W = I + offset / D$. An optimiser such as Adam moves every entry by about as
        much; all D x D entries of a bare $W$ at once would change a distance D times as much as any other weight.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(dim, dim))

    @property
    def weight(self) -> Tensor:
        """W, `(D, D)`: rows for sketches, columns for photos."""
        return torch.eye(len(self.offset), device=self.offset.device) + self.offset / len(self.offset)

    def forward(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Distances `(...)` of vectors `(..., D)`, row by row."""
        weight = self.weight
        own = sketches.square() @ weight.sum(1) + photos.square() @ weight.sum(0)
        return own - 2 * ((sketches @ weight) * photos).sum(-1)

    def all_pairs(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Distances `(Q, G)` of sketches `(Q, D)` to photos `(G, D)`."""
        weight = self.weight
        own = (sketches.square() @ weight.sum(1))[:, None] + photos.square() @ weight.sum(0)
        return own - 2 * sketches @ weight @ photos.T

    def penalty(self) -> Tensor:
        """How far W is from the identity: the sum of the absolute entries of W - I and its Frobenius norm."""
        away = self.offset / len(self.offset)
        frobenius: Tensor = torch.linalg.matrix_norm(away)
        return away.abs().sum() + frobenius
