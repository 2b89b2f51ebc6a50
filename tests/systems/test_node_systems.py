"""The systems around Proposed that leave something out: against plain loops over pairs."""

import math
import re

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning import Trainer
from tiny_systems import NODE_SYSTEMS
from torch.nn import functional as F

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone
from fgsbir.regions.containment import containment_parents, merge_order
from fgsbir.retrieval.distances import VectorEncoding, concat, select
from fgsbir.systems import SYSTEMS, BSiamese, ExplicitHierarchy, System, node_system, precision
from fgsbir.systems.base import Optimisation
from fgsbir.systems.explanation import Explainable
from fgsbir.systems.explicit_hierarchy import containment_merges
from fgsbir.systems.node_system import NodeSettings
from tests.systems.test_systems import PHOTOS, SKETCHES, make, photos_of, sketches_of

SIZES = [(6, 7), (1, 1), (3, 1), (1, 5), (2, 4)]
"""Strokes and regions of each pair."""


def take_in(x, other, weights, gate, update):
    message = weights @ other
    opened = torch.sigmoid(x * message if gate is None else gate.own(x) + gate.foreign(message))
    return F.relu(update(opened * (x + message))) + x


def attended(model, sketch, photo):
    scores = model.sketch_projection(sketch) @ model.photo_projection(photo).T / math.sqrt(model.hidden)
    return (
        take_in(sketch, photo, scores.softmax(1), model.sketch_gate, model.sketch_update),
        take_in(photo, sketch, scores.T.softmax(1), model.photo_gate, model.photo_update),
    )


def maximum(system, sketch, photo, *boxes):
    return [nodes.amax(0) for nodes in attended(system.matcher.coattention, sketch, photo)]


def contained(system, sketch, photo, *boxes):
    """Nodes by number; a branch that is down to one goes on attending while the other climbs."""
    orders = [merge_order(containment_parents(b.numpy(), system.tolerance)).tolist() for b in boxes]
    branches = [dict(enumerate(sketch)), dict(enumerate(photo))]
    fuses = system.matcher.sketch_fuse, system.matcher.photo_fuse
    for level in range(max(map(len, orders))):
        rows = attended(system.matcher.coattention, *(torch.stack([b[i] for i in sorted(b)]) for b in branches))
        branches = [dict(zip(sorted(b), r, strict=True)) for b, r in zip(branches, rows, strict=True)]
        for branch, order, fuse in zip(branches, orders, fuses, strict=True):
            if level < len(order):
                a, b = order[level]
                branch[len(order) + 1 + level] = F.relu(fuse(torch.cat([branch.pop(a), branch.pop(b)])))
    return [next(iter(branch.values())) for branch in branches]


def pairs():
    """Pictures of pairs of all sizes, their boxes nested more than by chance."""
    sketches, photos = sketches_of([s for s, _ in SIZES]), photos_of([p for _, p in SIZES])
    grown = [b.boxes.clone() for b in (sketches, photos)]
    for boxes in grown:
        boxes[:, 1] = torch.tensor([0.0, 0, 1, 1])
        boxes[:, 3] = boxes[:, 2] + torch.tensor([0.02, 0.02, -0.02, -0.02])
    return (b._replace(boxes=g * b.mask[..., None]) for b, g in zip((sketches, photos), grown, strict=True))


LOOPS = [
    ("b_localised_coattn", {}, maximum),
    ("b_localised_coattn", {"gate": "product"}, maximum),
    ("b_localised_coattn", {"normalise": False}, maximum),
    ("b_localised_coattn", {"global_weight": 0.3}, maximum),
    ("b_localised_coattn", {"global_weight": 0.3, "pyramid_dim": 4}, maximum),
    ("explicit_hierarchy", {}, contained),
    ("explicit_hierarchy", {"tolerance": 0.3, "share_fusion": False}, contained),
    ("explicit_hierarchy", {"gate": "product", "global_weight": 0.3, "normalise": False}, contained),
]


