"""SketchBERT-Variant and SketchFormer-Variant: what they read and which weights they have."""

import pytest
import torch
from tiny import TINY
from torch.nn import functional as F

from fgsbir.cli import main
from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.models.backbone import Backbone
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.systems import SketchBertVariant, SketchFormerVariant

SYSTEMS = pytest.mark.parametrize("kind", [SketchBertVariant, SketchFormerVariant])


def make(kind, **settings):
    torch.manual_seed(0)
    strokes = StrokeTransformer(16, heads=2, feedforward=16, coordinates="normalised")
    return kind(Backbone("test_efficientnet", 3), strokes, **settings).eval()


def sketches(seed=1):
    torch.manual_seed(seed)
    lengths, place = torch.tensor([2, 9, 5]), torch.arange(3)
    image = torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8)
    points = torch.rand(3, 12, 3).round(decimals=2) * (torch.arange(12) < lengths[:, None])[..., None]
    return SketchBatch(image, torch.rand(3, 2, 4), torch.ones(3, 2, dtype=torch.bool), points, lengths, place, place)


def photos():
    batch = sketches(2)
    return PhotoBatch(batch.image, batch.boxes, batch.mask, batch.position)


@SYSTEMS
@torch.no_grad()
def test_a_sketch_does_not_depend_on_the_company(kind):
    system, batch = make(kind), sketches()
    whole = system.encode_sketch(batch).vector
    for i in range(3):
        alone = system.encode_sketch(SketchBatch(*(field[i : i + 1] for field in batch))).vector
        torch.testing.assert_close(alone[0], whole[i], atol=1e-5, rtol=1e-4)


@SYSTEMS
@torch.no_grad()
def test_what_of_a_sketch_is_read(kind):
    system, batch, other = make(kind), sketches(), sketches(3)
    vector = system.encode_sketch(batch).vector
    assert not torch.allclose(system.encode_sketch(batch._replace(points=other.points)).vector, vector, atol=1e-4)
    by_picture = system.encode_sketch(batch._replace(image=other.image)).vector
    assert torch.equal(by_picture, vector) == (kind is SketchBertVariant)
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_sketchbert_is_transformer_and_dense_layer():
    system, batch = make(SketchBertVariant), sketches()
    expected = F.normalize(system.sketch_head(system.strokes(batch.points, batch.lengths)), dim=1)
    torch.testing.assert_close(system.encode_sketch(batch).vector, expected)
    pooled = F.normalize(system.backbone(photos().image).mean((2, 3)), dim=1)
    expected = F.normalize(system.photo_head(pooled), dim=1)
    torch.testing.assert_close(system.encode_photo(photos()).vector, expected)


@pytest.mark.parametrize("balanced", [False, True])
@torch.no_grad()
def test_sketchformer_joins_path_and_picture(balanced):
    system, batch = make(SketchFormerVariant, balanced=balanced, hidden=10, dim=6), sketches()
    for parameter in system.sketch_backbone.parameters():
        parameter *= 1.1  # no longer the photos' network
    path = system.strokes(batch.points, batch.lengths)
    picture = F.normalize(system.sketch_backbone(batch.image).mean((2, 3)), dim=1)
    first, last = system.sketch_head[0], system.sketch_head[3]
    assert first.weight.shape == (10, 16 + system.backbone.channels)
    both = torch.cat([F.normalize(path, dim=1) if balanced else path, picture], 1)
    expected = F.normalize(last(first(both).relu()), dim=1)
    torch.testing.assert_close(system.encode_sketch(batch).vector, expected)


def test_dropout_stands_behind_the_joining_layer():
    dropout = make(SketchFormerVariant).sketch_head[2]
    assert isinstance(dropout, torch.nn.Dropout)
    assert dropout.p == 0.5


@SYSTEMS
def test_the_networks_share_nothing_and_learn_at_the_rate_of_backbones(kind):
    system = make(kind)
    slow = {id(parameter) for parameter in system.backbone_parameters()}
    for name, parameter in system.named_parameters():
        assert (id(parameter) in slow) == (not name.split(".")[0].endswith("_head")), name
    assert len(slow) == len(system.backbone_parameters())


@SYSTEMS
def test_the_authors_transformer_is_the_default(kind):
    system = kind(Backbone("test_efficientnet", 3))
    strokes = system.strokes
    layer = strokes.encoder.layers[1]
    assert (strokes.dim, len(strokes.encoder.layers), layer.self_attn.num_heads) == (768, 2, 4)
    assert layer.linear1.out_features == 768
    assert (strokes.dropout.p, layer.norm_first, strokes.coordinates) == (0.1, False, "absolute")
    assert len(system.weights_origin()) == (2 if kind is SketchBertVariant else 3)


@pytest.mark.parametrize("name", ["sketchbert_variant.SketchBertVariant", "sketchformer_variant.SketchFormerVariant"])
def test_without_points_there_is_one_line(name, write_config, capsys):
    model = {"class_path": f"fgsbir.systems.{name}", "init_args": TINY["model"]["init_args"]}
    assert main(["fit", "--config", str(write_config(model=model))]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    assert "data.rendering.max_points" in line
