"""The batched hierarchy of given order against a plain loop over pairs."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fgsbir.models.coattention import CoAttention
from fgsbir.models.explicit_hierarchy import OrderedHierarchy
from fgsbir.models.hierarchy import Level, NodeFusion, PairedHierarchy

DIM = 10
MIXED = [(1, 1), (1, 16), (16, 1), (16, 16), (2, 1), (1, 2), (2, 2), (5, 9), (9, 5), (3, 14), (13, 4)]


def loop_take_in(x, other, weights, gate, update):
    message = weights @ other
    return F.relu(update(torch.sigmoid(gate.own(x) + gate.foreign(message)) * (x + message))) + x


def loop_coattention(model, sketch, photo):
    scores = model.sketch_projection(sketch) @ model.photo_projection(photo).T / math.sqrt(model.hidden)
    return (
        loop_take_in(sketch, photo, scores.softmax(1), model.sketch_gate, model.sketch_update),
        loop_take_in(photo, sketch, scores.T.softmax(1), model.photo_gate, model.photo_update),
    )


def loop_hierarchy(model, sketch, photo, sketch_merges, photo_merges):
    """Nodes in a dictionary by number, a level at a time, as the docstring says."""
    branches = [dict(enumerate(sketch)), dict(enumerate(photo))]
    leaves = len(sketch), len(photo)
    for level in range(max(leaves) - 1):
        numbers = [sorted(branch) for branch in branches]
        attended = loop_coattention(
            model.coattention, *(torch.stack([b[i] for i in n]) for b, n in zip(branches, numbers, strict=True))
        )
        branches = [dict(zip(n, rows, strict=True)) for n, rows in zip(numbers, attended, strict=True)]
        steps = (branches, leaves, (sketch_merges, photo_merges), (model.sketch_fuse, model.photo_fuse))
        for branch, count, merges, fuse in zip(*steps, strict=True):
            if len(branch) > 1:
                a, b = merges[level]
                branch[count + level] = F.relu(fuse(torch.cat([branch.pop(a), branch.pop(b)])))
    return [next(iter(branch.values())) for branch in branches]


def random_order(count, rng):
    nodes, merges = list(range(count)), []
    while len(nodes) > 1:
        pair = sorted(int(n) for n in rng.choice(nodes, 2, replace=False))
        nodes = [n for n in nodes if n not in pair] + [count + len(merges)]
        merges.append(pair)
    return merges


def made(share=True):
    torch.manual_seed(3)
    return OrderedHierarchy(DIM, CoAttention(DIM, 6), share).double()


def pairs_of(counts, padding=9.0, room=1):
    """Padded nodes, counts and merges of both branches, and the same without padding, pair by pair."""
    torch.manual_seed(5)
    rng = np.random.default_rng(5)
    nodes, merges, apart = [], [], []
    for branch in (0, 1):
        width = max(pair[branch] for pair in counts) + room
        nodes.append(torch.full((len(counts), width, DIM), padding, dtype=torch.double))
        merges.append(torch.zeros(len(counts), width - 1, 2, dtype=torch.long))
        apart.append([])
        for i, pair in enumerate(counts):
            own, order = torch.rand(pair[branch], DIM).double(), random_order(pair[branch], rng)
            nodes[branch][i, : len(own)] = own
            merges[branch][i, : len(order)] = torch.tensor(order).view(-1, 2)
            apart[branch].append((own, order))
    batch = [*nodes, *(torch.tensor(column) for column in zip(*counts, strict=True)), *merges]
    return batch, [(s[0], p[0], s[1], p[1]) for s, p in zip(*apart, strict=True)]


@pytest.mark.parametrize("share", [True, False])
def test_batched_equals_the_loop_in_values_and_gradients(share):
    model = made(share)
    batch, apart = pairs_of(MIXED)
    weight = torch.rand(2, len(MIXED), DIM, dtype=torch.double)

    def gradients(roots):
        model.zero_grad()
        sum((r * w).sum() for r, w in zip(roots, weight, strict=True)).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    batched = model(*batch)
    looped = [torch.stack(branch) for branch in zip(*(loop_hierarchy(model, *pair) for pair in apart), strict=True)]
    for ours, plain in zip(batched, looped, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    ours, plain = gradients(batched), gradients(looped)
    for name in plain:
        assert plain[name].any()
        torch.testing.assert_close(ours[name], plain[name], atol=1e-5, rtol=1e-5, msg=name)


def test_given_the_chosen_merges_it_is_the_paired_hierarchy():
    torch.manual_seed(0)
    fusion, coattention = NodeFusion(DIM, 6).double().eval(), CoAttention(DIM, 6).double()
    (sketch, photo, *counts, _, _), _ = pairs_of(MIXED)
    trace: list[Level] = []
    chosen = PairedHierarchy(fusion, fusion, coattention)(sketch, photo, *counts, trace)
    merges = [torch.zeros(len(MIXED), 15, 2, dtype=torch.long) for _ in counts]
    for pair, leaves in enumerate(MIXED):
        for branch, name in enumerate(("sketch_merge", "photo_merge")):
            numbers = list(range(leaves[branch]))
            for k in range(leaves[branch] - 1):
                merge = getattr(trace[k], name)
                second, first = numbers.pop(int(merge.second[pair])), numbers.pop(int(merge.first[pair]))
                numbers.append(leaves[branch] + k)
                merges[branch][pair, k] = torch.tensor([first, second])
    model = OrderedHierarchy(DIM, coattention).double()
    model.sketch_fuse.load_state_dict(fusion.fuse.state_dict())
    for ours, theirs in zip(model(sketch, photo, *counts, *merges), chosen, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)


def test_neither_padding_nor_company_matter():
    model = made()
    batch, _ = pairs_of(MIXED, padding=9.0)
    wider, _ = pairs_of(MIXED, padding=-3.0, room=4)
    for i in (3, 4):
        wider[i + 1][:, -3:] = 7  # no merges there
    together = model(*batch)
    for ours, theirs in zip(together, model(*wider), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)
    for pair in range(len(MIXED)):
        for alone, all_of_them in zip(model(*(field[pair : pair + 1] for field in batch)), together, strict=True):
            torch.testing.assert_close(alone[0], all_of_them[pair], atol=1e-10, rtol=1e-10)


def test_one_node_each_is_returned_as_it_is():
    batch, _ = pairs_of([(1, 1)])
    roots = made()(*batch)
    assert torch.equal(roots[0], batch[0][:, 0])
    assert torch.equal(roots[1], batch[1][:, 0])


def test_the_trace_tells_the_merges_that_were_given():
    batch, apart = pairs_of(MIXED)
    trace: list[Level] = []
    made()(*batch, trace)
    assert len(trace) == 15
    for pair, (sketch, photo, *orders) in enumerate(apart):
        for leaves, order, name in zip((len(sketch), len(photo)), orders, ("sketch", "photo"), strict=True):
            numbers, told = list(range(leaves)), []
            for level in trace:
                merge = getattr(level, f"{name}_merge")
                assert int(getattr(level, f"{name}_count")[pair]) == len(numbers)
                if merge is not None and not merge.done[pair]:
                    second, first = numbers.pop(int(merge.second[pair])), numbers.pop(int(merge.first[pair]))
                    numbers.append(leaves + len(told))
                    told.append([first, second])
            assert told == order
