"""The rows of all processes, with gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class GatherRows(torch.autograd.Function):
    """Joins the rows `(B, ...)` of W processes to `(W B, ...)` in each; a row's gradient is the sum of all processes'.

    Those of `torch.distributed.nn` are deprecated, and with gloo they mix up gradients that are not contiguous.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """Rows of process 0 first."""
        ctx.rows = len(rows)
        rows = rows.contiguous()
        out = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(out, rows)
        return torch.cat(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The part of this process's rows."""
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.narrow(0, dist.get_rank() * ctx.rows, ctx.rows)
