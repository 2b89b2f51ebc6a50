"""Retrieval metrics gathered over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from fgsbir.metrics.ranking import compute_ranks, summarise


class RetrievalMetrics(Metric):
    """acc@1, acc@5, acc@10 and mean reciprocal rank of the true photo, in percent, and its mean rank.

    Only ranks are kept, not distances. A query that a distributed sampler repeats to fill its last batch
    counts once.

    Example:
        >>> metric = RetrievalMetrics()
        >>> metric.update(torch.tensor([[0.1, 0.9], [0.4, 0.3]]), torch.tensor([0, 0]), torch.tensor([0, 1]))
        >>> metric.compute()["acc1"]
        tensor(50.)
    """

    full_state_update = False
    is_differentiable = False
    query: list[Tensor]
    ranks: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("query", default=[], dist_reduce_fx="cat")
        self.add_state("ranks", default=[], dist_reduce_fx="cat")

    def update(self, distances: Tensor, target: Tensor, query: Tensor) -> None:
        """Adds a batch of queries.

        Args:
            distances: to every photo of the gallery, `(Q, G)`, floating.
            target: gallery index of each true photo, `(Q,)`, long.
            query: index of each query in its split, `(Q,)`, long.

        Raises:
            ValueError: as `compute_ranks`, or if `query` has another length.
        """
        ranks = compute_ranks(distances, target)
        if query.shape != ranks.shape:
            raise ValueError(f"query must be {tuple(ranks.shape)}, got {tuple(query.shape)}")
        self.query.append(query)
        self.ranks.append(ranks)

    def compute(self) -> dict[str, Tensor]:
        """The metrics of `summarise`, as scalar tensors."""
        query, order = dim_zero_cat(self.query).sort(stable=True)
        first = query.diff(prepend=query[:1] - 1) != 0
        ranks = dim_zero_cat(self.ranks)[order][first]
        return {name: torch.tensor(value, device=self.device) for name, value in summarise(ranks.cpu()).items()}
