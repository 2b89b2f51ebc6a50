"""What holds for every system, on a tiny backbone."""

import pytest
import torch
from tiny_systems import make, photos_of, sketches_of

from fgsbir.data.sample import PairBatch
from fgsbir.losses import InfoNCELoss
from fgsbir.metrics.ranking import compute_ranks
from fgsbir.metrics.retrieval import RetrievalMetrics
from fgsbir.retrieval.distances import select
from fgsbir.systems import node_system

PROPOSED = [
    {},
    {"gate": "product"},
    {"global_weight": 0.5},
    {"global_weight": 0.5, "pyramid_dim": 8},
    {"normalise": False},
    {"attend_roots": True},
    {"share_fusion": False},
    {"gate": "product", "global_weight": 0.5},
]


SKETCHES, PHOTOS = [1, 6, 3, 2], [7, 1, 4, 5, 2]
EVERY = [("raw_pixels", {}), ("b_siamese", {}), ("b_siamese", {"pool": "max", "dim": None})]
EVERY += [("proposed", settings) for settings in PROPOSED]
OTHER_NODES = [
    ("b_localised_coattn", {}),
    ("b_localised_coattn", {"gate": "product", "global_weight": 0.5}),
    ("without_localised_coattn", {}),
    ("without_localised_coattn", {"global_weight": 0.5, "share_fusion": False}),
    ("explicit_hierarchy", {}),
    ("explicit_hierarchy", {"tolerance": 0.1, "share_fusion": False}),
    ("b_graph_hierarchy", {}),
    ("b_graph_hierarchy", {"clusters": (3, 2, 1), "layers": 1, "global_weight": 0.5, "normalise": False}),
    ("b_gated_siamese", {}),  # no nodes, but pairs too
    ("b_gated_siamese", {"dim": 8, "pool": "max"}),
]
STROKES = [
    ("sketchbert_variant", {}),
    ("sketchbert_variant", {"pool": "max", "dim": 32}),
    ("sketchformer_variant", {}),
    ("sketchformer_variant", {"balanced": True, "pool": "max", "hidden": 24, "dim": 32}),
]
EVERY += OTHER_NODES + STROKES
VECTORS = [
    ("triplet_sn", {}),
    ("triplet_sn", {"crops": 1}),
    ("triplet_attn_sn", {}),
    ("triplet_attn_sn", {"distance": "euclidean"}),
    ("swire", {}),
    ("swire", {"pool": "max"}),
    ("layout_siamese", {}),
    ("layout_siamese", {"pyramid_dim": 0}),
]
EVERY += VECTORS


@torch.no_grad()
def encodings(system):
    return system.encode_sketch(sketches_of(SKETCHES)), system.encode_photo(photos_of(PHOTOS))


