"""The batched hierarchy against a plain loop over pairs that follows the equations to the letter."""

import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fgsbir.models.coattention import CoAttention
from fgsbir.models.hierarchy import Level, NodeFusion, PairedHierarchy


def loop_take_in(x, other, weights, gate, update):
    message = weights @ other
    if gate is None:
        opened = torch.sigmoid(x * message)
    else:
        weight = torch.cat([gate.own.weight, gate.foreign.weight], 1)
        opened = torch.sigmoid(F.linear(torch.cat([x, message], 1), weight, gate.own.bias))
    return F.relu(update(opened * (x + message))) + x


def loop_coattention(model, sketch, photo):
    scores = model.sketch_projection(sketch) @ model.photo_projection(photo).T / math.sqrt(model.hidden)
    return (
        loop_take_in(sketch, photo, scores.softmax(1), model.sketch_gate, model.sketch_update),
        loop_take_in(photo, sketch, scores.T.softmax(1), model.photo_gate, model.photo_update),
    )


def loop_fuse(model, nodes, choose):
    """All candidates are fused and mixed with the straight-through one-hot, as published."""
    if len(nodes) == 1:
        return nodes
    features = model.score(nodes)
    if model.compatibility == "cosine":
        features = torch.stack([x / x.norm() for x in features])
    pairs = [(a, b) for a in range(len(nodes)) for b in range(a + 1, len(nodes))]
    logits = torch.stack([features[a] @ features[b] * model.scale for a, b in pairs])
    soft = choose(logits, model.temperature)
    hard = F.one_hot(soft.argmax(), len(pairs)).to(soft)
    weights = (hard - soft).detach() + soft
    candidates = [model.fuse(torch.cat([nodes[a], nodes[b]])) for a, b in pairs]
    fused = sum(w * (F.relu(c) if model.relu else c) for w, c in zip(weights, candidates, strict=True))
    a, b = pairs[int(soft.argmax())]
    rest = [nodes[i] for i in range(len(nodes)) if i not in (a, b)]
    return torch.stack([*rest, fused])


def loop_hierarchy(model, sketch, photo, choose):
    while len(sketch) > 1 or len(photo) > 1:
        if model.coattention is not None:
            sketch, photo = loop_coattention(model.coattention, sketch, photo)
        sketch, photo = loop_fuse(model.sketch_fusion, sketch, choose), loop_fuse(model.photo_fusion, photo, choose)
    if model.attend_roots:
        sketch, photo = loop_coattention(model.coattention, sketch, photo)
    return sketch[0], photo[0]


def greedy(logits, temperature):
    return F.one_hot(logits.argmax(), len(logits)).to(logits)


def noiseless(logits, temperature, *_, **__):
    return (logits / temperature).softmax(-1)


def make(dim=12, hidden=7, gate="concat", shared=True, coattention=True, attend_roots=False, **fusion):
    torch.manual_seed(3)
    fusions = [NodeFusion(dim, hidden, **fusion) for _ in range(1 if shared else 2)]
    model = PairedHierarchy(
        fusions[0], fusions[-1], CoAttention(dim, hidden, gate) if coattention else None, attend_roots
    )
    return model.double()


def pairs_of(counts, dim=12, padding=0.0):
    """Node sets of the given counts, padded with `padding`, and the sets themselves."""
    torch.manual_seed(5)
    sets = [(torch.rand(s, dim).double(), torch.rand(p, dim).double()) for s, p in counts]
    widths = [max(c) for c in zip(*counts, strict=True)]
    out = [torch.full((len(counts), w, dim), padding, dtype=torch.double) for w in widths]
    for i, pair in enumerate(sets):
        for branch in (0, 1):
            out[branch][i, : len(pair[branch])] = pair[branch]
    return *out, *(torch.tensor(c) for c in zip(*counts, strict=True)), sets


