"""Hierarchical fusion of one branch without a partner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fgsbir.models.hierarchy import Merge, NodeFusion


class BranchHierarchy(nn.Module):
    """Merges the most compatible two nodes of each set, level by level, until one is left.

    Args:
        fusion: chooses and fuses; the one of the paired hierarchy.
    """

    def __init__(self, fusion: NodeFusion) -> None:
        super().__init__()
        self.fusion = fusion

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # the number of nodes changes with every level
    def forward(self, nodes: Tensor, count: Tensor, trace: list[Merge] | None = None) -> Tensor:
        """Root nodes of B sets, `(B, d)`.

        Args:
            nodes: `(B, N, d)`, real nodes first.
            count: `(B,)`, number of real nodes, at least 1 everywhere.
            trace: if given, the merges are appended to it, level by level.
        """
        nodes = nodes[:, : int(count.max())]
        while nodes.shape[1] > 1:
            nodes, count, merge = self.fusion(nodes, count)
            if trace is not None:
                trace.append(merge)
        return nodes[:, 0]
