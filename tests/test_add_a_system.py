"""The system of docs/tutorials/add-a-system.md, trained and tested as that page says, on tiny data."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny import TINY

from fgsbir.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorials" / "add-a-system.md").read_text("utf-8")
SMALL = {
    "--data.source.init_args.train": 6,
    "--data.source.init_args.val": 3,
    "--data.source.init_args.test": 4,
    "--data.source.init_args.sketches_per_photo": 2,
    "--data.source.init_args.size": 64,
    "--data.rendering.image_size": 64,
    "--data.batch_size": 4,
    "--data.num_workers": 0,
    "--model.init_args.backbone.init_args.name": "test_efficientnet",
    "--model.init_args.backbone.init_args.level": 3,
    "--model.init_args.backbone.init_args.weights": "none",
    "--trainer.max_epochs": 1,
    **{f"--trainer.{key}": TINY["trainer"][key] for key in ("accelerator", "enable_progress_bar")},
}
SMALL_WORDS = [str(word).lower() for pair in SMALL.items() for word in pair]


def block(language):
    """The only block of a language on the page."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


def commands():
    """The words behind `python -m fgsbir`, line by line."""
    lines = [line.partition(".venv/bin/python -m fgsbir ") for line in block("sh").splitlines()]
    assert all(before == "" and mark for before, mark, _ in lines)
    return [words.split() for *_, words in lines]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder as the page describes it, which is the current one."""
    config = yaml.safe_load(block("yaml"))
    module = config["model"]["class_path"].split(".")[0]
    assert f"`{module}.py`" in PAGE
    (tmp_path / f"{module}.py").write_text(block("python"))
    (tmp_path / commands()[0][-1]).write_text(block("yaml"))
    for name in config["base"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop(module, None)


def test_the_commands_of_the_page_end_in_a_row_of_results(checkout, monkeypatch):
    monkeypatch.syspath_prepend(checkout)  # as `python -m` does
    fit, test, results = commands()
    assert main([*fit, *SMALL_WORDS]) == 0
    assert main([*test, *SMALL_WORDS]) == 0
    assert main(results) == 0
    (row,) = csv.DictReader((checkout / results[-1] / "runs.csv").open())
    config = yaml.safe_load(block("yaml"))
    assert row["experiment"] == config["experiment"]
    assert row["system"] == sys.modules[config["model"]["class_path"].split(".")[0]].MeanNode.name
    assert (row["dataset"], row["n_test"]) == ("embedded_chairs", "8")
    assert 0 <= float(row["acc1"]) <= 100
    (checkpoint,) = checkout.glob(f"runs/{row['experiment']}/*/checkpoints/best.ckpt")
    weight = torch.load(checkpoint, weights_only=True)["state_dict"]["regions.project.weight"]
    assert len(weight) == config["model"]["init_args"]["dim"]


def test_python_m_finds_the_module_in_the_current_folder(checkout):
    fit = commands()[0]
    command = [sys.executable, "-m", "fgsbir", *fit, "--print_config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["model"]["class_path"] == "mean_node.MeanNode"


def test_the_page_names_what_there_is():
    for name in re.findall(r"`((?:fgsbir|tests|docs|experiments)/[\w./]*)`", PAGE):
        assert (ROOT / name).exists(), name
