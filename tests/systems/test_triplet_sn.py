"""Triplet-SN and Triplet-Attn-SN: their crops, vectors and distances."""

import pytest
import torch
from torch.nn import functional as F

from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import TripletLoss
from fgsbir.metrics.ranking import compute_ranks
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.retrieval.distances import select
from fgsbir.systems import TripletAttnSN, TripletSN

SIDE, CROP = 64, 48  # a share of 0.75


def make(kind=TripletSN, **settings):
    torch.manual_seed(0)
    system = kind(SketchANet(), **{"crop": CROP / SIDE, **settings}).eval()
    if getattr(system, "holef", None):
        torch.nn.init.normal_(system.holef.offset)  # away from the Euclidean distance
    return system


def pictures(count, seed, side=SIDE):
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.manual_seed(seed), dtype=torch.uint8)


def sketch_batch(images):
    empty, places = torch.zeros(len(images), 0), torch.arange(len(images))
    return SketchBatch(**dict.fromkeys(SketchBatch._fields, empty) | {"image": images, "position": places})


def photo_batch(images):
    empty = torch.zeros(len(images), 0)
    return PhotoBatch(images, empty, empty, torch.arange(len(images)))


KINDS = [(TripletSN, {}), (TripletAttnSN, {}), (TripletAttnSN, {"distance": "euclidean"})]


