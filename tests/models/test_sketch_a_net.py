"""Sketch-a-Net against its published table and a forward pass written out."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.sketch_a_net import SketchANet

PUBLISHED = {
    "conv1": (64, 71),
    "pool1": (64, 35),
    "conv2": (128, 31),
    "pool2": (128, 15),
    "conv3": (256, 15),
    "conv4": (256, 15),
    "conv5": (256, 15),
    "pool5": (256, 7),
}


def pictures(count=2, side=225):
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.manual_seed(1), dtype=torch.uint8)


@torch.no_grad()
def test_maps_have_the_published_sizes():
    net, seen = SketchANet(), {}
    for name, layer in [*net.convs.named_children(), ("fc6", net.fc6), ("fc7", net.fc7)]:
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    net(pictures(1))
    assert {name: seen[name] for name in PUBLISHED} == {n: (c, side, side) for n, (c, side) in PUBLISHED.items()}
    assert (seen["fc6"], seen["fc7"]) == ((512,), (256,))
    kernels = [(conv.kernel_size[0], conv.stride[0]) for conv in net.convs if isinstance(conv, torch.nn.Conv2d)]
    assert kernels == [(15, 3), (5, 1), (3, 1), (3, 1), (3, 1)]


@torch.no_grad()
def test_forward_is_that_of_the_table():
    net = SketchANet()
    w = net.state_dict()
    for key in w:
        if key.endswith("bias"):
            torch.nn.init.normal_(w[key])
    x = pictures().float().mean(1, keepdim=True) - 250.42
    x = F.max_pool2d(F.relu(F.conv2d(x, w["convs.conv1.weight"], w["convs.conv1.bias"], stride=3)), 3, 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, w["convs.conv2.weight"], w["convs.conv2.bias"])), 3, 2)
    for n in (3, 4, 5):
        x = F.relu(F.conv2d(x, w[f"convs.conv{n}.weight"], w[f"convs.conv{n}.bias"], padding=1))
    x = F.max_pool2d(x, 3, 2)
    torch.testing.assert_close(net.maps(pictures()), x)
    hidden = F.relu(x.reshape(2, -1) @ w["fc6.weight"].T + w["fc6.bias"])
    torch.testing.assert_close(net(pictures()), hidden @ w["fc7.weight"].T + w["fc7.bias"])


@torch.no_grad()
def test_bytes_and_floats_are_the_same_picture_and_colour_does_not_count():
    net, images = SketchANet(), pictures(side=64)
    vectors = net(images)
    torch.testing.assert_close(net(images.float() / 255), vectors)
    torch.testing.assert_close(net(images[:, [2, 0, 1]]), vectors)
    assert not torch.allclose(net(images.flip(3)), vectors)


@pytest.mark.parametrize("side", [48, 49, 56, 100, 256])
@torch.no_grad()
def test_other_sizes_give_the_same_map(side):
    maps = SketchANet().maps(pictures(1, side))
    assert maps.shape == (1, 256, 7, 7)
    assert maps.isfinite().all()
    assert maps.std() > 0


def test_a_picture_that_is_too_small_is_refused():
    with pytest.raises(InputError, match=r"47 pixels are too few.*image_size"):
        SketchANet()(pictures(1, 47))


@pytest.mark.parametrize("frozen", [0, 4, 5])
def test_frozen_convolutions_do_not_learn(frozen):
    net = SketchANet(frozen_convs=frozen)
    net(pictures(side=64)).square().mean().backward()
    for name, parameter in net.named_parameters():
        is_frozen = name.startswith("convs.") and int(name[len("convs.conv")]) <= frozen
        assert (parameter.grad is None) is is_frozen, name


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_fill_the_convolutions_and_only_them(suffix, tmp_path):
    state = {key: torch.randn_like(value) for key, value in SketchANet().convs.state_dict().items()}
    path = tmp_path / f"trunk{suffix}"
    saved = state | {"fc8.weight": torch.zeros(250, 512)}
    torch.save(saved, path) if suffix == ".pth" else save_file(saved, path)
    net = SketchANet(str(path), frozen_convs=5)
    assert all(torch.equal(value, state[key]) for key, value in net.convs.state_dict().items())
    assert net.origin == {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    save_file({key: value for key, value in state.items() if key != "conv3.bias"}, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=r"conv3\.bias"):
        SketchANet(str(tmp_path / "part.safetensors"))


@pytest.mark.parametrize(
    "settings",
    [{"frozen_convs": 6}, {"frozen_convs": -1}, {"weights": "timm"}, {"weights": "wheel"}, {"weights": "no-such-file"}],
    ids=str,
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError):
        SketchANet(**settings)