@pytest.mark.parametrize(("name", "settings", "loop"), LOOPS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_matching_equals_a_loop_over_pairs_in_values_and_gradients(name, settings, loop):
    system = make(name, **settings)
    sketches, photos = pairs()
    encoded = system.encode_sketch(sketches), system.encode_photo(photos)
    learning = {n: p for n, p in system.named_parameters() if p.requires_grad}
    weight = torch.rand(len(SIZES))

    def gradients(distances):
        found = torch.autograd.grad((distances * weight).sum(), learning.values(), retain_graph=True, allow_unused=True)
        return dict(zip(learning, found, strict=True))

    looped = []
    for i, sizes in enumerate(SIZES):
        nodes = [encoding.nodes[i, :n] for encoding, n in zip(encoded, sizes, strict=True)]
        boxes = [batch.boxes[i, :n] for batch, n in zip((sketches, photos), sizes, strict=True)]
        roots = loop(system, *nodes, *boxes)
        if system.normalise:
            roots = [F.normalize(root, dim=0) for root in roots]
        whole = (encoded[0].vector[i] - encoded[1].vector[i]).square().sum()
        share = system.global_weight
        looped.append((1 - share) * (roots[0] - roots[1]).square().sum() + share * whole)
    batched, looped = system.match(*encoded), torch.stack(looped)
    assert looped.std() > 1e-3
    torch.testing.assert_close(batched, looped, atol=1e-5, rtol=1e-5)
    for (key, ours), plain in zip(gradients(batched).items(), gradients(looped).values(), strict=True):
        assert (ours is None) == (plain is None), key
        if plain is not None:
            torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", ["b_localised_coattn", "explicit_hierarchy"])
@torch.no_grad()
def test_the_memory_limit_changes_nothing(name, monkeypatch):
    system = make(name)
    sketches, photos = system.encode_sketch(sketches_of(SKETCHES)), system.encode_photo(photos_of(PHOTOS))
    whole = system.match_all(sketches, photos)
    for chunk in (1, 3):
        monkeypatch.setattr("fgsbir.systems.node_system.pairs_in_memory", lambda *_, chunk=chunk: chunk)
        torch.testing.assert_close(system.match_all(sketches, photos), whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["b_localised_coattn", "explicit_hierarchy"])
@torch.no_grad()
def test_bfloat16_matching_is_near_float32_and_never_in_training(name, monkeypatch):
    monkeypatch.setattr(node_system, "has_bfloat16", lambda _: True)
    exact, rough = make(name), make(name, match_precision="bfloat16")
    sketches, photos = exact.encode_sketch(sketches_of(SKETCHES)), exact.encode_photo(photos_of(PHOTOS))
    distances = [system.match_all(sketches, photos) for system in (exact, rough)]
    assert distances[1].dtype == torch.float32
    assert not torch.equal(*distances)
    torch.testing.assert_close(*distances, atol=0.02, rtol=0.1)
    assert next(rough.matcher.parameters()).dtype == torch.float32
    assert torch.equal(rough.train().match_all(sketches, photos), exact.train().match_all(sketches, photos))


@pytest.mark.parametrize("name", ["b_localised_coattn", "explicit_hierarchy"])
@torch.no_grad()
def test_without_bfloat16_instructions_matching_is_float32_and_says_so_once(name, monkeypatch, capsys):
    monkeypatch.setattr(node_system, "has_bfloat16", lambda _: False)
    precision.tell_once.cache_clear()
    exact, asked = make(name), make(name, match_precision="bfloat16")
    sketches, photos = exact.encode_sketch(sketches_of(SKETCHES)), exact.encode_photo(photos_of(PHOTOS))
    assert torch.equal(asked.match_all(sketches, photos), exact.match_all(sketches, photos))
    asked.match_all(sketches, photos)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("model.nodes.match_precision: no bfloat16")


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512bw avx512_bf16 avx512_vnni\n", True),
        ("flags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd i8mm bf16 dgh\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512bw avx512_vnni\n", False),  # PyTorch emulates it there
        ("", False),
    ],
)
def test_a_processor_is_asked_for_bfloat16_instructions(processor, expected, monkeypatch):
    monkeypatch.setattr(precision, "_processor", lambda: processor)
    assert precision.has_bfloat16(torch.device("cpu")) is expected