def ten_views(image):
    """Corners and centre of a picture `(3, H, W)`, then of its mirror image."""
    corners = [(0, 0), (0, SIDE - CROP), (SIDE - CROP, 0), (SIDE - CROP, SIDE - CROP), ((SIDE - CROP) // 2,) * 2]
    return [picture[:, y : y + CROP, x : x + CROP] for picture in (image, image.flip(2)) for y, x in corners]


def one_distance(system, s, p):
    """Between two vectors, written out."""
    if getattr(system, "holef", None) is None:
        return sum((a - b) ** 2 for a, b in zip(s.tolist(), p.tolist(), strict=True))
    return float((system.holef.weight * (s[:, None] - p) ** 2).sum())


@pytest.mark.parametrize(("kind", "settings"), KINDS, ids=str)
@torch.no_grad()
def test_ten_crops_are_a_mean_over_equal_views(kind, settings):
    system = make(kind, **settings)
    sketches, photos = pictures(2, 1), pictures(3, 2)
    encoded = system.encode_sketch(sketch_batch(sketches)), system.encode_photo(photo_batch(photos))
    assert encoded[0].views.shape == (2, 10, 256 if kind is TripletSN else 512)
    distances = system.match_all(*encoded)
    for q, sketch in enumerate(sketches):
        for g, photo in enumerate(photos):
            pairs = zip(ten_views(sketch), ten_views(photo), strict=True)
            total = sum(one_distance(system, *(system.embed(view[None])[0] for view in pair)) for pair in pairs)
            assert float(distances[q, g]) == pytest.approx(total / 10, abs=1e-4)


@torch.no_grad()
def test_one_crop_is_the_centre():
    system, images = make(crops=1), pictures(2, 1)
    views = system.encode_photo(photo_batch(images)).views
    assert views.shape == (2, 1, 256)
    torch.testing.assert_close(views[:, 0], system.embed(images[:, :, 8:56, 8:56]))


def test_the_share_is_225_of_256_by_default(monkeypatch):
    seen = []
    for system in (TripletSN(SketchANet()), TripletAttnSN(SketchANet())):
        monkeypatch.setattr(system, "embed", lambda images: seen.append(tuple(images.shape)) or torch.zeros(1, 1))
        system.eval().encode_photo(photo_batch(pictures(1, 0, 256)))
        system.train().encode_photo(photo_batch(pictures(1, 0, 256)))
    assert seen == [(1, 3, 225, 225)] * 22


def training_crops(monkeypatch, calls=1, **settings):
    """Place and mirroring of the crops in training, read off pictures that show their own coordinates."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    images = torch.stack([y, x, torch.zeros_like(x)]).to(torch.uint8).repeat(20, 1, 1, 1)
    system, crops = make(**settings).train(), []
    monkeypatch.setattr(system, "embed", lambda images: crops.append(images) or torch.zeros(len(images), 1))
    torch.manual_seed(3)
    for _ in range(calls):
        assert system.encode_sketch(sketch_batch(images)).views.shape == (20, 1, 1)
    found = []
    for crop in torch.cat(crops).long():
        mirrored = bool(crop[1, 0, 0] > crop[1, 0, -1])
        plain = crop.flip(2) if mirrored else crop
        top, left = int(plain[0, 0, 0]), int(plain[1, 0, 0])
        assert torch.equal(plain, images[0, :, top : top + CROP, left : left + CROP].long())
        found.append((top, left, mirrored))
    return found


def test_training_crops_are_random_for_each_picture(monkeypatch):
    found = training_crops(monkeypatch, calls=20)
    tops, lefts, mirrored = zip(*found, strict=True)
    assert set(tops) == set(lefts) == set(range(SIDE - CROP + 1))  # every place, up to the border
    assert 0.4 < sum(mirrored) / len(mirrored) < 0.6
    assert len(set(found[:20])) > 10  # within a batch
    assert found[:20] != found[20:40]  # a photo has another crop than its sketch
    assert len({(top, left) for top, left, _ in found}) > 150  # the axes are drawn apart


def test_training_crops_follow_torchs_seed(monkeypatch):
    assert training_crops(monkeypatch) == training_crops(monkeypatch)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_flip_is_a_probability(monkeypatch, flip):
    assert {mirrored for *_, mirrored in training_crops(monkeypatch, flip=flip)} == {bool(flip)}


@torch.no_grad()
def test_vectors_have_unit_length():
    images = pictures(2, 1)
    torch.testing.assert_close(make().embed(images).norm(dim=1), torch.ones(2))
    system = make(TripletAttnSN)
    vectors = system.embed(images)
    maps = system.attention(system.backbone.maps(images))
    torch.testing.assert_close(vectors[:, :256], F.normalize(maps.flatten(2).sum(2), dim=1))
    torch.testing.assert_close(vectors[:, 256:], F.normalize(system.backbone.head(maps), dim=1))


@torch.no_grad()
def test_constant_vectors_find_nothing_by_a_learned_distance():
    system = make(TripletAttnSN)
    one = system.encode_photo(photo_batch(pictures(1, 1)))
    same = select(one, torch.zeros(5, dtype=torch.long))
    distances = system.match_all(same, same)
    assert (compute_ranks(distances, torch.arange(5)) > 1).sum() >= 4  # rounding may favour chance, no more


@pytest.mark.parametrize("crops", [1, 10])
def test_the_regulariser_is_added_to_the_loss(crops):
    system = make(TripletAttnSN, regularisation=0.1, crops=crops)
    batch = PairBatch(sketch_batch(pictures(3, 1)), photo_batch(pictures(3, 2)))
    with torch.no_grad():
        whole, penalty = system.batch_loss(batch), 0.1 * system.holef.penalty()
        system.regularisation = 0.0
        torch.testing.assert_close(whole, system.batch_loss(batch) + penalty)
        assert penalty > 0.1
    assert make(TripletAttnSN, distance="euclidean").regulariser() == 0


@pytest.mark.parametrize(("kind", "settings"), KINDS, ids=str)
def test_every_parameter_learns(kind, settings):
    system = make(kind, **settings).train()
    system.batch_loss(PairBatch(sketch_batch(pictures(4, 1)), photo_batch(pictures(4, 2)))).backward()
    dead = [name for name, p in system.named_parameters() if p.grad is None or not p.grad.any()]
    assert set(dead) <= {"attention.score.2.bias"}  # a softmax ignores a constant


def test_frozen_convolutions_and_weights_are_the_backbones():
    system = TripletAttnSN(SketchANet(frozen_convs=4), loss=TripletLoss(0.3))
    frozen = {name for name, p in system.named_parameters() if not p.requires_grad}
    assert frozen == {f"backbone.convs.conv{n}.{kind}" for n in range(1, 5) for kind in ("weight", "bias")}
    assert {id(p) for p in system.backbone_parameters()} == {id(p) for p in system.backbone.parameters()}
    assert system.weights_origin() == [system.backbone.origin]


@pytest.mark.parametrize("settings", [{"crop": 0.0}, {"crop": 1.2}, {"flip": -0.1}, {"flip": 2.0}], ids=str)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError):
        TripletSN(SketchANet(), **settings)
