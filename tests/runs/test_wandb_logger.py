"""What Weights & Biases stores of an offline run, read back by its own tool."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import PROPOSED

from fgsbir.cli import main
from fgsbir.errors import InputError
from fgsbir.report.dashboard import build_report
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.wandb_logger import WandbOptions, open_run
from fgsbir.systems.base import System
from fgsbir.visualization.grids import retrieval_grid

pytest.importorskip("wandb")


def records(part):
    """The stored records of one kind after the other: `{"run": [...], "history": [...], ...}`."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(part)]
    found = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        record = json.loads(line)
        found.setdefault(record["type"], []).append(record.get(record["type"], {}))
    return found


def merged(updates):
    out = {}
    for update in updates:
        out |= update["update"]
    return out


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def test_fit_and_test_are_one_run_with_config_best_figures_and_pictures(tmp_path, write_config, offline, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "not this one: the option wins")
    monkeypatch.setenv("WANDB_TAGS", "night, two cores")
    words = ["--config", str(write_config(model=PROPOSED)), "--wandb.group", "ablation"]
    assert main(["fit", *words]) == 0
    assert main(["test", *words]) == 0
    run = RunFolder(next((tmp_path / "runs" / "tiny").iterdir()))
    parts = sorted(run.path.glob("wandb/offline-run-*"))
    fit, test = (records(part) for part in parts)

    for part in (fit, test):
        (start,) = part["run"]
        assert start["run_id"] == run.wandb_id()
        assert start["resume"]  # without which `wandb sync` would let the second part replace the first
        assert (start["run_group"], start["project"]) == ("ablation", "fgsbir")
        assert set(start["tags"]) == {"embedded_chairs", "custom", "seed 0", "night", "two cores"}
        config = merged(part["config"])
        assert (config["system"], config["dataset"], config["seed"]) == ("Proposed", "embedded_chairs", 0)
        assert config["model"]["init_args"]["nodes"]["dim"] == 16
        assert config["trainer"]["max_epochs"] == 2

    rows = run.read_metrics()
    history = [row["item"] for row in fit["history"]]
    for name in ("val/acc1", "val/mean_rank", "train/loss"):
        curve = {row["epoch"]: row[name] for row in history if name in row}
        assert curve == {row["epoch"]: pytest.approx(row[name]) for row in rows}
    summary = merged(fit["summary"])
    assert summary["val/acc1"] == {"max": pytest.approx(max(row["val/acc1"] for row in rows))}
    assert summary["val/mean_rank"] == {"min": pytest.approx(min(row["val/mean_rank"] for row in rows))}

    result, ranking, summary = run.read_result(), run.read_ranking(), merged(test["summary"])
    for name in ("acc1", "acc5", "acc10", "mean_rank", "mrr"):
        assert summary[f"test/{name}"] == pytest.approx(getattr(result, name))
    (logged,) = (row["item"] for row in test["history"])
    files = parts[1] / "files"
    with Image.open(files / logged["test/retrieval.path"]) as picture:
        assert np.array_equal(np.asarray(picture), retrieval_grid(ranking, *run.read_thumbnails()))
    table = json.loads((files / logged["test/ranks.path"]).read_text())
    assert [row[:3] for row in table["data"]] == [
        [q, ranking.gallery_ids[t], r] for q, t, r in zip(ranking.query_ids, ranking.target, ranking.ranks, strict=True)
    ]
    table = json.loads((files / logged["test/result.path"]).read_text())
    assert dict(zip(table["columns"], *table["data"], strict=True))["n_test"] == 8
    pages = [(files / page["path"]).read_text() for page in logged["test/hierarchy.html"]]
    shown = sorted(run.read_hierarchy(), key=lambda pair: pair["rank"])
    assert f"Sketch {shown[0]['query']}: true photo at rank {shown[0]['rank']}" in pages[0]
    assert f"Sketch {shown[-1]['query']}: true photo at rank {shown[-1]['rank']}" in pages[1]

    pytest.importorskip("wandb_workspaces")
    page = build_report("lab", "chairs")._to_model().model_dump_json()
    shown = set(re.findall(r"\b((?:train|val|test)/\w+)", page))
    stored = {key.partition(".")[0] for key in (merged(fit["summary"]) | summary).keys() | logged.keys()}
    assert len(shown) >= 10
    assert shown - stored == set()  # a dashboard shows what runs log


def test_a_backbone_that_is_trained_on_the_way_has_a_wandb_run_of_its_own(tmp_path, write_config, offline):
    first = write_config("first")
    model = {**PROPOSED, "init_args": {**PROPOSED["init_args"]}}
    second = write_config("second", model=model, backbone_from=str(first))
    assert main(["run", "--config", str(second)]) == 0
    for name, tested in (("first", False), ("second", True)):
        run = RunFolder(next((tmp_path / "runs" / name).iterdir()))
        (part,) = run.path.glob("wandb/offline-run-*")  # training and test are one part of one process
        found = records(part)
        assert found["run"][0]["run_id"] == run.wandb_id()
        keys = {key for row in found["history"] for key in row["item"]}
        assert "val/acc1" in keys
        assert ("test/ranks.path" in keys) == tested
        epochs = [row["item"]["epoch"] for row in found["history"] if "val/acc1" in row["item"]]
        assert epochs == [0, 1]


def test_a_failed_training_ends_its_wandb_run_as_failed(tmp_path, write_config, offline, monkeypatch):
    def fail(self, batch):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(System, "batch_loss", fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        main(["fit", "--config", str(write_config())])
    (part,) = tmp_path.glob("runs/tiny/*/wandb/offline-run-*")
    assert records(part)["exit"][0]["exit_code"] == 1


def test_without_wandb_a_run_works_unless_it_was_asked_for(tmp_path, write_config, offline, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["fit", "--config", str(write_config()), "--trainer.max_epochs", "1"]) == 0
    assert not list(tmp_path.glob("runs/tiny/*/wandb*"))
    with pytest.raises(InputError, match="wandb is not installed; pip install"):
        _ = WandbOptions(mode="online").resolved_mode


def test_online_without_an_account_says_how_to_go_on(tmp_path, monkeypatch):
    for name, value in {"WANDB_BASE_URL": "http://127.0.0.1:9", "NETRC": "/dev/null", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(InputError, match="wandb login") as caught:
        open_run(RunFolder(tmp_path), "tiny", WandbOptions(mode="online"), {}, [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "variable", "mode"),
    [(None, None, "offline"), (None, "disabled", "disabled"), ("online", "disabled", "online"), (None, "", "offline")],
)
def test_the_option_wins_over_the_variable_and_the_default_is_offline(option, variable, mode, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert WandbOptions(mode=option).resolved_mode == mode


def test_an_unknown_mode_is_one_line(write_config, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    assert main(["fit", "--config", str(write_config())]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("fgsbir: error: WANDB_MODE: 'ofline' is unknown")


def test_an_agents_id_is_taken_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "agent1")
    assert RunFolder(tmp_path / "a").wandb_id() == "agent1"
    monkeypatch.delenv("WANDB_RUN_ID")
    assert RunFolder(tmp_path / "a").wandb_id() == "agent1"
    fresh = RunFolder(tmp_path / "b").wandb_id()
    assert fresh not in ("agent1", RunFolder(tmp_path / "c").wandb_id())
    assert RunFolder(tmp_path / "b").wandb_id() == fresh
