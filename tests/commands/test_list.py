"""`fgsbir list`, on the experiments of this repository with tiny networks."""

import csv
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from fgsbir.cli import main
from fgsbir.data.dataset import Rendering
from fgsbir.metrics.cost import example, measure
from fgsbir.models.backbone import Backbone
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.runs.config import load_experiment
from fgsbir.systems import SYSTEMS, NodeSettings, Proposed, SketchBertVariant, TripletAttnSN, TripletSN
from fgsbir.systems.base import System
from fgsbir.systems.triplet_sn import ViewEncoding
from fgsbir.systems.vector_system import VectorSystem

ROOT = Path(__file__).parents[2]
NUMBERS = ["parameters", "sketch_flops", "photo_flops", "pair_flops"]


def experiments(path, names=tuple(SYSTEMS), recipes=("modern",)):
    """The folder of tiny systems on a tiny dataset; each system names a file of weights that is not there."""
    root = path / "experiments"
    for name, recipe in itertools.product(names, recipes):
        real = ROOT / "experiments" / "systems" / recipe / f"{name}.yaml"
        if not real.exists():  # raw pixels have no paper recipe
            continue
        config = load_experiment(real)
        backbone = config["model"].get("init_args", {}).get("backbone")
        if backbone is not None:
            if backbone["class_path"].endswith(".Backbone"):
                fine = {"region_level": 2} if "region_level" in backbone["init_args"] else {}
                backbone["init_args"] = {"name": "test_efficientnet", "level": 3, **fine}
            backbone.setdefault("init_args", {})["weights"] = "no/such.safetensors"
        file = root / "systems" / recipe / real.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(config))
    data = load_experiment(ROOT / "experiments" / "datasets" / "chair_v2.yaml")
    data.setdefault("data", {}).setdefault("rendering", {})["image_size"] = 96
    (root / "datasets").mkdir()
    (root / "datasets" / "chair_v2.yaml").write_text(yaml.safe_dump(data))
    return str(root)


def listed(capsys, *words):
    assert main(["list", *words]) == 0
    return capsys.readouterr().out


def only_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fgsbir: error: ")
    return line


def test_every_system_has_a_row_with_the_figures_of_its_experiment(tmp_path, capsys):
    out = listed(capsys, "--experiments", experiments(tmp_path), "--format", "csv")
    rows = {row["system"]: row for row in csv.DictReader(io.StringIO(out))}
    assert list(rows) == list(SYSTEMS)
    for name, row in rows.items():
        system = SYSTEMS[name]
        assert (row["name"], row["paper"]) == (system.name, system.paper)
        assert row["indexable"] == ("yes" if system.indexable else "no")
        parameters, sketch, photo, pair = (int(row[number]) for number in NUMBERS)
        if name == "raw_pixels":  # no network
            assert (parameters, sketch, photo, pair) == (0, 0, 0, 0)
            continue
        assert min(parameters, sketch, photo) > 0
        if name == "triplet_attn_sn":
            assert pair == 10 * 2 * 512**2  # sᵀW of each view
        else:
            assert (pair == 0) == system.indexable  # between vectors there is no product of matrices
    assert int(rows["proposed"]["pair_flops"]) > int(rows["b_localised_coattn"]["pair_flops"])


def test_a_system_without_the_recipe_has_no_cost(tmp_path, capsys):
    folder = experiments(tmp_path, ["raw_pixels", "b_siamese"], ["modern", "paper"])
    assert "raw_pixels,Raw pixels,–,0,0,0,0,yes\n" in listed(capsys, "--experiments", folder, "--format", "csv")
    out = listed(capsys, "--experiments", folder, "--format", "csv", "--recipe", "paper")
    assert "raw_pixels,Raw pixels,–,,,,,yes\n" in out


def test_an_experiment_of_a_name_of_its_own_wins_over_the_composition(tmp_path, capsys):
    folder = experiments(tmp_path, ["raw_pixels", "triplet_sn"])
    own = Path(folder, "chair_v2", "triplet_sn.yaml")
    own.parent.mkdir()
    own.write_text("base: [../systems/modern/raw_pixels.yaml, ../datasets/chair_v2.yaml]\n")
    rows = csv.DictReader(io.StringIO(listed(capsys, "--experiments", folder, "--format", "csv")))
    assert {row["system"]: row["parameters"] for row in rows}["triplet_sn"] == "0"


def test_the_paper_recipe_has_other_costs(tmp_path, capsys):
    folder = experiments(tmp_path, ["b_siamese"], ["modern", "paper"])
    modern, paper = (
        next(row for row in csv.DictReader(io.StringIO(out)) if row["system"] == "b_siamese")
        for out in (
            listed(capsys, "--experiments", folder, "--format", "csv", "--recipe", r) for r in ("modern", "paper")
        )
    )
    channels = Backbone("test_efficientnet", 3).channels
    assert int(paper["parameters"]) - int(modern["parameters"]) == 64 * channels + 64  # its embedding
    assert int(paper["sketch_flops"]) - int(modern["sketch_flops"]) == 2 * 64 * channels


