"""Every system can learn sixteen pairs by heart."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
import torch

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.metrics.ranking import compute_ranks
from fgsbir.models.backbone import Backbone
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.regions.source import RegionSource
from fgsbir.systems import (
    BGatedSiamese,
    BGraphHierarchy,
    BLocalisedCoattn,
    BSiamese,
    ExplicitHierarchy,
    LayoutSiamese,
    Proposed,
    SketchBertVariant,
    SketchFormerVariant,
    Swire,
    System,
    TripletAttnSN,
    TripletSN,
    WithoutLocalisedCoattn,
)
from fgsbir.systems.node_system import NodeSettings

PAIRS = 16


class Recipe(NamedTuple):
    """How a system is made and trained; few steps, seconds on one thread."""

    make: Callable[[], System]
    steps: int = 40
    lr: float = 2e-3
    rendering: Rendering = Rendering(image_size=64, num_regions=4, max_strokes=6)


EDGES = Rendering(image_size=64, num_regions=4, max_strokes=6, photo_style="edges")
POINTS = Rendering(image_size=64, num_regions=4, max_strokes=6, max_points=64)
WITH_GLOBAL = NodeSettings(32, 16, region_grid=3, global_weight=0.5)
WHOLE = {"crop": 1.0, "flip": 0.0, "crops": 1}  # whole images, as they are


def backbone():
    return Backbone("test_efficientnet", 3)


def strokes(coordinates):
    return StrokeTransformer(64, heads=2, feedforward=64, dropout=0.0, coordinates=coordinates)


RECIPES = {
    "b_siamese": Recipe(lambda: BSiamese(backbone())),
    "layout_siamese": Recipe(lambda: LayoutSiamese(backbone(), 32)),
    "b_localised_coattn": Recipe(lambda: BLocalisedCoattn(backbone(), NodeSettings(32, 16, region_grid=3))),
    "b_gated_siamese": Recipe(lambda: BGatedSiamese(backbone(), columns=4, dim=32)),
    "b_graph_hierarchy": Recipe(lambda: BGraphHierarchy(backbone(), NodeSettings(32, 16, region_grid=3), layers=1), 60),
    # The tree alone learns, but not in seconds.
    "proposed": Recipe(lambda: Proposed(backbone(), WITH_GLOBAL)),
    "without_localised_coattn": Recipe(lambda: WithoutLocalisedCoattn(backbone(), WITH_GLOBAL)),
    "explicit_hierarchy": Recipe(lambda: ExplicitHierarchy(backbone(), WITH_GLOBAL)),
    "triplet_sn": Recipe(lambda: TripletSN(SketchANet(), **WHOLE), 15, 1e-4, EDGES),
    "triplet_attn_sn": Recipe(lambda: TripletAttnSN(SketchANet(), **WHOLE), 15, 1e-4, EDGES),
    "swire": Recipe(lambda: Swire(backbone())),
    # The authors' coordinates need several times the steps.
    "sketchbert_variant": Recipe(lambda: SketchBertVariant(backbone(), strokes("absolute")), 100, 1e-3, POINTS),
    "sketchbert_variant_fixed": Recipe(lambda: SketchBertVariant(backbone(), strokes("normalised")), 30, 1e-3, POINTS),
    "sketchformer_variant_fixed": Recipe(
        lambda: SketchFormerVariant(backbone(), strokes("normalised"), balanced=True, dropout=0.0), 50, 1e-3, POINTS
    ),
}


class Quarters(RegionSource):
    """Four boxes a photo, without a search."""

    def regions(self, photos):
        corners = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]])
        return {photo.id: torch.cat([corners, corners + 0.5], 1).numpy() for photo in photos}


@cache
def sixteen_pairs(rendering):
    source = Embedded(train=PAIRS, val=1, test=1, sketches_per_photo=1, size=64)
    data = SketchPhotoDataModule(source, Quarters(), rendering, batch_size=PAIRS, num_workers=0)
    data.setup("fit")
    return next(iter(data.train_dataloader()))


@torch.no_grad()
def ranks(system, batch):
    distances = system.match_all(system.encode_sketch(batch.sketch), system.encode_photo(batch.photo))
    return compute_ranks(distances, torch.arange(PAIRS)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_sixteen_pairs_are_learned_by_heart(name):
    recipe = RECIPES[name]
    batch = sixteen_pairs(recipe.rendering)
    torch.manual_seed(0)
    system = recipe.make()
    assert max(ranks(system.eval(), batch)) > 1  # there is something to learn
    optimiser = torch.optim.Adam([p for p in system.train().parameters() if p.requires_grad], recipe.lr, fused=True)
    for _ in range(recipe.steps):
        optimiser.zero_grad()
        system.batch_loss(batch).backward()
        optimiser.step()
    assert ranks(system.eval(), batch) == [1] * PAIRS
