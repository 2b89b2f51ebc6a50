"""Paired DiffPool against a plain loop over pairs, and its losses by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.models.coattention import CoAttention
from fgsbir.models.diffpool import DiffPool, PairedDiffPool, assignment_entropy, link_loss

COUNTS = [(6, 7), (1, 1), (3, 1), (1, 5), (2, 4)]
"""Strokes and regions of each pair."""

SETTINGS = [{}, {"clusters": (1,)}, {"clusters": (3, 2, 1), "layers": 1}]


def made(clusters=(4, 1), layers=2):
    torch.manual_seed(0)
    matcher = PairedDiffPool(8, 5, CoAttention(8, 6), clusters, layers)
    for name, parameter in matcher.named_parameters():
        if "norms" in name or "assign" in name:  # no symmetry to hide behind
            torch.nn.init.normal_(parameter, 0.5)
    return matcher.double()


def sets(branch, room, padding=9.0):
    """Padded nodes and their counts."""
    torch.manual_seed(1 + branch)
    counts = torch.tensor([pair[branch] for pair in COUNTS])
    nodes = torch.rand(len(COUNTS), room, 8).double()
    nodes[torch.arange(room) >= counts[:, None]] = padding
    return nodes.requires_grad_(), counts


def network(net, nodes, adjacency):
    for weight, norm in zip(net.weights, net.norms, strict=True):
        rows = []
        for i in range(len(nodes)):
            x = sum(adjacency[i, j] * (weight.weight @ nodes[j]) for j in range(len(nodes)))
            centred = x - x.mean()
            rows.append(F.relu(centred / (centred.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias))
        nodes = torch.stack(rows)
    return nodes


def looped(matcher, sketch, photo):
    """One pair without padding, from the equations: last nodes, link loss and entropy."""
    branches, edges = [sketch, photo], None
    link = entropy = torch.zeros(()).double()
    for pool in matcher.pools:
        everyone = [torch.ones(1, len(nodes), dtype=torch.bool) for nodes in branches]
        attended = matcher.coattention(branches[0][None], branches[1][None], *everyone)
        branches = [attended.sketch[0], attended.photo[0]]
        if edges is None:
            features = [nodes @ matcher.compare.weight.T for nodes in branches]
            edges = [(f @ f.T / math.sqrt(5)).softmax(1) for f in features]
        for side in range(2):
            x, a = branches[side], edges[side]
            s = torch.ones(len(x), 1).double()
            if pool.assign is not None:
                s = pool.assign(network(pool.pool, x, a)).softmax(1)
                link = link + (a - s @ s.T).square().sum().sqrt()
                entropy = entropy - (s * s.log()).sum() / len(x)
            branches[side], edges[side] = s.T @ network(pool.embed, x, a), s.T @ a @ s
    return branches[0][0], branches[1][0], link, entropy


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_it_equals_a_loop_over_pairs_in_values_and_gradients(settings):
    matcher = made(**settings)
    (sketch, sketch_counts), (photo, photo_counts) = sets(0, 8), sets(1, 7)
    batched = matcher(sketch, photo, sketch_counts, photo_counts)
    loop = [looped(matcher, sketch[i, :s], photo[i, :p]) for i, (s, p) in enumerate(COUNTS)]
    learning = [*matcher.parameters(), sketch, photo]
    for ours, plain in zip(batched, map(torch.stack, zip(*loop, strict=True)), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
        if not plain.requires_grad:  # one cluster has nothing to lose
            assert settings == {"clusters": (1,)}
            assert not plain.any()
            continue
        assert plain.std() > 1e-3
        weight = torch.rand(plain.shape).double()
        found, expected = (
            torch.autograd.grad((x * weight).sum(), learning, retain_graph=True, allow_unused=True)
            for x in (ours, plain)
        )
        assert sum(g is not None and g.abs().max() > 1e-6 for g in expected) > len(expected) / 3
        for gradient, reference in zip(found, expected, strict=True):
            assert gradient is not None or reference is None or not reference.any()
            if gradient is not None:
                reference = torch.zeros_like(gradient) if reference is None else reference
                torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-5)


def test_padding_never_matters():
    matcher = made()
    narrow, wide = (
        matcher(sketch, photo, sketch_counts, photo_counts)
        for (sketch, sketch_counts), (photo, photo_counts) in (
            (sets(0, 6), sets(1, 7)),
            (padded(*sets(0, 6)), padded(*sets(1, 7))),
        )
    )
    for a, b in zip(narrow, wide, strict=True):
        torch.testing.assert_close(a, b)


def padded(nodes, counts):
    """More room, and another filling of it."""
    nodes = F.pad(nodes.detach(), (0, 0, 0, 3))
    nodes[torch.arange(nodes.shape[1]) >= counts[:, None]] = -50.0
    return nodes, counts


def test_every_parameter_learns():
    matcher = made((3, 2, 1), 2)
    (sketch, sketch_counts), (photo, photo_counts) = sets(0, 8), sets(1, 7)
    sum(x.square().sum() for x in matcher(sketch, photo, sketch_counts, photo_counts)).backward()
    dead = [n for n, p in matcher.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]
    assert not dead


def test_losses_by_hand():
    """Three nodes, 0 and 1 in one cluster, 2 in the other; then all undecided; then a padded graph of one node."""
    adjacency = torch.tensor(
        [
            [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]],
            [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
            [[1.0, 0, 0], [0, 0, 0], [0, 0, 0]],
        ]
    )
    crisp, even = [[1.0, 0], [1, 0], [0, 1]], [[0.5, 0.5]] * 3
    clusters = torch.tensor([crisp, even, [[0.75, 0.25], [0, 0], [0, 0]]])
    # S S^T: ones within clusters, so four entries are off by 1/2; then 1/2 everywhere; then 10/16 for 1.
    expected = torch.tensor([math.sqrt(4 * 0.25), math.sqrt(9 * 0.25), 6 / 16])
    torch.testing.assert_close(link_loss(adjacency, clusters), expected)

    # Rows of 3/4 and 1/4 have ln 4 - 3/4 ln 3 = 0.562335; even rows ln 2 = 0.693147; sure ones 0.
    uneven, flat, sure = [math.log(3.0), 0.0], [2.0, 2.0], [200.0, -200.0]
    logits = torch.tensor([[uneven, flat, sure], [flat] * 3, [uneven, flat, flat]], requires_grad=True)
    mask = torch.tensor([[True] * 3, [True] * 3, [True, False, False]])
    entropy = assignment_entropy(logits, mask)
    torch.testing.assert_close(entropy, torch.tensor([(0.562335 + 0.693147) / 3, 0.693147, 0.562335]))
    entropy.sum().backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[2, 1:].any()


def test_a_perfect_clustering_costs_nothing_and_has_a_gradient():
    clusters = torch.tensor([[[1.0, 0], [0, 1]]], requires_grad=True)
    loss = link_loss(torch.eye(2)[None], clusters)
    loss.sum().backward()
    assert float(loss.detach()) == 0
    assert clusters.grad.isfinite().all()


@torch.no_grad()
def test_one_cluster_adds_the_nodes_up():
    pool = DiffPool(8, 1, 1).double()
    nodes, mask = torch.rand(2, 3, 8).double(), torch.tensor([[True, True, True], [True, True, False]])
    adjacency = torch.rand(2, 3, 3).double() * mask[:, None] * mask[..., None]
    found = pool(nodes, adjacency, mask)
    embedded = pool.embed(nodes, adjacency)
    torch.testing.assert_close(found.nodes[:, 0], torch.stack([embedded[0].sum(0), embedded[1, :2].sum(0)]))
    torch.testing.assert_close(found.adjacency[:, 0, 0], adjacency.sum((1, 2)))
    assert not found.link.any()
    assert not found.entropy.any()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"clusters": ()}, "clusters"),
        ({"clusters": (4, 2)}, "clusters"),
        ({"clusters": (4, 4, 1)}, "clusters"),
        ({"layers": 0}, "layers"),
    ],
    ids=str,
)
def test_settings_without_sense_are_refused(settings, names):
    with pytest.raises(InputError, match=names):
        PairedDiffPool(8, 5, CoAttention(8, 6), **settings)