def test_strokes_and_regions_are_as_many_as_asked(tmp_path, capsys):
    folder = experiments(tmp_path, ["b_localised_coattn", "b_siamese"])

    def pair_flops(*words):
        out = listed(capsys, "--experiments", folder, "--format", "csv", *words)
        row = next(row for row in csv.DictReader(io.StringIO(out)) if row["system"] == "b_localised_coattn")
        return int(row["pair_flops"])

    def by_hand(strokes, regions, d=128, hidden=64):
        m, n = strokes + 1, regions  # the modern recipe has a node for the whole drawing
        flops = (m + n) * d * hidden + m * n * hidden  # queries, scores
        flops += 2 * m * n * d  # messages
        flops += (m + n) * d * d * 2  # own part of the gate, update
        flops += 2 * min(m, n) * d * d + m * n * d  # foreign part, where there are fewer nodes
        return 2 * flops

    assert pair_flops() == by_hand(10, 16)
    assert pair_flops("--strokes", "30", "--regions", "5") == by_hand(30, 5)


def test_the_table_is_aligned_and_fits_a_terminal(tmp_path, capsys, monkeypatch):
    experiments(tmp_path, ["b_gated_siamese", "triplet_sn"])
    monkeypatch.chdir(tmp_path)
    out = listed(capsys, "--strokes", "7", "--regions", "9")
    assert max(map(len, out.splitlines())) <= 120
    notes, _, table = out.partition("\n\n")
    assert re.search(r"\b7 strokes of 11 points\b", notes)
    assert re.search(r"\b9 regions\b", notes)
    assert "chair_v2 in the modern recipe" in notes
    header, *rows = table.splitlines()
    assert header.split() == ["System", "Name", "Paper", "Params", "Sketch", "Photo", "Pair", "Index"]
    assert [row.split()[0] for row in rows] == list(SYSTEMS)
    for row in rows:
        for word in ("Name", "Paper", "Index"):  # to the left
            at = header.index(word)
            assert (row[at - 2 : at], row[at].isspace()) == ("  ", False)
        for word in ("Params", "Sketch", "Photo", "Pair"):  # to the right
            end = header.index(word) + len(word)
            assert (row[end - 1].isspace(), row[end]) == (False, " ")
    assert "  8.25 M  " in rows[list(SYSTEMS).index("triplet_sn")]


def test_markdown_has_the_words_of_the_table(tmp_path, capsys):
    folder = experiments(tmp_path, ["b_siamese"])
    outs = [listed(capsys, "--experiments", folder, "--format", form) for form in ("table", "markdown")]
    notes, tables = zip(*(out.split("\n\n") for out in outs), strict=True)
    assert notes[0] == notes[1]
    rows = [[cell.strip().replace("\\", "") for cell in row.strip("|").split("|")] for row in tables[1].splitlines()]
    assert rows.pop(1) == ["---", "---", "---", "---:", "---:", "---:", "---:", "---"]
    assert [re.split(r" {2,}", line.strip()) for line in tables[0].splitlines()] == rows


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--experiments", "nowhere"], "--recipe: there is no 'modern' in nowhere/systems"),
        (["--dataset", "chair_v3"], "--dataset: there is no 'chair_v3'"),
        (["--recipe", "paper"], "--recipe: there is no 'paper' in experiments/systems"),
        (["--recipe", "old"], "old"),
        (["--format", "pdf"], "pdf"),
        (["--strokes", "0"], "--strokes: 0 is not positive"),
        (["--regions", "-1"], "--regions: -1 is not positive"),
    ],
)
def test_bad_options_are_one_clear_line(words, says, tmp_path, capsys, monkeypatch):
    experiments(tmp_path, ["triplet_sn"])
    monkeypatch.chdir(tmp_path)
    assert main(["list", "--experiments", "experiments", *words]) == 2
    assert says in only_error(capsys)


def test_a_broken_experiment_is_named(tmp_path, capsys):
    folder = experiments(tmp_path, ["triplet_sn"])
    path = Path(folder, "systems", "modern", "triplet_sn.yaml")
    config = yaml.safe_load(path.read_text())
    config["model"]["init_args"]["cropp"] = 1.0
    path.write_text(yaml.safe_dump(config))
    assert main(["list", "--experiments", folder]) == 2
    assert "model.cropp: TripletSN has no such setting" in only_error(capsys)


class Joined(System):
    """A linear layer on two vectors side by side."""

    name = "Joined"

    def __init__(self):
        super().__init__()
        self.layer, self.score = nn.Linear(12, 7), nn.Linear(14, 3, bias=False)

    def encode_sketch(self, batch):
        return VectorEncoding(self.layer(batch.image[:, :, 0, :4].flatten(1).float()))

    def encode_photo(self, batch):
        return VectorEncoding(self.layer(batch.image[:, :, :2, :4].float().permute(0, 2, 1, 3).flatten(2)).sum(1))

    def match(self, sketches, photos):
        return self.score(torch.cat([sketches.vector, photos.vector], 1)).sum(1)

    def match_all(self, sketches, photos):
        raise AssertionError("one pair is matched, not all")


