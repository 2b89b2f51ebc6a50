"""Losses against plain loops over pairs."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.errors import InputError
from fgsbir.losses import ContrastiveLoss, InfoNCELoss, JudgedTripletLoss, TripletLoss
from fgsbir.sketch.strokes import VectorSketch


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


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_contrastive_equals_a_loop_and_masks_the_same_photo(smoothing):
    sketches, photos = unit(5, 0), unit(5, 1)
    ids = torch.tensor([7, 8, 7, 9, 8])
    total = 0.0
    for i in range(5):
        for side in ("sketch", "photo"):

            def cosine(j, i=i, side=side):
                a, b = (i, j) if side == "sketch" else (j, i)
                return float(sketches.vector[a] @ photos.vector[b])

            others = [j for j in range(5) if j == i or ids[j] != ids[i]]
            whole = sum(math.exp(cosine(j) / 0.1) for j in others)
            for j in others:
                target = (1 - smoothing) * (j == i) + smoothing / len(others)
                total -= target * math.log(math.exp(cosine(j) / 0.1) / whole) / 10
    loss = InfoNCELoss(temperature=0.1, label_smoothing=smoothing)
    assert float(loss(Euclid(), sketches, photos, ids)) == pytest.approx(total, rel=1e-6)


def test_smoothing_keeps_gradients_finite_where_pairs_are_masked():
    photos = Vectors(unit(4, 1).vector.requires_grad_())
    InfoNCELoss(0.03, 0.1)(Euclid(), unit(4, 0), photos, torch.tensor([1, 1, 1, 2])).backward()
    assert photos.vector.grad.isfinite().all()
    assert photos.vector.grad.abs().sum() > 0


HINGES = [
    (TripletLoss, lambda near, far: max(0.0, 0.3 + near - far)),
    (ContrastiveLoss, lambda near, far: near + max(0.0, 0.3 - far)),
]


@pytest.mark.parametrize(("loss", "hinge"), HINGES)
def test_with_two_photos_there_is_one_possible_negative(loss, hinge):
    sketches, photos = unit(4, 2), unit(2, 3)
    ids = torch.tensor([0, 1, 0, 1])
    rows = Vectors(photos.vector[ids])
    expected = 0.0
    for i in range(4):
        near = float((sketches.vector[i] - rows.vector[i]).square().sum())
        far = float((sketches.vector[i] - photos.vector[1 - ids[i]]).square().sum())
        expected += hinge(near, far) / 4
    for seed in range(5):
        torch.manual_seed(seed)
        assert float(loss(0.3)(Euclid(), sketches, rows, ids)) == pytest.approx(expected, rel=1e-6)


def test_margin_contrastive_reaches_to_the_margin_and_pulls_for_ever():
    """Two pairs on a line: photos at 0 and 1, sketches at 0.1 and 0.9: D is 0.01 to the own, 0.81 to the other."""
    photos, sketches = Vectors(torch.tensor([[0.0], [1.0]])), Vectors(torch.tensor([[0.1], [0.9]]))
    for margin, expected in ((0.2, 0.01), (0.8, 0.01), (1.0, 0.01 + 0.19)):
        found = ContrastiveLoss(margin)(Euclid(), sketches, photos, torch.arange(2))
        assert float(found) == pytest.approx(expected, abs=1e-6)


def judged_data(judgements):
    """Photos a to f, of which b is held out: so the places of the others in the training gallery are 0 to 4."""
    splits = dict.fromkeys("abcdef", "train") | {"b": "val"}
    line = VectorSketch.from_strokes([[(0, 0), (1, 1)]])
    photos = {id_: PhotoRecord(id_, split) for id_, split in splits.items()}
    return PairedData("x", tuple(SketchRecord(i, i, s, line) for i, s in splits.items()), photos, judgements=judgements)


def drawn_triplets(loss, ids, times=200):
    """The triplets that are drawn, as places in the gallery, and how often."""
    counts = {}
    torch.manual_seed(0)
    for _ in range(times):
        for rows in zip(*loss.triplets(ids), strict=True):
            triplet = tuple(int(ids[row]) for row in rows)
            counts[triplet] = counts.get(triplet, 0) + 1
    return counts


A, C, D, E, F = range(5)  # places in the training gallery of `judged_data`


def test_judged_triplets_are_those_of_the_annotation_whose_photos_are_in_the_batch():
    loss = JudgedTripletLoss(judged=1)
    loss.prepare(
        judged_data({"a": [("d", "c"), ("a", "e"), ("d", "f"), ("b", "c")], "b": [("a", "c")], "c": [("e", "f")]})
    )
    ids = torch.tensor([D, A, C, E])  # f is not there, b is in no batch
    counts = drawn_triplets(loss, ids)
    assert {t for t in counts if t[0] == A} == {(A, D, C), (A, A, E)}
    for own in (C, D, E):  # nothing is known of these
        assert {t for t in counts if t[0] == own} == {(own, own, other) for other in (A, C, D, E) if other != own}
    assert 60 < counts[A, D, C] < 140


def test_judgements_of_a_former_dataset_are_forgotten():
    loss = JudgedTripletLoss()
    loss.prepare(judged_data({"a": [("d", "c")]}))
    assert loss.nearer is not None
    loss.prepare(judged_data({}))
    assert loss.nearer is None


def test_a_share_of_the_triplets_is_judged():
    loss = JudgedTripletLoss(judged=0.75)
    loss.prepare(judged_data({"a": [("d", "c")]}))
    counts = drawn_triplets(loss, torch.tensor([A, C, D]), 1000)
    assert sum(n for t, n in counts.items() if t[0] == A) == 1000
    assert counts[A, D, C] / 1000 == pytest.approx(0.75, abs=0.06)
    assert JudgedTripletLoss(judged=0.75).triplets(torch.tensor([A, A]))[0].tolist() == []


def test_judged_hinges_use_the_judged_photos():
    """On a line: sketch a at 0, photo d at 1, photo c at 2: D is 1 and 4."""
    loss = JudgedTripletLoss(margin=5, judged=1)
    loss.prepare(judged_data({"a": [("c", "d")], "c": [("d", "a")], "d": [("d", "a")]}))
    sketches, photos = Vectors(torch.tensor([[0.0], [0.0], [2.0]])), Vectors(torch.tensor([[7.0], [2.0], [1.0]]))
    expected = ((5 + 4 - 1) + max(0, 5 + 1 - 49) + max(0, 5 + 1 - 25)) / 3
    assert float(loss(Euclid(), sketches, photos, torch.tensor([A, C, D]))) == pytest.approx(expected)


def test_without_judgements_it_is_a_triplet_loss():
    sketches, photos, ids = unit(6, 2), unit(6, 3), torch.tensor([A, C, D, E, F, A])
    for judgements in ({}, {"a": [("b", "c")]}):  # b is held out
        loss = JudgedTripletLoss()
        loss.prepare(judged_data(judgements))
        assert loss.nearer is None
        torch.manual_seed(5)
        found = loss(Euclid(), sketches, photos, ids)
        torch.manual_seed(5)
        assert float(found) == float(TripletLoss()(Euclid(), sketches, photos, ids))


@pytest.mark.parametrize("judged", [-0.1, 1.1])
def test_a_share_is_between_none_and_all(judged):
    with pytest.raises(InputError, match=r"loss\.judged: .* not in \[0, 1\]"):
        JudgedTripletLoss(judged=judged)


@pytest.mark.parametrize("loss", [TripletLoss, ContrastiveLoss])
def test_every_other_photo_is_drawn(loss):
    seen = set()

    class Spy(Euclid):
        def match(self, sketches, photos):
            seen.update(zip(sketches.vector[:, 0].tolist(), photos.vector[:, 0].tolist(), strict=True))
            return super().match(sketches, photos)

    vectors = Vectors(torch.arange(4.0)[:, None])
    for seed in range(100):
        torch.manual_seed(seed)
        loss()(Spy(), vectors, vectors, torch.arange(4))
    assert len(seen) == 16  # four positives and all twelve negatives


@pytest.mark.parametrize("loss", [TripletLoss, ContrastiveLoss])
def test_a_batch_of_one_photo_teaches_nothing_and_does_not_fail(loss):
    sketches = Vectors(torch.rand(3, 4, requires_grad=True))
    value = loss()(Euclid(), sketches, Vectors(torch.rand(3, 4)), torch.zeros(3))
    value.backward()
    assert value.item() == 0
    assert (sketches.vector.grad == 0).all()


@pytest.mark.parametrize("make", [lambda: TripletLoss(0), lambda: ContrastiveLoss(0), lambda: InfoNCELoss(-1)])
def test_settings_without_sense_are_refused(make):
    with pytest.raises(InputError, match="is not positive"):
        make()
