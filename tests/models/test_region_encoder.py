"""Boxes and pixels must agree exactly, whatever the sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from fgsbir.data.dataset import Rendering
from fgsbir.data.transforms import UnitAffine
from fgsbir.models.region_encoder import RegionEncoder


def boxes_at(*boxes):
    return torch.tensor([boxes], dtype=torch.float32), torch.ones(1, len(boxes), dtype=torch.bool)


@pytest.mark.parametrize("side", [6, 7, 17])
def test_a_region_sees_its_own_pixels_and_no_others(side):
    """One cell of the map is lit; a box over it finds the light, a box one cell away does not."""
    maps = torch.zeros(1, 1, side, side)
    maps[0, 0, 2, 3] = 1.0
    over = [3 / side, 2 / side, 4 / side, 3 / side]
    beside = [5 / side, 2 / side, 6 / side, 3 / side]
    encoder = RegionEncoder(1, None, output_size=1, sampling_ratio=1)
    found = encoder(maps, *boxes_at(over, beside))[0, :, 0]
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert found[1] == 0


def test_geometry_is_exact_for_a_stride_that_is_no_power_of_two():
    """A ramp over 17 cells (299 pixels, stride 17.6): a box's mean is the ramp at its centre."""
    side = 17
    maps = ((torch.arange(side) + 0.5) / side).expand(1, 1, side, side).contiguous()
    x1 = torch.tensor([0.1, 0.33, 0.5])
    boxes, mask = boxes_at(*[[float(a), 0.2, float(a) + 0.3, 0.7] for a in x1])
    means = RegionEncoder(1, None, pool="mean")(maps, boxes, mask)[0, :, 0]
    torch.testing.assert_close(means, x1 + 0.15, atol=1e-5, rtol=0)


def test_flipping_picture_and_boxes_together_gives_the_regions_of_the_flipped_picture():
    """The transform object moves both; the features equal the features of mirrored pixels with mirrored boxes."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    boxes = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.5, 0.9], [0.7, 0.05, 0.95, 0.3]], dtype=np.float32)
    moved, moved_boxes, mask = Rendering(image_size=60).photo(image, boxes, UnitAffine.about_centre(flip=True))
    torch.manual_seed(0)
    trunk = nn.Conv2d(3, 8, 5, stride=3, padding=1)
    encoder = RegionEncoder(8, 4)

    by_hand = torch.from_numpy(np.ascontiguousarray(image[:, ::-1])).permute(2, 0, 1)
    hand_boxes = torch.tensor([[1 - x2, y1, 1 - x1, y2] for x1, y1, x2, y2 in boxes.tolist()])
    seen = encoder(trunk(moved[None].float()), moved_boxes[None], mask[None])[0, :3]
    expected = encoder(trunk(by_hand[None].float()), hand_boxes[None], torch.ones(1, 3, dtype=torch.bool))[0]
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-5)


def test_pooling_is_symmetric_under_mirroring():
    """RoI align itself favours neither side: mirrored map and mirrored boxes pool to the same vectors."""
    torch.manual_seed(0)
    maps = torch.rand(1, 5, 9, 9)
    boxes, mask = boxes_at([0.13, 0.2, 0.61, 0.9], [0.5, 0.0, 1.0, 0.4])
    mirrored = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)
    encoder = RegionEncoder(5, None)
    torch.testing.assert_close(encoder(maps, boxes, mask), encoder(maps.flip(3), mirrored, mask), atol=1e-5, rtol=0)


def test_padding_boxes_are_zero_and_harmless():
    encoder = RegionEncoder(2, 3)
    maps = torch.rand(2, 2, 5, 5)
    boxes = torch.rand(2, 4, 4).sort(-1).values
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    out = encoder(maps, boxes, mask)
    assert (out[0, 2:] == 0).all()
    spoiled = boxes.clone()
    spoiled[0, 2:] = float("nan")
    assert torch.equal(encoder(maps, spoiled, mask), out)
