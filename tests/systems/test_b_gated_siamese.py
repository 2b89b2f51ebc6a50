"""B-Gated-Siamese: parts of its matching, and what it keeps of a picture."""

import pytest
import torch

from fgsbir.retrieval.distances import concat, select
from tests.systems.test_systems import PHOTOS, SKETCHES, make, photos_of, sketches_of

NAME = "b_gated_siamese"


def encoded(system):
    return system.encode_sketch(sketches_of(SKETCHES)), system.encode_photo(photos_of(PHOTOS))


@pytest.mark.parametrize("settings", [{}, {"dim": 8, "pool": "max"}], ids=str)
def test_the_memory_limit_changes_neither_distances_nor_gradients(settings, monkeypatch):
    system = make(NAME, **settings).train()
    learning = [p for p in system.parameters() if p.requires_grad]
    weight = torch.rand(4, 5)

    def distances_and_gradients():
        distances = system.match_all(*encoded(system))
        return distances.detach(), torch.autograd.grad((distances * weight).sum(), learning, allow_unused=True)

    whole, expected = distances_and_gradients()
    blocks = []
    block = system._block
    monkeypatch.setattr(system, "_block", lambda s, p: blocks.append((len(s.maps), len(p.maps))) or block(s, p))
    for limit, most in ((1, (1, 1)), (3, (1, 3)), (11, (2, 5)), (1000, (4, 5))):
        monkeypatch.setattr("fgsbir.systems.b_gated_siamese.pairs_in_memory", lambda *_, limit=limit: limit)
        blocks.clear()
        found, gradients = distances_and_gradients()
        assert max(blocks) == most
        torch.testing.assert_close(found, whole, atol=1e-6, rtol=1e-5)
        for ours, plain in zip(gradients, expected, strict=True):
            if plain is not None:
                torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_training_in_parts_keeps_no_gates_for_the_gradient(monkeypatch):
    """What autograd keeps grows with the pictures, not with the pairs."""
    system = make(NAME).train()
    sketches, photos = (type(e)(*(f.detach().requires_grad_() for f in e)) for e in encoded(system))

    def kept(limit):
        monkeypatch.setattr("fgsbir.systems.b_gated_siamese.pairs_in_memory", lambda *_: limit)
        sizes = {}

        def pack(tensor):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            distances = system.match_all(sketches, photos)
        assert distances.requires_grad
        return sum(sizes.values())

    assert kept(5) < kept(1000) / 2


@torch.no_grad()
def test_batches_of_encodings_join():
    system = make(NAME)
    batch, whole = sketches_of(SKETCHES), encoded(system)[0]
    joined = concat([system.encode_sketch(select(batch, torch.tensor(rows))) for rows in ([0], [1, 2], [3])])
    assert joined.maps.shape == (4, *whole.maps.shape[1:])
    for field, own in zip(joined, whole, strict=True):
        torch.testing.assert_close(field, own, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_projection_comes_before_the_gate():
    system = make(NAME, dim=8)
    maps, summaries = encoded(system)[1]
    raw = system.backbone(photos_of(PHOTOS).image)
    expected = torch.einsum("dc,bchw->bdhw", system.project.weight[..., 0, 0], raw) + system.project.bias[:, None, None]
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(summaries, system.gate.summarise(maps))
    assert torch.equal(encoded(make(NAME))[1].maps, make(NAME).backbone(photos_of(PHOTOS).image))
