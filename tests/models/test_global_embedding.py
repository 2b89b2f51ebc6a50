"""The vector of a whole picture: what it shows and where."""

import pytest
import torch
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone
from fgsbir.models.global_embedding import GlobalEmbedding


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return Backbone("test_efficientnet", 3, region_level=2)


@torch.no_grad()
@pytest.mark.parametrize("grids", [(3,), (2, 3), (1, 6, 2)])
def test_it_is_the_maximum_of_the_last_map_and_of_each_field_of_the_finer_one(backbone, grids):
    """Grid by grid, field by field and channel by channel, on a map whose side the grids divide."""
    whole = GlobalEmbedding(backbone, pyramid_dim=4, grids=grids)
    fine, last = torch.rand(2, backbone.region_channels, 6, 6), torch.rand(2, backbone.channels, 3, 3)
    found = whole(fine, last)
    assert found.shape == (2, backbone.channels + sum(grid**2 for grid in grids) * 4)
    for picture in range(2):
        what = torch.stack([channel.max() for channel in last[picture]])
        layout = []
        for place, grid in enumerate(grids):
            own = slice(4 * place, 4 * place + 4)
            weight, bias = whole.project.weight[own, :, 0, 0], whole.project.bias[own]
            side = 6 // grid
            where = [
                max(
                    max(0.0, float(weight[channel] @ fine[picture, :, y, x] + bias[channel]))
                    for y in range(side * row, side * row + side)
                    for x in range(side * column, side * column + side)
                )
                for channel in range(4)
                for row in range(grid)
                for column in range(grid)
            ]
            layout.append(F.normalize(torch.tensor(where), dim=0) / len(grids) ** 0.5)
        expected = torch.cat([what / what.norm(), *layout]) / 2**0.5
        torch.testing.assert_close(found[picture], expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_only_the_layout_knows_where(backbone):
    """The same marks, moved to other places: one vector without a layout, two with it."""
    fine, last = torch.rand(1, backbone.region_channels, 6, 6), torch.rand(1, backbone.channels, 6, 6)
    for pyramid_dim, same in ((0, True), (4, False)):
        whole = GlobalEmbedding(backbone, pyramid_dim)
        found, moved = whole(fine, last), whole(fine.flip(2), last.flip(2))
        assert torch.equal(found, moved) == same
        torch.testing.assert_close(found.norm(dim=1), torch.ones(1))


def test_without_a_layout_there_is_nothing_to_learn(backbone):
    assert not list(GlobalEmbedding(backbone).parameters())


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"pyramid_dim": -1}, "pyramid_dim"), ({"grids": [3, 0]}, "grids"), ({"grids": []}, "grids")],
)
def test_sizes_out_of_range_are_refused(backbone, settings, field):
    with pytest.raises(InputError, match=field):
        GlobalEmbedding(backbone, **settings)
