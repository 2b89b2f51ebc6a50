"""One branch alone: the paired hierarchy without co-attention, and a plain loop."""

import torch
from torch.nn import functional as F

from fgsbir.models.branch_hierarchy import BranchHierarchy
from fgsbir.models.hierarchy import Merge, NodeFusion, PairedHierarchy

COUNTS = [1, 5, 16, 2, 9]


def made(training=False):
    torch.manual_seed(0)
    fusion = NodeFusion(12, 7).double().train(training)
    sets = [torch.rand(n, 12).double() for n in COUNTS]
    nodes = torch.full((len(COUNTS), 18, 12), 9.0).double()
    for i, some in enumerate(sets):
        nodes[i, : len(some)] = some
    return fusion, nodes, sets


def test_it_climbs_as_a_branch_of_the_paired_hierarchy_without_coattention():
    fusion, nodes, _ = made()
    trace: list[Merge] = []
    alone = BranchHierarchy(fusion)(nodes, torch.tensor(COUNTS), trace)
    partner = torch.rand(len(COUNTS), 3, 12).double()
    paired = PairedHierarchy(fusion, fusion, None)(nodes, partner, torch.tensor(COUNTS), torch.full((len(COUNTS),), 3))
    torch.testing.assert_close(alone, paired[0])
    assert len(trace) == max(COUNTS) - 1


def test_it_equals_a_plain_loop_in_values_and_gradients():
    fusion, nodes, sets = made()

    def gradient(roots):
        fusion.zero_grad()
        (roots * torch.arange(12)).sum().backward()
        return fusion.fuse.weight.grad.clone()

    def climb(some):
        while len(some) > 1:
            features = F.normalize(fusion.score(some), dim=1)
            scores = [
                (float((features[a] @ features[b]).detach()), a, b)
                for a in range(len(some))
                for b in range(a + 1, len(some))
            ]
            _, a, b = max(scores)
            rest = [some[i] for i in range(len(some)) if i not in (a, b)]
            some = torch.stack([*rest, F.relu(fusion.fuse(torch.cat([some[a], some[b]])))])
        return some[0]

    batched = BranchHierarchy(fusion)(nodes, torch.tensor(COUNTS))
    looped = torch.stack([climb(some) for some in sets])
    torch.testing.assert_close(batched, looped, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient(batched), gradient(looped), atol=1e-5, rtol=1e-5)


def test_the_choice_learns():
    fusion, nodes, _ = made(training=True)
    BranchHierarchy(fusion)(nodes, torch.tensor(COUNTS)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in fusion.parameters())
