"""Triplet-SN: Sketch-a-Net, a triplet loss and ten crops."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import center_crop, ten_crop

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import PairLoss
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.retrieval.distances import squared_euclidean
from fgsbir.systems.base import Optimisation
from fgsbir.systems.siamese import SiameseSystem


class ViewEncoding(NamedTuple):
    """One vector for each view of an image.

    Attributes:
        views: `(B, V, D)`; the same V and the same views for sketches and photos.
    """

    views: Tensor


class TripletSN(SiameseSystem):
    """One Sketch-a-Net for sketches and photos, compared crop by crop (Yu et al. 2016, DeepSBIR's train.prototxt).

    Training reads one random crop of each image, perhaps mirrored; evaluation reads the crops of the corners and the
    centre, plain and mirrored, and takes the mean distance of equal views. The original reads photos as edge maps:
    `data.rendering.photo_style: edges`, at 256 pixels.

    Args:
        backbone: network for sketches and photos.
        crop: side of a view as a share of the image's; 225 of 256 pixels in the original.
        crops: number of views in evaluation, 10, or 1 for the centre alone.
        flip: probability that a crop is mirrored in training, of sketch and photo each on its own.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Raises:
        InputError: if `crop` is not in (0, 1], or `flip` not in [0, 1].

    Deviations:
        Evaluation has 10 pairs of equal views; the authors' Caffe code draws 20. Negatives are random photos of the
        batch; 75 % of the original's were ranked by annotators.
    """

    name = "Triplet-SN"
    paper = "Yu et al., CVPR 2016"
    indexable = True  # the concatenated views of an image are one vector

    def __init__(
        self,
        backbone: SketchANet,
        crop: float = 225 / 256,
        crops: Literal[1, 10] = 10,
        flip: float = 0.5,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        if not 0 < crop <= 1:
            raise InputError("crop", f"{crop} is no share of an image", "use more than 0 and at most 1")
        if not 0 <= flip <= 1:
            raise InputError("flip", f"{flip} is no probability", "use 0 to 1")
        self.backbone, self.crop, self.flip = backbone, crop, flip
        self.crops: Literal[1, 10] = crops

    def embed(self, images: Tensor) -> Tensor:
        """Unit vectors `(B, D)` of images `(B, 3, H, W)` of one view."""
        return F.normalize(self.backbone(images), dim=1)

    def _views(self, images: Tensor) -> tuple[Tensor, ...]:
        side = round(self.crop * images.shape[-1])
        if self.training:
            return (_random_crop(images, side, self.flip),)
        return ten_crop(images, [side, side]) if self.crops == 10 else (center_crop(images, [side, side]),)

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> ViewEncoding:
        """A vector for each view, `(B, V, D)`."""
        return ViewEncoding(torch.stack([self.embed(view) for view in self._views(batch.image)], dim=1))

    def match(self, sketches: ViewEncoding, photos: ViewEncoding) -> Tensor:
        """Mean over the views of the distances, `(P,)`."""
        return self.view_distance(sketches.views.float(), photos.views.float()).mean(1)

    def match_all(self, sketches: ViewEncoding, photos: ViewEncoding) -> Tensor:
        """Mean over the views of the distances, `(Q, G)`."""
        views = zip(sketches.views.float().unbind(1), photos.views.float().unbind(1), strict=True)
        return torch.stack([self.view_distances(*view) for view in views]).mean(0)

    def view_distance(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Squared Euclidean distances `(...)` of vectors `(..., D)`, row by row."""
        return (sketches - photos).square().sum(-1)

    def view_distances(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """Squared Euclidean distances `(Q, G)` of vectors `(Q, D)` and `(G, D)`."""
        return squared_euclidean(sketches, photos)


def _random_crop(images: Tensor, side: int, flip: float) -> Tensor:
    """A random `side x side` crop of each image, perhaps mirrored; drawn by torch's generator."""
    height, width = images.shape[-2:]
    top = torch.randint(height - side + 1, (len(images),)).tolist()
    left = torch.randint(width - side + 1, (len(images),)).tolist()
    mirrored = (torch.rand(len(images)) < flip).tolist()
    crops = [image[:, y : y + side, x : x + side] for image, y, x in zip(images, top, left, strict=True)]
    return torch.stack([crop.flip(-1) if mirror else crop for crop, mirror in zip(crops, mirrored, strict=True)])
