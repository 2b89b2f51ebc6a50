"""The matching gate against a loop over pairs, rows, columns and channels."""

import math

import pytest
import torch
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.matching_gate import MatchingGate

CHANNELS, ROWS, COLUMNS = 5, 3, 4


def made(pool="mean", columns=COLUMNS):
    torch.manual_seed(0)
    gate = MatchingGate(CHANNELS, columns, 1.0, pool).double()
    torch.nn.init.uniform_(gate.spread, 0.5, 2.0)
    return gate


def maps(count, seed, columns=COLUMNS):
    torch.manual_seed(seed)
    return (torch.randn(count, CHANNELS, ROWS, columns) * 2).double().requires_grad_()


def looped_summary(gate, x):
    """Of one map: channel by channel, row by row."""
    out = torch.zeros(CHANNELS, ROWS).double()
    for i in range(CHANNELS):
        for r in range(ROWS):
            total = gate.filter.bias[i] + (gate.filter.weight[i, :, 0] * x[:, r]).sum()
            out[i, r] = total if total > 0 else total * gate.activate.weight[0]
    return out


def looped_distance(gate, x1, x2):
    """Of one pair, from the equations, with whole gated maps."""
    y1, y2 = looped_summary(gate, x1), looped_summary(gate, x2)
    g = torch.stack([torch.exp(-((y1[i] - y2[i]) ** 2) / gate.spread[i] ** 2) for i in range(CHANNELS)])
    vectors = []
    for x in (x1, x2):
        columns = []
        for c in range(x.shape[2]):
            a = x[:, :, c] + x[:, :, c] * g
            columns.append(a / a.square().sum(0).sqrt())
        gated = torch.stack(columns, 2)
        vector = gated.flatten(1).mean(1) if gate.pool == "mean" else gated.flatten(1).amax(1)
        vectors.append(vector / vector.norm())
    return ((vectors[0] - vectors[1]) ** 2).sum()


def distances(gate, first, second, match):
    vectors = match(first, second, gate.summarise(first), gate.summarise(second))
    return (vectors[0] - vectors[1]).square().sum(-1)


def gradients(gate, weighted, *inputs):
    return torch.autograd.grad(weighted.sum(), [*gate.parameters(), *inputs], retain_graph=True)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_all_pairs_and_rows_equal_a_loop_in_values_and_gradients(pool):
    gate, first, second = made(pool), maps(4, 1), maps(3, 2)
    loop = torch.stack([torch.stack([looped_distance(gate, a, b) for b in second]) for a in first])
    batched = distances(gate, first, second, gate.all_pairs)
    assert loop.std() > 1e-3
    torch.testing.assert_close(batched, loop, atol=1e-5, rtol=1e-5)
    weight = torch.rand(4, 3).double()
    expected = gradients(gate, loop * weight, first, second)
    assert all(g.abs().max() > 1e-4 for g in expected)
    for ours, plain in zip(gradients(gate, batched * weight, first, second), expected, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)

    q, g = torch.tensor([0, 3, 1, 3]), torch.tensor([2, 0, 1, 2])
    aligned = distances(gate, first[q], second[g], gate)
    torch.testing.assert_close(aligned, loop[q, g], atol=1e-5, rtol=1e-5)
    for ours, plain in zip(
        gradients(gate, aligned * weight[q, g], first, second),
        gradients(gate, loop[q, g] * weight[q, g], first, second),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_gates_by_hand():
    """Channels with spread 2 and 1; y differs by 2 and 1 in both: exp(-1) = 0.367879."""
    gate = MatchingGate(2, 1)
    gate.spread.data = torch.tensor([2.0, 1.0])
    found = gate.gates(torch.tensor([[1.0, 5.0], [3.0, 0.0]]), torch.tensor([[3.0, 4.0], [3.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[math.exp(-1), math.exp(-1)], [1.0, 1.0]]))


@torch.no_grad()
def test_the_gate_is_symmetric_and_a_picture_is_nowhere_from_itself():
    gate, first, second = made(), maps(4, 1), maps(3, 2)
    there, back = distances(gate, first, second, gate.all_pairs), distances(gate, second, first, gate.all_pairs)
    torch.testing.assert_close(there, back.T)
    torch.testing.assert_close(distances(gate, first, first, gate), torch.zeros(4).double())


@torch.no_grad()
def test_a_wide_gate_is_open_and_leaves_a_plain_siamese_distance():
    gate, first, second = made(), maps(4, 1), maps(3, 2)
    gate.spread.fill_(1e6)
    plain = [F.normalize(F.normalize(x, dim=1).mean((2, 3)), dim=1) for x in (first, second)]
    expected = torch.cdist(*plain).square()
    torch.testing.assert_close(distances(gate, first, second, gate.all_pairs), expected)


@torch.no_grad()
def test_vectors_differ_from_partner_to_partner():
    gate, first, second = made(), maps(1, 1), maps(2, 2)
    vectors, _ = gate.all_pairs(first, second, gate.summarise(first), gate.summarise(second))
    assert (vectors[0, 0] - vectors[0, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_maps_of_another_width_are_summarised_by_mean_columns():
    gate, wide = made(columns=2), maps(2, 1)
    halves = torch.stack([wide[..., :2].mean(3), wide[..., 2:].mean(3)], 3)
    torch.testing.assert_close(gate.summarise(wide), gate.summarise(halves))
    assert distances(gate, wide, wide.flip(0), gate).shape == (2,)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_empty_places_and_a_spread_of_zero_are_no_failure(pool):
    gate, first, second = made(pool), maps(2, 1), maps(2, 2)
    gate.spread.data[0] = 0
    first.data[0, :, 1] = 0
    first.data[1] = second.data[1]
    found = distances(gate, first, second, gate.all_pairs)
    assert all(g.isfinite().all() for g in (found, *gradients(gate, found, first, second)))


@pytest.mark.parametrize(("columns", "spread", "names"), [(0, 1.0, "columns"), (4, 0.0, "spread")])
def test_settings_without_sense_are_refused(columns, spread, names):
    with pytest.raises(InputError, match=names):
        MatchingGate(4, columns, spread)