@torch.no_grad()
def test_batches_of_encodings_join_without_losing_their_merges():
    system = make("explicit_hierarchy")
    sketches, photos = sketches_of(SKETCHES), system.encode_photo(photos_of(PHOTOS))
    together = system.encode_sketch(sketches)
    apart = concat([system.encode_sketch(select(sketches, torch.tensor(rows))) for rows in ([0], [1, 2], [3])])
    assert torch.equal(apart.merges, together.merges)
    torch.testing.assert_close(
        system.match_all(apart, photos), system.match_all(together, photos), atol=1e-5, rtol=1e-4
    )


def test_merges_are_those_of_the_real_boxes():
    boxes = torch.tensor([[0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    batch = torch.stack([boxes, boxes.flip(0), boxes])
    mask = torch.tensor([[True] * 4, [True] * 4, [True, False, False, False]])
    found = containment_merges(batch, mask, 0.0).tolist()
    assert found == [[[1, 2], [3, 4], [0, 5]], [[1, 2], [0, 4], [3, 5]], [[0, 0]] * 3]
    assert containment_merges(boxes[None, :1], mask[2:, :1], 0.0).shape == (1, 0, 2)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0])
def test_a_tolerance_out_of_range_is_refused(tolerance):
    with pytest.raises(InputError, match="tolerance"):
        ExplicitHierarchy(Backbone("test_efficientnet", 2), tolerance=tolerance)


def test_systems_with_trees_explain_them_and_no_others():
    explain = {name for name, system in SYSTEMS.items() if issubclass(system, Explainable)}
    assert {"without_localised_coattn", "explicit_hierarchy"} <= explain
    assert not explain & {"raw_pixels", "b_siamese", "b_localised_coattn"}


@pytest.mark.parametrize("name", ["without_localised_coattn", "explicit_hierarchy"])
def test_explanations_are_trees(name):
    system = make(name)
    sketches, photos = pairs()
    for i, found in enumerate(system.explain_images(sketches, photos)):
        for merges, leaves in zip(found[:2], SIZES[i], strict=True):
            assert len(merges) == leaves - 1
            assert sorted(node for merge in merges for node in merge) == list(range(2 * leaves - 2))
            assert all(max(merge) < leaves + k for k, merge in enumerate(merges))
        assert len(found.levels) == max(SIZES[i]) - 1
        for level in found.levels:
            assert ("sketch_to_photo" in level) == (name == "explicit_hierarchy")
        if name == "explicit_hierarchy":
            for batch, merges in zip((sketches, photos), found[:2], strict=True):
                boxes = batch.boxes[i][batch.mask[i]].numpy()
                assert [list(m) for m in merges] == merge_order(containment_parents(boxes)).tolist()


def test_a_tree_explained_alone_gives_the_vector():
    """The sketch's tree, climbed again by hand; the partner plays no part."""
    system = make("without_localised_coattn")
    sketches, photos = pairs()
    with torch.no_grad():
        encoded = system.encode_sketch(sketches)
        assert isinstance(encoded, VectorEncoding)
        nodes = F.relu(system.regions(system.backbone(sketches.image), sketches.boxes, sketches.mask))
        explained = system.explain_images(sketches, photos)
        shuffled = system.explain_images(sketches, select(photos, torch.tensor([4, 3, 2, 1, 0])))
        for i, (found, other) in enumerate(zip(explained, shuffled, strict=True)):
            assert found.sketch_merges == other.sketch_merges
            own = list(nodes[i, : SIZES[i][0]])
            for first, second in found.sketch_merges:
                own.append(system.sketch_hierarchy.fusion.fuse(torch.cat([own[first], own[second]])).relu())
            torch.testing.assert_close(F.normalize(own[-1], dim=0), encoded.vector[i], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_global_weight_mixes_tree_and_whole_picture_in_one_vector():
    sketches, photos = pairs()
    systems = {weight: make("without_localised_coattn", global_weight=weight) for weight in (0.0, 0.3)}
    encoded = {w: (s.encode_sketch(sketches), s.encode_photo(photos)) for w, s in systems.items()}
    tree = systems[0.0].match(*encoded[0.0])
    maps = [systems[0.0].backbone(batch.image).amax((2, 3)) for batch in (sketches, photos)]
    whole = (F.normalize(maps[0], dim=1) - F.normalize(maps[1], dim=1)).square().sum(1)
    torch.testing.assert_close(systems[0.3].match(*encoded[0.3]), 0.7 * tree + 0.3 * whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["proposed", "without_localised_coattn"])
def test_a_spatial_pyramid_without_weight_is_refused(name):
    with pytest.raises(InputError, match="pyramid_dim"):
        make(name, pyramid_dim=4)


@torch.no_grad()
def test_the_whole_picture_of_a_node_system_is_layout_siamese():
    """With the same weights, the two part only by what the nodes add."""
    system, alone = make("b_localised_coattn", global_weight=0.5, pyramid_dim=4), make("layout_siamese", pyramid_dim=4)
    alone.backbone, alone.global_embedding = system.backbone, system.global_embedding
    sketches, photos = pairs()
    nodes, whole = ([s.encode_sketch(sketches), s.encode_photo(photos)] for s in (system, alone))
    table = 0.5 * system.match_all_nodes(*nodes) + 0.5 * alone.match_all(*whole)
    torch.testing.assert_close(system.match_all(*nodes), table, atol=1e-5, rtol=1e-4)
    assert whole[0].vector.shape[1] == system.backbone.channels + (4 + 9) * 4


@pytest.mark.parametrize("name", ["proposed", "b_localised_coattn", "b_graph_hierarchy", "explicit_hierarchy"])
def test_the_backbone_learns_what_it_learns_in_b_siamese(name):
    """Where whole pictures have a weight, their part of a system is B-Siamese, step by step."""
    source = Embedded(train=8, val=2, test=1, sketches_per_photo=2, size=48)
    rendering = Rendering(image_size=48, num_regions=4, max_strokes=6)

    def trained(kind, **settings):
        torch.manual_seed(0)
        backbone = Backbone("test_efficientnet", 3, region_level=2)
        start = [p.detach().clone() for p in backbone.parameters()]
        system = kind(backbone, optimisation=Optimisation("sgd", 10.0, backbone_lr_factor=0.5), **settings)
        trainer = Trainer(max_steps=3, gradient_clip_val=0.05, accelerator="cpu", barebones=True)
        trainer.fit(system, SketchPhotoDataModule(source, rendering=rendering, batch_size=4, num_workers=0))
        return torch.cat([(p.detach() - q).reshape(-1) for p, q in zip(backbone.parameters(), start, strict=True)])

    moved = trained(SYSTEMS[name], nodes=NodeSettings(dim=16, hidden=8, region_grid=2, global_weight=0.5))
    alone = trained(BSiamese, pool="max", dim=None)
    assert alone.abs().max() > 0.005
    torch.testing.assert_close(moved, alone, rtol=1e-4, atol=1e-6)


def parsed(*argv):
    """The settings of a command line that names a system."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(System, "model")
    backbone = ["--model.backbone.class_path=Backbone", "--model.backbone.init_args.name=test_efficientnet"]
    return parser.parse_args([f"--model={argv[0]}", *backbone, *argv[1:]]).model.init_args.nodes


@pytest.mark.parametrize("name", NODE_SYSTEMS)
def test_the_command_line_sets_the_settings_of_nodes_one_by_one(name):
    system = f"{SYSTEMS[name].__module__}.{SYSTEMS[name].__name__}"
    nodes = parsed(system, "--model.nodes.dim", "64", "--model.nodes.global_weight=0.5")
    assert NodeSettings(**vars(nodes)) == NodeSettings(dim=64, global_weight=0.5)
    for wrong in ("--model.nodes.dimm=64", "--model.nodes.gate=neither", "--model.dim=64"):
        with pytest.raises(ArgumentError, match=re.escape(wrong.split("=")[0].removeprefix("--model."))):
            parsed(system, wrong)


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_global_weight_out_of_range_is_refused(weight):
    with pytest.raises(InputError, match="global_weight"):
        NodeSettings(global_weight=weight)


def test_a_gate_without_coattention_is_refused():
    with pytest.raises(InputError, match="gate"):
        make("without_localised_coattn", gate="product")
