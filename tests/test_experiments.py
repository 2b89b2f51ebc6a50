"""Every experiment file, for one batch on tiny data."""

import csv
from pathlib import Path

import pytest

from fgsbir.cli import main
from fgsbir.report.cells import DATASETS, DETAILS, PAPER_ROWS, REGIONS, experiment_of
from fgsbir.runs.config import load_experiment
from fgsbir.systems import SYSTEMS

ROOT = Path(__file__).parents[1] / "experiments"
PUBLISHED = Path(__file__).parents[1] / "fgsbir" / "report" / "published"
FILES = sorted(path for path in ROOT.rglob("*.yaml") if "/_" not in path.as_posix().removeprefix(str(ROOT)))
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in FILES]
CLASSES = {system.__name__: system.name for system in SYSTEMS.values()}


def rows(table):
    with (PUBLISHED / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_cell_of_the_paper_has_its_experiment():
    cells = {experiment_of(row["system"], row["dataset"]) for row in rows("table1_comparison")}
    cells |= {experiment_of(row["system"], row["dataset"]) for row in rows("table2_ablation_acc1")}
    cells |= {experiment_of(row["system"], row["dataset"], row["sketch"]) for row in rows("table3_detail_acc10")}
    cells |= {experiment_of("Proposed", "ChairV2", regions=int(row["regions"])) for row in rows("figure_regions")}
    assert len(cells) == 41
    assert cells - set(NAMES) == set()


def test_every_row_has_an_experiment_on_every_dataset():
    cells = {experiment_of(method, dataset) for method in PAPER_ROWS for dataset in DATASETS}
    details = [(method, detail) for method in ("B-Siamese", "Proposed") for detail in DETAILS]
    cells |= {experiment_of(method, dataset, detail) for method, detail in details for dataset in DATASETS}
    cells |= {experiment_of("Proposed", dataset, regions=k) for k in REGIONS for dataset in DATASETS}
    assert cells - set(NAMES) == set()


def test_every_system_has_both_recipes_on_chairs():
    compared = set(SYSTEMS) - {"raw_pixels"}
    assert {f"chair_v2/{name}{recipe}" for name in compared for recipe in ("", "_paper")} <= set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_experiment_is_named_as_its_file_and_says_what_it_is(path):
    config = load_experiment(path)
    name = path.relative_to(ROOT).with_suffix("").as_posix()
    assert config["experiment"] == name
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert CLASSES[config["model"]["class_path"].rsplit(".", 1)[1]] in first
    assert f"{config['recipe']} recipe" in first or config["recipe"] == "none"
    data = config["data"]
    assert data.get("test_detail", "full") == {"_coarse": "coarse", "_coarse_plus": "coarse++"}.get(
        name[name.find("_coarse") :] if "_coarse" in name else "", "full"
    )
    k = name.rpartition("_k")[2]
    assert data["rendering"].get("num_regions", 16) == (int(k) if k.isdigit() else 14 if "released" in name else 16)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_experiment_runs(path, tmp_path):
    """Its own settings, but for the data's and the network's size."""
    config = load_experiment(path)
    backbone = config["model"].get("init_args", {}).get("backbone", {})
    words = {
        "--data.source": "fgsbir.data.datasets.Embedded",
        "--data.source.init_args.train": 6,
        "--data.source.init_args.val": 3,
        "--data.source.init_args.test": 3,
        "--data.source.init_args.sketches_per_photo": 1,
        "--data.source.init_args.size": 64,
        "--data.regions": "fgsbir.regions.selective_search.SelectiveSearch",
        "--data.rendering.image_size": 64,
        "--data.batch_size": 4,
        "--data.num_workers": 0,
        "--trainer.fast_dev_run": "true",
        "--trainer.accelerator": "cpu",
        "--trainer.enable_progress_bar": "false",
        "--trainer.enable_model_summary": "false",
        "--runs_dir": tmp_path / "runs",
    }
    if backbone.get("class_path", "").endswith(".Backbone"):
        network = "--model.init_args.backbone.init_args."
        frozen = min(backbone["init_args"].get("frozen_levels", 0), 3)  # something must be left to learn
        words |= {f"{network}frozen_levels": frozen}
        words |= {f"{network}name": "test_efficientnet", f"{network}level": 3, f"{network}weights": "none"}
    options = [str(word) for pair in words.items() for word in pair]
    assert main(["fit" if backbone else "test", "--config", str(path), *options]) == 0
