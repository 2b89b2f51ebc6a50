"""SWIRE: two networks that share nothing."""

import pytest
import torch

from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.losses import ContrastiveLoss
from fgsbir.metrics.ranking import compute_ranks
from fgsbir.models.backbone import Backbone
from fgsbir.systems import Swire
from fgsbir.systems.base import Optimisation


def make(**settings):
    torch.manual_seed(0)
    return Swire(Backbone("test_efficientnet", 3), **settings)


def batches(count=4):
    images = torch.randint(0, 256, (2, count, 3, 48, 48), generator=torch.manual_seed(1), dtype=torch.uint8)
    empty, places = torch.zeros(count, 0), torch.arange(count)
    fields = dict.fromkeys(SketchBatch._fields, empty) | {"image": images[0], "position": places}
    return PairBatch(SketchBatch(**fields), PhotoBatch(images[1], empty, empty, places))


def touched(system):
    return {name for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}


def test_the_networks_share_nothing_but_their_start():
    system = make()
    sketch, photo = system.sketch_backbone.state_dict(), system.photo_backbone.state_dict()
    assert all(torch.equal(sketch[key], photo[key]) for key in photo)
    assert not torch.equal(system.sketch_head.weight, system.photo_head.weight)
    addresses = [p.data_ptr() for p in system.parameters()]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_each_kind_of_picture_has_its_own_network(pool):
    batch = batches()
    system = make(pool=pool)
    system.encode_sketch(batch.sketch).vector[:, 0].sum().backward()
    assert {name.split("_")[0] for name in touched(system)} == {"sketch"}
    system = make(pool=pool)
    vectors = system.encode_photo(batch.photo).vector
    vectors[:, 0].sum().backward()
    assert {name.split("_")[0] for name in touched(system)} == {"photo"}
    assert vectors.shape == (4, 64)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("pool", ["mean", "max"])
@torch.no_grad()
def test_vectors_are_pooled_maps_through_a_dense_layer(pool):
    system, batch = make(pool=pool, dim=8), batches()
    flat = system.sketch_backbone(batch.sketch.image).flatten(2)
    pooled = flat.sum(2) / flat.shape[2] if pool == "mean" else flat.max(2).values
    vector = pooled @ system.sketch_head.weight.T + system.sketch_head.bias
    expected = vector / vector.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(system.encode_sketch(batch.sketch).vector, expected)


def test_both_networks_learn_at_the_backbones_rate():
    system = make(optimisation=Optimisation(lr=1e-2, backbone_lr_factor=0.1, schedule="constant"))
    rates = {id(p): group["lr"] for group in system.configure_optimizers().param_groups for p in group["params"]}
    for name, parameter in system.named_parameters():
        if parameter.requires_grad:
            assert rates[id(parameter)] == pytest.approx(1e-3 if "backbone" in name else 1e-2), name


def test_every_parameter_learns_with_its_own_loss():
    system = make(loss=ContrastiveLoss(4.0))
    system.batch_loss(batches()).backward()
    learning = {name for name, p in system.named_parameters() if p.requires_grad}
    assert {name for name in learning if "head" in name} == {
        f"{kind}_head.{part}" for kind in ("sketch", "photo") for part in ("weight", "bias")
    }
    assert learning <= touched(system)


@pytest.mark.parametrize("tower", ["sketch_backbone", "photo_backbone"])
@torch.no_grad()
def test_a_broken_network_is_no_result(tower):
    system, batch = make().eval(), batches()
    next(getattr(system, tower).parameters()).fill_(torch.nan)
    distances = system.match_all(system.encode_sketch(batch.sketch), system.encode_photo(batch.photo))
    with pytest.raises(ValueError, match="not finite"):
        compute_ranks(distances, torch.arange(4))


def test_the_origin_of_both_networks_is_told():
    assert [origin["source"] for origin in make().weights_origin()] == ["none (random initialisation)"] * 2


@pytest.mark.slow
def test_vgg_a_with_batch_norm_fits():
    """The original's network, untrained."""
    system = Swire(Backbone("vgg11_bn", 5, freeze_bn=False))
    convolutions = [m for m in system.photo_backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert system.encode_photo(batches(2).photo).vector.shape == (2, 64)