def test_linear_layers_by_hand():
    cost = measure(Joined().eval(), Rendering(image_size=8), 2, 3)
    assert cost == (12 * 7 + 7 + 14 * 3, 2 * 12 * 7, 2 * 2 * 12 * 7, 2 * 14 * 3)


def test_sketch_a_net_by_hand():
    """Layers and maps as published, at 225 of 256 pixels."""
    weights = [15 * 15 * 64, 5 * 5 * 64 * 128, 9 * 128 * 256, 9 * 256 * 256, 9 * 256 * 256, 49 * 256 * 512, 512 * 256]
    biases, places = 64 + 128 + 3 * 256 + 512 + 256, [71**2, 31**2, 15**2, 15**2, 15**2, 1, 1]
    cost = measure(TripletSN(SketchANet(), crops=1).eval(), Rendering(image_size=256), 2, 3)
    flops = 2 * sum(w * p for w, p in zip(weights, places, strict=True))
    assert cost == (sum(weights) + biases, flops, flops, 0)


def test_a_transformer_is_counted():
    """In evaluation torch has one operation for a whole layer, of which it counts nothing."""
    d, feedforward, points = 16, 24, 3 * 11
    strokes = StrokeTransformer(d, layers=2, heads=2, feedforward=feedforward)
    system = SketchBertVariant(Backbone("test_efficientnet", 2), strokes, dim=5)
    layer = points * (4 * d * d + 2 * d * feedforward) + 2 * points * points * d
    flops = 2 * (points * 3 * d + 2 * layer + d * 5)
    with torch.no_grad():
        assert measure(system.eval(), Rendering(image_size=32, max_points=64), 3, 2).sketch == flops


def test_the_example_is_full_and_has_no_padding():
    sketch, photo = example(Rendering(image_size=32, whole_sketch_node=True, max_points=64, max_strokes=2), 5, 4)
    assert sketch.image.shape == photo.image.shape == (1, 3, 32, 32)
    assert sketch.mask.tolist() == [[True] * 6]
    assert photo.mask.tolist() == [[True] * 4]
    assert (sketch.points.shape, sketch.lengths.tolist()) == ((1, 64, 3), [55])
    for boxes in (sketch.boxes, photo.boxes):
        assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_a_tree_costs_more_with_more_nodes():
    system = Proposed(Backbone("test_efficientnet", 2), NodeSettings(dim=16, hidden=8)).eval()
    pairs = [measure(system, Rendering(image_size=32), *nodes).pair for nodes in ((2, 2), (2, 9), (9, 2))]
    assert pairs[0] < min(pairs[1:])


def index_rows():
    """The table of docs/systems/README.md, by system."""
    lines = (ROOT / "docs" / "systems" / "README.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    header = next(row for row in cells if "Indexable" in row)
    return {row[0]: dict(zip(header, row, strict=True)) for row in cells if len(row) == len(header)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_paper_and_index_are_those_of_the_documentation(name):
    system = SYSTEMS[name]
    row = index_rows()[system.name]
    assert row["Indexable"] == ("yes" if system.indexable else "no")
    if row["Paper"] == "–":
        assert system.paper == "–"
        return
    author, year = re.findall(r"(\w+) et al\. (\d{4})", row["Paper"])[-1]  # "..., after" whose idea it is
    assert re.fullmatch(rf"{author} et al\., [A-Z]\w+ {year}", system.paper)


def test_systems_of_one_vector_are_indexable():
    assert {s for s in SYSTEMS.values() if issubclass(s, VectorSystem)} == {
        s for s in SYSTEMS.values() if s.indexable and not issubclass(s, TripletSN)
    }


@pytest.mark.parametrize("distance", ["euclidean", "holef"])
@torch.no_grad()
def test_a_search_among_stored_vectors_finds_what_ten_crops_find(distance):
    """With views side by side, a distance is an inner product with (p, p²) and a term of the sketch alone."""
    torch.manual_seed(0)
    system = TripletAttnSN(SketchANet(), distance=distance).eval()
    d = 512
    w = np.eye(d)
    if distance == "holef":
        system.holef.offset.normal_().mul_(30)
        w += system.holef.offset.double().numpy() / d
    sketches, photos = (nn.functional.normalize(torch.randn(n, 10, d), dim=2) for n in (3, 20))
    stored = np.array([np.concatenate([photo.flatten(), photo.square().flatten()]) for photo in photos.double()])
    for q, sketch in enumerate(sketches.double().numpy()):
        query = np.concatenate([-2 * (sketch @ w).flatten(), np.tile(w.sum(0), 10)]) / 10
        own = (sketch**2 @ w.sum(1)).mean()
        matched = system.match_all(ViewEncoding(sketches[q : q + 1]), ViewEncoding(photos))[0]
        np.testing.assert_allclose(stored @ query + own, matched.numpy(), atol=1e-4)