@pytest.mark.parametrize(("name", "settings"), EVERY, ids=str)
@torch.no_grad()
def test_match_all_is_match_on_every_pair(name, settings):
    system = make(name, **settings)
    sketches, photos = encodings(system)
    distances = system.match_all(sketches, photos)
    assert distances.shape == (4, 5)
    assert distances.dtype == torch.float32
    assert distances.std() > 0
    for q in range(4):
        for g in range(5):
            alone = system.match(select(sketches, torch.tensor([q])), select(photos, torch.tensor([g])))
            torch.testing.assert_close(alone, distances[q, g][None], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["raw_pixels", "b_siamese", "proposed", *dict(OTHER_NODES), *dict(STROKES), *dict(VECTORS)]
)
@torch.no_grad()
def test_encodings_do_not_depend_on_the_company(name):
    system = make(name)
    whole, batch = encodings(system)[1], photos_of(PHOTOS)
    for i in range(len(PHOTOS)):
        alone = system.encode_photo(select(batch, torch.tensor([i])))
        for field, own in zip(alone, whole, strict=True):
            torch.testing.assert_close(field[0], own[i], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_memory_limit_changes_nothing(monkeypatch):
    system = make("proposed")
    sketches, photos = encodings(system)
    whole = system.match_all(sketches, photos)
    for chunk in (1, 3):
        monkeypatch.setattr("fgsbir.systems.node_system.pairs_in_memory", lambda *_, chunk=chunk: chunk)
        torch.testing.assert_close(system.match_all(sketches, photos), whole, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_global_weight_mixes_tree_and_whole_picture():
    system = make("proposed", global_weight=0.5)
    sketches, photos = encodings(system)
    mixed = system.match_all(sketches, photos)
    system.global_weight = 0.0
    tree = system.match_all(sketches, photos)
    whole = (sketches.vector[:, None] - photos.vector).square().sum(2)
    torch.testing.assert_close(mixed, tree / 2 + whole / 2, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["raw_pixels", "b_siamese", "proposed", *dict(OTHER_NODES), *dict(STROKES), *dict(VECTORS)]
)
@torch.no_grad()
def test_constant_encodings_find_nothing(name):
    """A system that tells nothing apart must not gain from ties."""
    system = make(name)
    sketches, photos = encodings(system)
    same = torch.zeros(5, dtype=torch.long)
    target = torch.arange(5)
    distances = system.match_all(select(sketches, same), select(photos, same))
    metrics = RetrievalMetrics()
    metrics.update(distances, target, target)
    assert metrics.compute()["acc1"] <= 100 / 5
    assert (compute_ranks(distances, target) > 1).sum() >= 4


@pytest.mark.parametrize(
    "name", ["b_siamese", "proposed", *dict(OTHER_NODES), *dict(STROKES), "triplet_sn", "triplet_attn_sn"]
)
@torch.no_grad()
def test_a_broken_network_is_no_result(name):
    system = make(name)
    next(system.backbone.parameters()).fill_(torch.nan)
    distances = system.match_all(*encodings(system))
    with pytest.raises(ValueError, match="not finite"):
        compute_ranks(distances, torch.arange(4))


@pytest.mark.parametrize("settings", [{}, {"attend_roots": True}, {"share_fusion": False}], ids=str)
def test_explanations_are_trees_with_attention(settings):
    system = make("proposed", **settings)
    sketches, photos = encodings(system)
    pairs = torch.arange(4)
    for pair, found in enumerate(system.explain(sketches, select(photos, pairs))):
        for merges, leaves in ((found.sketch_merges, SKETCHES[pair]), (found.photo_merges, PHOTOS[pair])):
            assert len(merges) == leaves - 1
            merged = [node for merge in merges for node in merge]
            assert sorted(merged) == list(range(2 * leaves - 2))  # each node but the root, once
            for k, (first, second) in enumerate(merges):
                assert max(first, second) < leaves + k  # only what there is by then
        assert len(found.levels) == max(SKETCHES[pair], PHOTOS[pair]) - 1
        assert found.levels[0]["sketch_nodes"] == list(range(SKETCHES[pair]))
        assert found.levels[0]["photo_nodes"] == list(range(PHOTOS[pair]))
        for level in found.levels:
            for weights, rows, columns in (
                ("sketch_to_photo", "sketch_nodes", "photo_nodes"),
                ("photo_to_sketch", "photo_nodes", "sketch_nodes"),
            ):
                attention = torch.tensor(level[weights])
                assert attention.shape == (len(level[rows]), len(level[columns]))
                torch.testing.assert_close(attention.sum(1), torch.ones(len(attention)))


@torch.no_grad()
def test_the_explained_tree_is_the_one_that_gives_the_distance():
    """Without co-attention the tree can be climbed again by hand."""
    system = make("proposed")
    system.matcher.coattention = None
    sketches, photos = encodings(system)
    photos = select(photos, torch.arange(4))
    distances = system.match(sketches, photos)
    for pair, found in enumerate(system.explain(sketches, photos)):
        roots = []
        for encoding, merges in ((sketches, found.sketch_merges), (photos, found.photo_merges)):
            nodes = list(encoding.nodes[pair, : encoding.counts[pair]])
            for first, second in merges:
                fused = system.matcher.sketch_fusion.fuse(torch.cat([nodes[first], nodes[second]]))
                nodes.append(fused.relu())
            roots.append(torch.nn.functional.normalize(nodes[-1], dim=0))
        torch.testing.assert_close((roots[0] - roots[1]).square().sum(), distances[pair], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_bfloat16_matching_is_near_float32(monkeypatch):
    monkeypatch.setattr(node_system, "has_bfloat16", lambda _: True)
    exact, rough = make("proposed"), make("proposed", match_precision="bfloat16")
    sketches, photos = encodings(exact)
    distances = [system.match_all(sketches, photos) for system in (exact, rough)]
    assert distances[1].dtype == torch.float32
    assert not torch.equal(*distances)
    assert torch.corrcoef(torch.stack([d.flatten() for d in distances]))[0, 1] > 0.99
    assert next(rough.matcher.parameters()).dtype == torch.float32
    rough.train()  # training stays exact: no copy, no rounding
    torch.manual_seed(0)
    trained = rough.match_all(sketches, photos)
    torch.manual_seed(0)
    torch.testing.assert_close(trained, exact.train().match_all(sketches, photos))


@pytest.mark.parametrize(
    ("name", "settings"), [*(("proposed", settings) for settings in PROPOSED), *OTHER_NODES, *STROKES], ids=str
)
def test_every_parameter_learns(name, settings):
    system = make(name, **settings, loss=InfoNCELoss()).train()
    system.batch_loss(PairBatch(sketches_of([6, 3, 4, 5]), photos_of([7, 3, 4, 5]))).backward()
    learning = {name: p for name, p in system.named_parameters() if p.requires_grad}
    for name, parameter in learning.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    dead = [n for n, p in learning.items() if not n.startswith("backbone.") and not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", ["b_siamese", "proposed", *dict(OTHER_NODES), *dict(STROKES), *dict(VECTORS)])
def test_same_photo_twice_in_a_batch_is_no_negative(name):
    """Rows of one photo do not push each other apart."""
    system = make(name)
    sketches, photos = sketches_of([6, 3, 4]), photos_of([7, 3, 4])
    twice = select(photos, torch.tensor([0, 0, 2]))
    loss = system.batch_loss(PairBatch(sketches, twice))
    wrong = system.batch_loss(PairBatch(sketches, twice._replace(position=torch.arange(3))))
    assert loss < wrong
