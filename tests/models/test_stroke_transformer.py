"""The stroke transformer against a plain one: drawing by drawing, head by head, without padding."""

import hashlib
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.stroke_transformer import StrokeTransformer, sinusoids

SMALL = {"dim": 8, "layers": 2, "heads": 2, "feedforward": 12, "dropout": 0.0}
LENGTHS = [1, 7, 4]


def make(**settings):
    torch.manual_seed(0)
    model = StrokeTransformer(**{**SMALL, **settings})
    for parameter in model.parameters():  # biases and norms too
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def paths(lengths=LENGTHS, room=9, seed=1):
    torch.manual_seed(seed)
    points = torch.rand(len(lengths), room, 3)
    points[..., 2] = (points[..., 2] < 0.3).float()
    return points * (torch.arange(room) < torch.tensor(lengths)[:, None])[..., None], torch.tensor(lengths)


def plain(model, points, coordinates, heads=2):
    """The vector of one drawing `(n, 3)`, as the authors' code computes it."""
    dim = model.lift.out_features
    rows = []
    for place, (x, y, pen) in enumerate(points):
        if coordinates == "absolute":
            row = model.lift(torch.stack([256 * x, 256 * y, pen])) * math.sqrt(dim)
        else:
            row = model.lift(torch.stack([2 * x - 1, 2 * y - 1, pen]))
        code = [(math.sin if i % 2 == 0 else math.cos)(place / 10_000 ** (2 * (i // 2) / dim)) for i in range(dim)]
        rows.append(row + torch.tensor(code))
    x = torch.stack(rows)
    for layer in model.encoder.layers:
        weight, bias = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
        query, key, value = (x @ w.T + b for w, b in zip(weight.chunk(3), bias.chunk(3), strict=True))
        size = dim // heads
        mixed = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            attention = (query[:, own] @ key[:, own].T / math.sqrt(size)).softmax(1)
            mixed.append(attention @ value[:, own])
        x = layer.norm1(x + layer.self_attn.out_proj(torch.cat(mixed, 1)))
        x = layer.norm2(x + layer.linear2(F.relu(layer.linear1(x))))
    return model.encoder.norm(x).amax(0)


@pytest.mark.parametrize("coordinates", ["absolute", "normalised"])
@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradients_are_those_of_the_plain_transformer(coordinates, training):
    model = make(coordinates=coordinates).train(training)
    if coordinates == "absolute":  # else the attention saturates, and every point sees one other
        model.lift.weight.data /= 300
    points, lengths = paths()
    found = model(points, lengths)
    expected = torch.stack([plain(model, p[:n], coordinates) for p, n in zip(points, LENGTHS, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():  # torch has a path of its own for this
        torch.testing.assert_close(model(points, lengths), expected, atol=1e-5, rtol=1e-4)
    weight = torch.rand_like(found)
    parameters = list(model.parameters())
    pairs = zip(
        torch.autograd.grad((found * weight).sum(), parameters),
        torch.autograd.grad((expected * weight).sum(), parameters),
        strict=True,
    )
    for own, true in pairs:
        scale = max(1.0, float(true.abs().max()))
        torch.testing.assert_close(own / scale, true / scale, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_padding_never_matters(training):
    model = make(coordinates="normalised").train(training)
    points, lengths = paths()
    real = (torch.arange(9) < lengths[:, None])[..., None]
    dirty = torch.where(real, points, torch.full_like(points, 50.0)).requires_grad_()
    wide = torch.cat([points, torch.rand(3, 4, 3)], 1)
    expected = model(points, lengths)
    found = model(dirty, lengths)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(model(wide, lengths), expected)
    found.sum().backward()
    assert not dirty.grad.masked_select(~real).any()
    assert dirty.grad.masked_select(real).any()


def test_sinusoids_of_a_few_positions():
    codes = sinusoids(5000, 4)
    assert codes.shape == (5000, 4)
    torch.testing.assert_close(codes[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    expected = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    torch.testing.assert_close(codes[3], torch.tensor(expected))


def test_the_order_of_the_points_counts():
    torch.manual_seed(0)
    model = StrokeTransformer(**{**SMALL, "dim": 32}, coordinates="normalised").eval()
    points, lengths = paths([9], 9)
    assert not torch.allclose(model(points, lengths), model(points.flip(1), lengths), atol=0.01)


def test_normalised_coordinates_are_of_the_size_of_the_positions():
    points, _ = paths([64] * 8, 64)
    spread = {}
    for coordinates in ("absolute", "normalised"):
        torch.manual_seed(0)
        spread[coordinates] = StrokeTransformer(coordinates=coordinates).embed(points).std() / sinusoids(64, 768).std()
    assert spread["absolute"] > 1000  # as published: positions are lost
    assert 1 / 3 < spread["normalised"] < 3


def test_layers_do_not_start_as_copies():
    first, second = StrokeTransformer(**SMALL).encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
    assert not torch.equal(first.self_attn.in_proj_weight, second.self_attn.in_proj_weight)


def test_dropout_is_of_training_alone():
    model = make(dropout=0.5, coordinates="normalised")
    batch = paths()
    assert not torch.equal(model(*batch), model(*batch))
    model.eval()
    assert torch.equal(model(*batch), model(*batch))


@pytest.mark.parametrize("coordinates", ["absolute", "normalised"])
def test_every_parameter_learns(coordinates):
    torch.manual_seed(0)
    model = StrokeTransformer(**{**SMALL, "dim": 32, "feedforward": 64}, coordinates=coordinates)
    (model(*paths()) * torch.rand(3, 32)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(("dim", "heads"), [(7, 1), (8, 3), (0, 1), (8, 0)])
def test_sizes_without_sense_are_refused(dim, heads):
    with pytest.raises(InputError, match=r"strokes\.dim"):
        StrokeTransformer(dim=dim, heads=heads)


def test_no_points_are_refused():
    with pytest.raises(InputError, match=r"data\.rendering\.max_points"):
        make()(torch.zeros(2, 0, 3), torch.zeros(2, dtype=torch.long))


def test_weights_come_from_a_file_and_their_digest_is_kept(tmp_path):
    model, path = make(), tmp_path / "encoder.safetensors"
    save_file(model.state_dict(), path)
    again = StrokeTransformer(**SMALL, weights=str(path))
    assert torch.equal(again.eval()(*paths()), model.eval()(*paths()))
    assert again.origin == {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert model.origin["sha256"] == ""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"coordinates": "normalised"}, "other heads or coordinates"),
        ({"heads": 4}, "other heads or coordinates"),
        ({"dim": 16}, "differ in shape"),
        ({"layers": 3}, "are absent"),
    ],
    ids=str,
)
def test_weights_of_other_settings_are_refused(settings, problem, tmp_path):
    path = tmp_path / "encoder.safetensors"
    save_file(make().state_dict(), path)
    with pytest.raises(InputError, match=problem):
        StrokeTransformer(**{**SMALL, **settings}, weights=str(path))


def test_bad_weights_are_refused(tmp_path):
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(InputError, match="no such weights file"):
        StrokeTransformer(**SMALL, weights=str(path))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a weights file"):
        StrokeTransformer(**SMALL, weights=str(path))
    for name in ("timm", "wheel"):
        with pytest.raises(InputError, match=f"weights '{name}'"):
            StrokeTransformer(**SMALL, weights=name)
    save_file(make().state_dict(), path)
    assert set(load_file(path)) == set(StrokeTransformer(**SMALL).state_dict())
