"""HOLEF against the double sum over elements, pair by pair."""

import pytest
import torch

from fgsbir.models.holef import Holef


def holef(dim=6, spread=2.0):
    torch.manual_seed(0)
    module = Holef(dim).double()
    torch.nn.init.normal_(module.offset, 0, spread)
    return module


def vectors(count, dim=6, seed=1):
    return torch.randn(count, dim, dtype=torch.double, generator=torch.manual_seed(seed), requires_grad=True)


def double_sum(weight, s, p):
    return sum(weight[i, j] * (s[i] - p[j]) ** 2 for i in range(len(s)) for j in range(len(p)))


def gradients(out, *inputs):
    weights = torch.randn(out.shape, dtype=out.dtype, generator=torch.manual_seed(3))
    return torch.autograd.grad((out * weights).sum(), inputs)


def test_all_pairs_equals_the_double_sum_in_values_and_gradients():
    module, s, p = holef(), vectors(3), vectors(4, seed=2)
    weight = torch.eye(6, dtype=torch.double) + module.offset / 6
    expected = torch.stack([torch.stack([double_sum(weight, a, b) for b in p]) for a in s])
    out = module.all_pairs(s, p)
    torch.testing.assert_close(out, expected, atol=1e-10, rtol=1e-10)
    inputs = s, p, module.offset
    for own, reference in zip(gradients(out, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(own, reference, atol=1e-10, rtol=1e-10)


def test_rows_equal_the_double_sum_in_values_and_gradients():
    module, s, p = holef(), vectors(6), vectors(6, seed=2)
    expected = torch.stack([double_sum(module.weight, a, b) for a, b in zip(s, p, strict=True)])
    out = module(s.view(2, 3, 6), p.view(2, 3, 6)).flatten()  # any number of axes in front
    torch.testing.assert_close(out, expected, atol=1e-10, rtol=1e-10)
    inputs = s, p, module.offset
    for own, reference in zip(gradients(out, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(own, reference, atol=1e-10, rtol=1e-10)


def test_single_precision_is_good_to_five_digits():
    exact, s, p = holef(64), vectors(5, 64), vectors(7, 64, 2)
    s, p = (torch.nn.functional.normalize(x, dim=1) for x in (s, p))
    rough = Holef(64)
    rough.load_state_dict({"offset": exact.offset.float()})
    torch.testing.assert_close(rough.all_pairs(s.float(), p.float()).double(), exact.all_pairs(s, p), atol=1e-5, rtol=0)


def test_it_starts_as_the_squared_euclidean_distance():
    module, s, p = Holef(6).double(), vectors(3), vectors(4, seed=2)
    torch.testing.assert_close(module.all_pairs(s, p), torch.cdist(s, p).square())
    assert module.penalty() == 0


def test_negative_weights_give_negative_distances_and_keep_their_order():
    module = Holef(2)
    with torch.no_grad():
        module.offset.copy_(torch.tensor([[-4.0, 0.0], [0.0, -4.0]]))  # W = -I
    near, far = module(torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert (near.item(), far.item()) == (0, -2)


def test_the_penalty_is_the_distance_of_w_from_the_identity():
    module = holef()
    away = module.weight.detach() - torch.eye(6)
    total = sum(abs(float(x)) for x in away.flatten()) + sum(float(x) ** 2 for x in away.flatten()) ** 0.5
    assert module.penalty().item() == pytest.approx(total)


def test_the_penalty_has_a_gradient_at_the_identity():
    module = Holef(3)
    module.penalty().backward()
    assert (module.offset.grad == 0).all()  # and no NaN
