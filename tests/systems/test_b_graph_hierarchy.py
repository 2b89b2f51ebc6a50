"""B-Graph-Hierarchy: how the losses of its clusters reach the loss of a batch."""

import pytest
import torch

from fgsbir.data.sample import PairBatch
from fgsbir.errors import InputError
from fgsbir.losses import InfoNCELoss, TripletLoss
from fgsbir.models.backbone import Backbone
from fgsbir.retrieval.distances import select
from fgsbir.systems import BGraphHierarchy
from tests.systems.test_systems import PHOTOS, SKETCHES, make, photos_of, sketches_of

NAME = "b_graph_hierarchy"
BATCH = PairBatch(sketches_of([1, 6, 3, 2]), photos_of([7, 1, 4, 5]))


def cluster_losses(system, sketches, photos):
    """Link loss and entropy of one pair alone."""
    out = system.matcher(sketches.nodes, photos.nodes, sketches.counts, photos.counts)
    return float(out.link.detach()), float(out.entropy.detach())


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_penalty_is_the_mean_over_all_matched_pairs(chunk, monkeypatch):
    monkeypatch.setattr("fgsbir.systems.node_system.pairs_in_memory", lambda *_: chunk)
    system = make(NAME, link_weight=0.3, entropy_weight=2.0, loss=InfoNCELoss()).train()
    plain = make(NAME, link_weight=0.0, entropy_weight=0.0, loss=InfoNCELoss()).train()
    encoded = system.encode_sketch(BATCH.sketch), system.encode_photo(BATCH.photo)
    total = 0.0
    for q in range(4):
        for g in range(4):
            pair = (select(e, torch.tensor([i])) for e, i in zip(encoded, (q, g), strict=True))
            link, entropy = cluster_losses(system, *pair)
            total += (0.3 * link + 2.0 * entropy) / 16
    assert total > 0.1
    difference = system.batch_loss(BATCH) - plain.batch_loss(BATCH)
    torch.testing.assert_close(difference.detach(), torch.tensor(total), atol=1e-5, rtol=1e-5)


def test_the_penalty_is_cleared_when_read_and_has_a_gradient():
    system = make(NAME, loss=TripletLoss()).train()
    first = float(system.batch_loss(BATCH).detach())
    assert system.regulariser() == 0
    torch.manual_seed(0)
    system.match(system.encode_sketch(BATCH.sketch), system.encode_photo(BATCH.photo))
    penalty = system.regulariser()
    assert 0 < penalty < first + 10
    penalty.backward()
    names = [n for n, p in system.matcher.named_parameters() if p.grad is not None and p.grad.any()]
    assert {"pools.0.assign.weight", "compare.weight"} <= set(names)  # clusters and edges
    assert "pools.1.embed.weights.0.weight" not in names


@torch.no_grad()
def test_evaluation_collects_nothing():
    system = make(NAME)
    system.match_all(system.encode_sketch(sketches_of(SKETCHES)), system.encode_photo(photos_of(PHOTOS)))
    assert system.regulariser() == 0


@pytest.mark.parametrize("setting", ["link_weight", "entropy_weight"])
def test_a_negative_weight_is_refused(setting):
    with pytest.raises(InputError, match=setting):
        BGraphHierarchy(Backbone("test_efficientnet", 2), **{setting: -0.1})