MIXED = [(1, 1), (1, 16), (16, 1), (16, 16), (2, 1), (1, 2), (2, 2), (5, 9), (9, 5), (3, 14), (13, 4), (8, 8)]
random.Random(0).shuffle(MIXED)
SETTINGS = [
    {},
    {"gate": "product"},
    {"shared": False},
    {"coattention": False},
    {"attend_roots": True},
    {"compatibility": "raw", "relu": False, "temperature": 0.5},
    {"compatibility": "scaled"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_batched_equals_the_loop_in_values_and_gradients(settings, training, monkeypatch):
    # With the noise taken out both sides choose alike in training too; the soft weights keep their gradient.
    monkeypatch.setattr(F, "gumbel_softmax", noiseless)
    model = make(**settings).train(training)
    sketch, photo, sketch_count, photo_count, sets = pairs_of(MIXED, padding=9.0)
    weight = torch.rand(2, len(MIXED), 12, dtype=torch.double)

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}

    batched = model(sketch, photo, sketch_count, photo_count)
    batched_grad = gradients(sum((b * w).sum() for b, w in zip(batched, weight, strict=True)))
    looped = [loop_hierarchy(model, s, p, noiseless if training else greedy) for s, p in sets]
    looped = [torch.stack(branch) for branch in zip(*looped, strict=True)]
    looped_grad = gradients(sum((b * w).sum() for b, w in zip(looped, weight, strict=True)))

    for ours, plain in zip(batched, looped, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    compared = {k for k in looped_grad if training or "score" not in k}  # a greedy choice passes no gradient
    assert compared == {k for k in batched_grad if k in compared}
    for key in compared:
        torch.testing.assert_close(batched_grad[key], looped_grad[key], atol=1e-5, rtol=1e-5, msg=key)


def test_every_parameter_gets_a_gradient_in_training():
    model = make(shared=False).train()
    sketch, photo, *counts, _ = pairs_of([(4, 7), (6, 3)])
    sum(x.square().sum() for x in model(sketch, photo, *counts)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_padding_and_company_do_not_matter():
    model = make().eval()
    alone = [model(*pairs_of([c])[:4]) for c in [(5, 9)]]
    counts = [(5, 9), (1, 2), (16, 16)]
    for padding in (0.0, 1e6):
        together = model(*pairs_of(counts, padding=padding)[:4])
        for a, t in zip(alone[0], together, strict=True):
            torch.testing.assert_close(a[0], t[0], atol=1e-10, rtol=1e-10)


def test_one_node_each_is_returned_as_it_is():
    model = make().eval()
    sketch, photo, *counts, _ = pairs_of([(1, 1)])
    out = model(sketch, photo, *counts)
    assert torch.equal(out[0], sketch[:, 0])
    assert torch.equal(out[1], photo[:, 0])


def test_a_tree_chosen_by_hand():
    """Three nodes on two axes: the two long parallel ones fuse first, in order of position."""
    fusion = NodeFusion(2, hidden=None, compatibility="raw").eval()
    with torch.no_grad():
        fusion.fuse.weight.copy_(torch.tensor([[1.0, 0, 10, 0], [0, 1, 0, 10]]))
    nodes = torch.tensor([[[3.0, 0], [0, 1], [2, 0]]])
    out, count, merge = fusion(nodes, torch.tensor([3]))
    assert (int(merge.first), int(merge.second)) == (0, 2)
    assert out.tolist() == [[[0, 1], [3 + 20, 0]]]
    assert count.tolist() == [2]


def test_training_draws_different_trees_and_evaluation_does_not():
    model = make()
    sketch, photo, *counts, _ = pairs_of([(8, 8)])

    def merges():
        trace: list[Level] = []
        model(sketch, photo, *counts, trace)
        return tuple((int(x.sketch_merge.first), int(x.sketch_merge.second)) for x in trace if x.sketch_merge)

    torch.manual_seed(0)
    assert len({merges() for _ in range(10)}) > 1
    model.eval()
    assert len({merges() for _ in range(3)}) == 1


def test_gumbel_choice_follows_its_probabilities():
    """With the scores fixed, the pair of nodes is drawn as softmax(scores) says."""
    fusion = NodeFusion(2, hidden=None, compatibility="raw").train()
    nodes = torch.tensor([[[1.0, 0], [1, 0], [0.5, 0.5]]])
    expected = torch.tensor([1.0, 0.5, 0.5]).softmax(0)  # dot products of (0,1), (0,2), (1,2)
    torch.manual_seed(1)
    draws = fusion(nodes.expand(20000, -1, -1), torch.full((20000,), 3))[2]
    seen = torch.tensor(
        [((draws.first == a) & (draws.second == b)).float().mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    )
    torch.testing.assert_close(seen, expected, atol=0.015, rtol=0)


def test_fusion_is_not_shared_unless_asked():
    shared, apart = make(), make(shared=False)
    assert shared.sketch_fusion is shared.photo_fusion
    assert isinstance(apart.sketch_fusion, nn.Module)
    assert apart.sketch_fusion is not apart.photo_fusion
