"""Losses against plain loops over pairs."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fgsbir.errors import InputError
from fgsbir.systems.losses import ContrastiveLoss, TripletLoss


class Vectors(NamedTuple):
    vector: Tensor


class Euclid:
    def match(self, sketches, photos):
        return (sketches.vector - photos.vector).square().sum(1)

    def match_all(self, sketches, photos):
        return torch.cdist(sketches.vector, photos.vector).square()


def unit(n, seed):
    torch.manual_seed(seed)
    return Vectors(torch.nn.functional.normalize(torch.randn(n, 4, dtype=torch.double), dim=1))


def test_contrastive_equals_a_loop_and_masks_the_same_photo():
    sketches, photos = unit(5, 0), unit(5, 1)
    ids = torch.tensor([7, 8, 7, 9, 8])
    total = 0.0
    for i in range(5):
        for side in ("sketch", "photo"):

            def cosine(j, i=i, side=side):
                a, b = (i, j) if side == "sketch" else (j, i)
                return float(sketches.vector[a] @ photos.vector[b])

            others = [j for j in range(5) if j == i or ids[j] != ids[i]]
            total -= math.log(math.exp(cosine(i) / 0.1) / sum(math.exp(cosine(j) / 0.1) for j in others)) / 10
    assert float(ContrastiveLoss(temperature=0.1)(Euclid(), sketches, photos, ids)) == pytest.approx(total, rel=1e-6)


def test_triplet_with_two_photos_has_one_possible_negative():
    sketches, photos = unit(4, 2), unit(2, 3)
    ids = torch.tensor([0, 1, 0, 1])
    rows = Vectors(photos.vector[ids])
    expected = 0.0
    for i in range(4):
        near = float((sketches.vector[i] - rows.vector[i]).square().sum())
        far = float((sketches.vector[i] - photos.vector[1 - ids[i]]).square().sum())
        expected += max(0.0, 0.3 + near - far) / 4
    for seed in range(5):
        torch.manual_seed(seed)
        assert float(TripletLoss(0.3)(Euclid(), sketches, rows, ids)) == pytest.approx(expected, rel=1e-6)


def test_triplet_draws_every_other_photo():
    seen = set()

    class Spy(Euclid):
        def match(self, sketches, photos):
            seen.update(zip(sketches.vector[:, 0].tolist(), photos.vector[:, 0].tolist(), strict=True))
            return super().match(sketches, photos)

    vectors = Vectors(torch.arange(4.0)[:, None])
    for seed in range(100):
        torch.manual_seed(seed)
        TripletLoss()(Spy(), vectors, vectors, torch.arange(4))
    assert len(seen) == 16  # four positives and all twelve negatives


def test_a_batch_of_one_photo_teaches_nothing_and_does_not_fail():
    sketches = Vectors(torch.rand(3, 4, requires_grad=True))
    loss = TripletLoss()(Euclid(), sketches, Vectors(torch.rand(3, 4)), torch.zeros(3))
    loss.backward()
    assert float(loss) == 0
    assert (sketches.vector.grad == 0).all()


@pytest.mark.parametrize("make", [lambda: TripletLoss(0), lambda: ContrastiveLoss(-1)])
def test_settings_without_sense_are_refused(make):
    with pytest.raises(InputError, match="is not positive"):
        make()
