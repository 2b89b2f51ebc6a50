"""A gate between the maps of two images, for many pairs at once."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError


class MatchingGate(nn.Module):
    r"""Strengthens in two maps what their rows have in common, then pools each to a vector (Varior et al. 2016).

    With rows $x_r$ of $c$ columns each, and $i$ counting channels:

    $$y_r = f(w * x_r), \quad g_r^i = \exp(-(y_{r1}^i - y_{r2}^i)^2 / (p^i)^2), \quad a_r = x_r + x_r \odot G_r$$

    where $w$ spans all columns, $f$ is a PReLU and $G_r$ repeats $g_r$ along the row. Every position of $a$ is then
    scaled to unit length over its channels. Both images share $w$, $p$ and $g$.

    A pair needs none of its maps written out: $g$ does not depend on the column, so the length at every position is a
    product of $(1 + g)^2$ with $x^2$ over the channels, and the mean over a row one of the inverse lengths with $x$.
    These are matrix products over all partners of an image, and a pair holds `H C` numbers instead of `H W C`.

    Args:
        channels: channels of the maps, C.
        columns: columns that the filter spans; maps of another width are averaged, or stretched, to that width. The
            filter has `C x C x columns` weights.
        spread: initial value of p; large, so that all gates begin near 1.
        pool: how gated maps become one vector. "max" holds `H W C` numbers a pair.

    Raises:
        InputError: for a number of columns or a spread that is not positive.

    Deviations:
        Varior et al. put gates between the layers of their network; the maps here are a network's last, because Sain
        et al. (2020) do not say where theirs stands. That f is a PReLU, and p one number a channel for all rows,
        follows memory of their paper.
    """

    def __init__(self, channels: int, columns: int, spread: float = 4.0, pool: Literal["max", "mean"] = "mean") -> None:
        super().__init__()
        if columns < 1:
            raise InputError("model.columns", f"{columns} is not positive", "use the width of the backbone's maps")
        if spread <= 0:
            raise InputError("model.spread", f"{spread} is not positive", "use e.g. 4.0")
        self.columns, self.pool = columns, pool
        self.filter = nn.Conv2d(channels, channels, (1, columns))
        self.activate = nn.PReLU()
        self.spread = nn.Parameter(torch.full((channels,), float(spread)))

    def summarise(self, maps: Tensor) -> Tensor:
        """Summaries of rows, y, `(B, C, H)`, of maps `(B, C, H, W)`; they need no partner."""
        summaries: Tensor = self.activate(self.filter(F.adaptive_avg_pool2d(maps, (maps.shape[2], self.columns))))
        return summaries[..., 0]

    def gates(self, first: Tensor, second: Tensor) -> Tensor:
        """Gates g of summaries y, in (0, 1]; both `(..., C)`, in shapes that broadcast."""
        return torch.exp(-(first - second).square() / self.spread.square().clamp(min=1e-6))

    def forward(
        self, first: Tensor, second: Tensor, first_summary: Tensor, second_summary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Unit vectors of P pairs, row by row, `(P, C)` each.

        Args:
            first: maps `(P, C, H, W)`.
            second: maps of their partners, `(P, C, H, W)`.
            first_summary: `(P, C, H)`, see `summarise`.
            second_summary: `(P, C, H)`.
        """
        opening = 1 + self.gates(first_summary.mT, second_summary.mT)[:, :, None]
        return self._pooled(first, opening)[:, 0], self._pooled(second, opening)[:, 0]

    def all_pairs(
        self, first: Tensor, second: Tensor, first_summary: Tensor, second_summary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, for every one of Q images with every one of G, `(Q, G, C)` each."""
        opening = 1 + self.gates(first_summary.mT[:, :, None], second_summary.permute(2, 0, 1))  # (Q, H, G, C)
        return self._pooled(first, opening), self._pooled(second, opening.transpose(0, 2)).transpose(0, 1)

    def _pooled(self, maps: Tensor, opening: Tensor) -> Tensor:
        """Unit vectors `(B, M, C)` of maps `(B, C, H, W)` with M partners each, by `1 + g (B, H, M, C)`."""
        rows = maps.permute(0, 2, 3, 1)  # (B, H, W, C)
        lengths = opening.square() @ rows.square().mT  # squared, (B, H, M, W)
        scale = lengths.clamp(min=1e-12).rsqrt()  # a position may be empty
        if self.pool == "mean":
            vectors = (opening * (scale @ rows)).sum(1)  # the sum serves as their mean: F.normalize drops the length
        else:
            vectors = (opening * (scale[..., None] * rows[:, :, None]).amax(3)).amax(1)  # 1 + g is positive
        return F.normalize(vectors, dim=2)
