"""Every experiment file, for one batch on tiny data."""

from pathlib import Path

import pytest

from fgsbir.cli import main
from fgsbir.training import load_experiment

ROOT = Path(__file__).parents[1] / "experiments"
FILES = sorted(path for path in ROOT.rglob("*.yaml") if "/_" not in path.as_posix().removeprefix(str(ROOT)))
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in FILES]


def test_there_are_experiments():
    assert {"embedded/proposed", "chair_v2/proposed"} <= set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_experiment_is_named_as_its_file_and_says_what_it_is(path):
    config = load_experiment(path)
    assert config["experiment"] == path.relative_to(ROOT).with_suffix("").as_posix()
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    system = config["model"]["class_path"].rsplit(".", 1)[1]
    assert {"BSiamese": "B-Siamese", "Proposed": "Proposed", "RawPixels": "Grey pixels"}[system] in first


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_experiment_runs(path, tmp_path):
    """Its own settings, but for the data's and the network's size."""
    backbone = "--model.init_args.backbone.init_args."
    words = {
        "--data.source": "fgsbir.data.sources.Embedded",
        "--data.source.init_args.train": 6,
        "--data.source.init_args.val": 3,
        "--data.source.init_args.test": 3,
        "--data.source.init_args.sketches_per_photo": 1,
        "--data.source.init_args.size": 64,
        "--data.rendering.image_size": 64,
        "--data.batch_size": 4,
        "--data.num_workers": 0,
        "--trainer.fast_dev_run": "true",
        "--trainer.accelerator": "cpu",
        "--trainer.enable_progress_bar": "false",
        "--trainer.enable_model_summary": "false",
        "--runs_dir": tmp_path / "runs",
    }
    network = load_experiment(path)["model"].get("init_args", {}).get("backbone")
    if network:
        frozen = min(network["init_args"].get("frozen_levels", 0), 3)  # something must be left to learn
        words |= {f"{backbone}frozen_levels": frozen}
        words |= {f"{backbone}name": "test_efficientnet", f"{backbone}level": 3, f"{backbone}weights": "none"}
    options = [str(word) for pair in words.items() for word in pair]
    assert main(["fit" if network else "test", "--config", str(path), *options]) == 0
