"""Triplet hinges with one random negative a sketch, or with human triplet judgements."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fgsbir.data.records import PairedData
from fgsbir.errors import InputError
from fgsbir.losses.base import Matcher, PairLoss
from fgsbir.retrieval.distances import select


class RandomNegativeLoss(PairLoss):
    """A loss over pairs and, for each sketch, one random photo of the batch that is not its own.

    Sketches for which the batch has no other photo are left out.

    Args:
        margin: margin between the distances of the own and the other photo.

    Raises:
        InputError: if the margin is not positive.
    """

    def __init__(self, margin: float = 0.2) -> None:
        if margin <= 0:
            raise InputError("loss.margin", f"{margin} is not positive", "use e.g. 0.2")
        super().__init__()
        self.margin = margin

    @abstractmethod
    def penalty(self, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each sketch, `(P,)`, by its distances to its own and the other photo."""

    def triplets(self, photo_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of sketches, positive and negative photos, `(P,)` each."""
        weights = (photo_ids[:, None] != photo_ids).float()
        rows = weights.any(1).nonzero()[:, 0]
        return rows, rows, torch.multinomial(weights[rows], 1)[:, 0] if len(rows) else rows

    def forward(self, matcher: Matcher, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """See `PairLoss`."""
        rows, positive, negative = self.triplets(photo_ids)
        if not len(rows):  # a batch of one photo: nothing to learn, but a graph for the optimiser
            return matcher.match(sketches, photos).sum() * 0
        twice, partners = torch.cat([rows, rows]), torch.cat([positive, negative])
        return self.penalty(*matcher.match(select(sketches, twice), select(photos, partners)).chunk(2)).mean()


class TripletLoss(RandomNegativeLoss):
    """Paired triplet hinge with a random negative: max(0, margin + D(S+, P+) - D(S-, P-)).

    The first term is D(S+, P+): the published slide prints D(S+, P-) there, against its own figure
    (Sain et al. 2020, slide 9 and framework figure). The margin is 0.2 in the authors' attention models, 0.3 in
    their siamese ones.

    Deviations:
        The negative is a random other photo of the same batch, so every photo is encoded once a step; the
        authors load a third image. A photo is never its own negative; theirs can be.
    """

    def penalty(self, positive: Tensor, negative: Tensor) -> Tensor:
        """See `RandomNegativeLoss`."""
        return F.relu(self.margin + positive - negative)


class JudgedTripletLoss(TripletLoss):
    """Triplet hinge that learns from human judgements: photo p is nearer to sketch s than photo p' is.

    A share of the sketches uses a judged pair of photos, both of them in the batch. The others, and sketches without
    such a pair, use their own photo and a random other one. Judgements about photos outside the training split are
    left out. Without any judgements this is `TripletLoss`.

    Yu et al. 2016 (Triplet-SN) train so, with three quarters of judged triplets.

    Args:
        margin: margin between the distances of the nearer and the farther photo.
        judged: share of the sketches with a judged pair in the batch that use one, in [0, 1].

    Raises:
        InputError: if the margin is not positive or the share not in [0, 1].

    Deviations:
        Both photos come from the batch, so every photo is encoded once a step; the authors load them for each sketch.
    """

    def __init__(self, margin: float = 0.2, judged: float = 0.75) -> None:
        super().__init__(margin)
        if not 0 <= judged <= 1:
            raise InputError("loss.judged", f"{judged} is not in [0, 1]", "use e.g. 0.75")
        self.judged = judged
        # No buffer: weight averaging copies the module before training, when there are no judgements yet.
        self.nearer: Tensor | None = None

    def prepare(self, data: PairedData) -> None:
        """Looks up the judgements: `nearer[q, i, j]` where photo i is nearer to the sketch of photo q than photo j."""
        index = {photo.id: i for i, photo in enumerate(data.split_photos("train"))}
        judged = [
            (index[drawn], index[near], index[far])
            for drawn, pairs in data.judgements.items()
            for near, far in pairs
            if drawn in index and near in index and far in index
        ]
        self.nearer = None  # judgements of a former dataset
        if judged:
            self.nearer = torch.zeros(3 * [len(index)], dtype=torch.bool)
            self.nearer[tuple(torch.tensor(judged).T)] = True

    def triplets(self, photo_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `RandomNegativeLoss`."""
        rows, positive, negative = super().triplets(photo_ids)
        if self.nearer is None or not len(rows):
            return rows, positive, negative
        self.nearer = self.nearer.to(photo_ids.device)
        pairs = self.nearer[photo_ids][:, photo_ids][:, :, photo_ids].flatten(1)[rows].float()
        use = pairs.any(1) & (torch.rand(len(rows), device=rows.device) < self.judged)
        if use.any():
            chosen = torch.multinomial(pairs[use], 1)[:, 0]
            positive, negative = positive.clone(), negative.clone()
            positive[use], negative[use] = chosen // len(photo_ids), chosen % len(photo_ids)
        return rows, positive, negative
