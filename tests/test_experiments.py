"""Every shipped experiment says what it is, resolves, and trains for a step on tiny data."""

from pathlib import Path

import pytest

from fgsbir.report.cells import DATASETS, DETAILS, PAPER_ROWS, REGIONS, experiment_of
from fgsbir.runs.config import Settings, load_experiment, resolve
from fgsbir.runs.training import run
from fgsbir.systems import SYSTEMS

ROOT = Path(__file__).parents[1] / "experiments"
FILES = sorted(ROOT.rglob("*.yaml"))
NAMES = {
    recipe: sorted(p.stem for p in (ROOT / "systems" / recipe).glob("[a-z]*.yaml")) for recipe in ("modern", "paper")
}
OWN = [
    path.relative_to(ROOT).with_suffix("").as_posix() for path in FILES if path.parent.name in ("embedded", "chair_v1")
]

TINY = {
    "data.source": "Embedded",
    "data.source.train": 6,
    "data.source.val": 3,
    "data.source.test": 3,
    "data.source.sketches_per_photo": 1,
    "data.source.size": 64,
    "data.regions": "SelectiveSearch",
    "data.rendering.image_size": 64,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "trainer.fast_dev_run": True,
    "trainer.accelerator": "cpu",
    "backbone_from": None,
}


def test_every_cell_of_the_paper_is_an_experiment():
    for dataset in DATASETS:
        cells = {experiment_of(method, dataset) for method in PAPER_ROWS}
        cells |= {experiment_of(method, dataset, detail) for method in ("B-Siamese", "Proposed") for detail in DETAILS}
        cells |= {experiment_of("Proposed", dataset, regions=k) for k in REGIONS}
        for recipe, suffix in (("modern", ""), ("paper", "_paper")):
            for cell in cells:
                resolved = resolve(Settings(experiment=cell, recipe=recipe))
                assert resolved.config["experiment"] == cell + suffix
                assert resolved.config["recipe"] == recipe


def test_every_system_has_both_recipes():
    compared = set(SYSTEMS) - {"raw_pixels"}
    assert all(compared <= set(names) for names in NAMES.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_says_what_it_is_and_says_something(path):
    text = path.read_text().splitlines()
    assert text[0].startswith("# ")
    assert set(load_experiment(path)) - {"experiment", "recipe"}
    own = [line for line in text if not line.startswith(("#", "base:", "experiment:", "  class_path"))]
    assert len(own) >= (1 if "systems" in path.parts else 2)


def named(name, recipe):
    """The settings of an experiment, made tiny."""
    values = dict(TINY)
    config = resolve(Settings(experiment=name, recipe=recipe)).config
    backbone = config["model"].get("init_args", {}).get("backbone", {})
    if backbone.get("class_path", "").endswith(".Backbone"):
        frozen = min(backbone["init_args"]["frozen_levels"], 3)  # something must be left to learn
        tiny = {"name": "test_efficientnet", "level": 3, "weights": "none", "frozen_levels": frozen}
        region = backbone["init_args"]["region_level"]
        tiny |= {"region_level": None if region is None else min(region, 3)}
        values |= {f"model.backbone.{key}": value for key, value in tiny.items()}
    return Settings(experiment=name, recipe=recipe, values=tuple(values.items()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe"),
    [(f"chair_v2/{name}", recipe) for recipe, names in NAMES.items() for name in names if name != "raw_pixels"]
    + [(f"{dataset}/proposed", "modern") for dataset in ("chair_v1", "shoe_v2", "swire", "embedded")]
    + [(f"chair_v2/proposed_{variant.stem}", "modern") for variant in (ROOT / "variants").glob("*.yaml")]
    + [(name, "modern") for name in OWN],
)
def test_experiment_trains_for_a_step(name, recipe, tmp_path, monkeypatch):
    """Its own settings, but for the data's and the network's size."""
    monkeypatch.chdir(tmp_path)
    run(resolve(named(name, recipe)), ("fit",))


def test_a_system_without_training_is_tested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(resolve(named("embedded/raw_pixels", "modern")), ("test",))
