"""Sketch-a-Net, the small network for line drawings that the first deep fine-grained systems share."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.backbone import load_weights
from fgsbir.models.recorded import Recorded

MEAN = 250.42
"""Mean grey value of the line drawings that it was made for: dark strokes on white."""

MIN_SIDE = 48
"""Smallest side in pixels; smaller images leave nothing for the second pool."""

CONVS = 5


class SketchANet(Recorded, nn.Module):
    """Five convolutions and two dense layers on a grey image (Yu et al. 2016; layers of DeepSBIR's train.prototxt).

    At 225 pixels the maps have sides 71, 35, 31, 15 and 7, as published. Any other size from 48 pixels works too: the
    last pool always gives 7 x 7.

    Args:
        weights: "none", or a `.safetensors` or `.pth` file with `conv1.weight` to `conv5.bias`, looked for here and in
            `$FGSBIR_WEIGHTS`. The dense layers always start at random.
        frozen_convs: number of first convolutions that do not learn; 5 in the original, which starts from a trained
            network.

    Raises:
        InputError: for weights that are missing or do not fit, or a `frozen_convs` out of range.

    Deviations:
        Without weights the convolutions start at random; the original was trained in stages on sketch recognition and
        edge maps first. Random weights are drawn as by He et al. (2015): torch's default shrinks the signal in every
        layer, and nothing here normalises it.
    """

    file_arguments = ("weights",)
    channels = 256
    """Channels of the pooled maps."""
    dim = 256
    """Size of the vector."""

    def __init__(self, weights: str = "none", frozen_convs: int = 0) -> None:
        super().__init__()
        if not 0 <= frozen_convs <= CONVS:
            raise InputError("backbone.frozen_convs", f"{frozen_convs} is out of range", f"use 0 to {CONVS}")
        self.convs = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 64, 15, 3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                conv2=nn.Conv2d(64, 128, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
                conv3=nn.Conv2d(128, 256, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(256, 256, 3, padding=1),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(256, 256, 3, padding=1),
                relu5=nn.ReLU(),
                pool5=nn.AdaptiveMaxPool2d(7),  # of 15 x 15 just what a 3 x 3 pool of stride 2 gives
            )
        )
        self.fc6 = nn.Linear(self.channels * 7 * 7, 512)
        self.fc7 = nn.Linear(512, self.dim)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        if weights == "timm":
            raise InputError("weights 'timm'", "timm has no Sketch-a-Net", "use a file, or none")
        self.origin = load_weights(self.convs, "Sketch-a-Net", weights)
        for number in range(1, frozen_convs + 1):
            getattr(self.convs, f"conv{number}").requires_grad_(False)

    def maps(self, images: Tensor) -> Tensor:
        """The pooled maps of the last convolution, `(B, 256, 7, 7)`, of images `(B, 3, H, W)`.

        Args:
            images: uint8, or float in [0, 1]; the mean of the three channels is used.

        Raises:
            InputError: if they are smaller than 48 pixels.
        """
        if (side := min(images.shape[-2:])) < MIN_SIDE:
            problem = f"{side} pixels are too few for Sketch-a-Net, which needs {MIN_SIDE}"
            raise InputError("images", problem, "use a larger data.rendering.image_size")
        grey = images.float() if images.dtype == torch.uint8 else images * 255
        maps: Tensor = self.convs(grey.mean(1, keepdim=True) - MEAN)
        return maps

    def head(self, maps: Tensor) -> Tensor:
        """Vectors `(B, 256)` of pooled maps `(B, 256, 7, 7)`."""
        vectors: Tensor = self.fc7(F.relu(self.fc6(maps.flatten(1))))
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """Vectors `(B, 256)` of images `(B, 3, H, W)`; see `maps`."""
        return self.head(self.maps(images))
