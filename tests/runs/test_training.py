"""Whole runs through the command line, on tiny data."""

import csv
import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning import Callback
from tiny import EMA, PROPOSED, TINY

from fgsbir.cli import main
from fgsbir.metrics.cost import STROKES, measure
from fgsbir.metrics.ranking import load_ranking
from fgsbir.runs.config import Settings, resolve
from fgsbir.runs.environment import hardware
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import build
from fgsbir.runs.table import write_runs_csv


def run_folder(tmp_path, experiment="tiny"):
    (folder,) = (tmp_path / "runs" / experiment).iterdir()
    return RunFolder(folder)


def command(*words):
    """Exit status of a command, whether it returns or leaves."""
    try:
        return main([str(word) for word in words])
    except SystemExit as left:
        return left.code


@pytest.mark.parametrize("system", ["b_siamese", "proposed"])
def test_fit_test_results_and_report(system, tmp_path, write_config, capsys):
    config = write_config(model=TINY["model"] if system == "b_siamese" else PROPOSED)
    assert command("fit", "--config", config) == 0
    assert command("test", "--config", config) == 0
    run = run_folder(tmp_path)
    result, ranking = run.read_result(), load_ranking(run.ranking)

    assert (result.n_test, result.n_gallery) == (8, 4)
    assert result.acc1 == pytest.approx(100 * np.mean(ranking.ranks == 1))
    assert result.mean_rank == pytest.approx(ranking.ranks.mean())
    for query, target in zip(ranking.query_ids, ranking.target, strict=True):
        assert query.rsplit("_", 1)[0] == ranking.gallery_ids[target]  # embedded ids are <photo>_<n>
    built, data = build(run.read_config(), run.config, "")
    cost = measure(built.eval(), data.rendering, STROKES, 5)
    assert (result.all_parameters, result.sketch_flops, result.photo_flops, result.pair_flops) == cost
    assert (cost.pair > 0) == (system == "proposed")
    assert 0 < result.query_ms < 1000 * result.test_seconds
    assert result.peak_memory_mib > 50
    rows = run.read_metrics()
    assert [row["epoch"] for row in rows] == [0, 1]
    assert result.val_acc1 == pytest.approx(max(rows, key=lambda row: row.get("val/mrr", -1))["val/acc1"])
    assert json.loads(run.env.read_text())["weights"][0]["source"].startswith("none")
    assert run.hierarchy.exists() == (system == "proposed")
    if system == "proposed":
        for pair in run.read_hierarchy():
            assert len(pair["sketch_merges"]) == len(pair["stroke_boxes"]) - 1
            assert len(pair["photo_merges"]) == len(pair["region_boxes"]) - 1
            for level in pair["levels"]:
                assert np.sum(level["sketch_to_photo"], axis=1) == pytest.approx(1, abs=1e-5)

    write_runs_csv(tmp_path / "runs", tmp_path / "runs.csv")
    (row,) = csv.DictReader((tmp_path / "runs.csv").open())
    assert float(row["acc1"]) == pytest.approx(result.acc1, abs=0.01)
    assert command("report", tmp_path / "runs", "--out", tmp_path / "report") == 0
    assert f"{result.acc1:.2f}" in (tmp_path / "report" / "index.html").read_text()
    (runs_table,) = (tmp_path / "report").rglob("runs.csv")
    row, chance = csv.DictReader(runs_table.open())
    assert float(row["acc1"]) == pytest.approx(100 * np.mean(ranking.ranks == 1))
    assert chance["system"] == "chance"

    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert command("fit", "--config", config) == 0
    assert command("test", "--config", config) == 0
    assert capsys.readouterr().out.count("nothing to do") == 2
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


class Kill(Callback):
    """Stops the process as a power cut would."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 1:
            os._exit(9)


class Interrupt(Callback):
    """Stops the process as Ctrl-C would."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        raise KeyboardInterrupt


def train_in_a_process(config, with_kill):
    code = "import sys, torch; sys.path.insert(0, sys.argv[1]); torch.set_num_threads(1); from fgsbir.cli import main; "
    code += "sys.exit(main(sys.argv[2:]))"
    words = ["fit", "--config", str(config)]
    if with_kill:
        words += ["--trainer.callbacks+=runs.test_training.Kill"]
    return subprocess.run([sys.executable, "-c", code, str(Path(__file__).parents[1]), *words], check=False).returncode


def test_a_killed_fit_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path, write_config):
    """With Gumbel noise, augmentation, one cycle and averaged weights all in play."""
    trainer = {**TINY["trainer"], "max_epochs": 4, "callbacks": [EMA]}
    whole = write_config("whole", model=PROPOSED, trainer=trainer)
    assert command("fit", "--config", whole) == 0

    cut = write_config("cut", model=PROPOSED, trainer=trainer)
    assert train_in_a_process(cut, with_kill=True) == 9
    interrupted = next((tmp_path / "runs" / "cut").iterdir())
    assert torch.load(interrupted / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    # The kill is a callback, so it is part of that run's hash: the resumed run is given its folder.
    interrupted.rename(tmp_path / "runs" / "cut" / run_folder(tmp_path, "whole").path.name)
    assert command("fit", "--config", cut) == 0

    a, b = (run_folder(tmp_path, name) for name in ("whole", "cut"))
    states = [torch.load(run.last_checkpoint, weights_only=True) for run in (a, b)]
    for key in ("state_dict", "current_model_state"):
        assert states[0][key].keys() == states[1][key].keys()
        for name, value in states[0][key].items():
            assert torch.equal(value, states[1][key][name]), name
    metrics = [run.read_metrics() for run in (a, b)]
    assert metrics[0] == metrics[1]
    assert [row["epoch"] for row in metrics[1]] == [0, 1, 2, 3]


def test_same_seed_same_result_and_another_seed_another(tmp_path, write_config):
    losses = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert command("fit", "--config", write_config(name), "--seed_everything", seed) == 0
        losses.append([row["train/loss"] for row in run_folder(tmp_path, name).read_metrics()])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    hashes = [run_folder(tmp_path, name).path.name.split("-") for name in ("a", "c")]
    assert hashes == [[hashes[0][0], "s0"], [hashes[0][0], "s1"]]  # seeds of one configuration share its hash


def test_loader_processes_change_nothing(tmp_path, write_config):
    data = deepcopy(TINY["data"])
    losses = []
    for workers in (0, 2):
        data["num_workers"] = workers
        assert command("fit", "--config", write_config(f"w{workers}", data=data)) == 0
        losses.append([row["train/loss"] for row in run_folder(tmp_path, f"w{workers}").read_metrics()])
    assert losses[0] == losses[1]
    names = [next((tmp_path / "runs" / f"w{w}").iterdir()).name for w in (0, 2)]
    assert names[0] == names[1]  # workers are no part of the hash


def test_config_of_a_run_folder_names_the_same_run(tmp_path, write_config, capsys):
    config = write_config()
    assert command("fit", "--config", config) == 0
    assert command("test", "--config", run_folder(tmp_path).config) == 0
    assert run_folder(tmp_path).is_done


def test_overrides_reach_the_run_and_its_name(tmp_path, write_config):
    config = write_config()
    command("fit", "--config", config, "--trainer.max_epochs", 1)
    first = run_folder(tmp_path)
    assert first.read_config()["trainer"]["max_epochs"] == 1
    command("fit", "--config", config, "--trainer.max_epochs", 1, "--data.batch_size", 5)
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.init_args.dimm", "3"], "dimm"),
        (["--data.batch_sise", "3"], "batch_sise"),
        (["--data.batch_size", "0"], "data.batch_size: 0 is not positive"),
        (["--model.init_args.backbone.init_args.weights", "no/such.pth"], "no such weights file"),
        (["--model.init_args.backbone.init_args.name", "no_such_net"], "no_such_net"),
        (["--experiment", "../../elsewhere"], "leads out of the runs folder"),
        (["--trainer.max_epochs", "few"], "trainer.max_epochs: few is not int"),
        (["--model.dim", "many"], "model.dim: many is not int"),
        (["--data.source.train", "x"], "data.source.train: x is not int"),
        (["--data.rendering.ink", "blue"], "data.rendering.ink: blue is not ['dark', 'light']"),
        (["--model.backbone", "NoNet"], "model.backbone: there is no class 'NoNet'"),
        (["--trainer.logger", "NoLogger"], "trainer.logger: there is no class 'NoLogger'"),
        (["--trainer.callbacks+=NoCallback"], "trainer.callbacks: there is no class 'NoCallback'"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt: no such file"),
    ],
)
def test_bad_settings_are_one_clear_line(words, says, write_config, tmp_path, capsys):
    assert command("fit", "--config", write_config(), *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("fgsbir: error: ")
    assert says in error
    assert not (tmp_path / "runs").exists()


def test_a_config_that_is_missing_broken_or_circular(tmp_path, capsys):
    broken, circle = tmp_path / "broken.yaml", tmp_path / "circle.yaml"
    broken.write_text("a: [1")
    circle.write_text("base: [circle.yaml]")
    for path, says in ((tmp_path / "none.yaml", "No such file"), (broken, "not valid YAML"), (circle, "its base")):
        assert command("fit", "--config", path) == 2
        error = capsys.readouterr().err.strip()
        assert str(path) in error
        assert says in error
        assert "\n" not in error


def test_test_before_fit_says_so(write_config, tmp_path, capsys):
    assert command("test", "--config", write_config()) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_damaged_checkpoint_is_one_line_and_left_alone(write_config, tmp_path, capsys):
    config = write_config()
    assert command("fit", "--config", config) == 0
    run = run_folder(tmp_path)
    whole = {name: path.read_bytes() for name, path in (("fit", run.last_checkpoint), ("test", run.best_checkpoint))}
    weightless = tmp_path / "weightless.ckpt"
    torch.save({"epoch": 1}, weightless)
    tensor = tmp_path / "tensor.ckpt"
    torch.save(torch.zeros(3), tensor)
    for name, path in (("fit", run.last_checkpoint), ("test", run.best_checkpoint)):
        cut = whole[name][: len(whole[name]) // 2]
        for content in (cut, b"", b".\n", b"not a checkpoint", tensor.read_bytes(), weightless.read_bytes()):
            path.write_bytes(content)
            capsys.readouterr()
            assert command(name, "--config", config) == 2
            error = capsys.readouterr().err.strip()
            assert str(path) in error
            assert "damaged" in error
            assert "\n" not in error
            assert path.read_bytes() == content
            assert not run.result.exists()
        assert {"fit": "delete it", "test": f"delete {run.checkpoints} and train again"}[name] in error
        path.write_bytes(whole[name])
    run.best_checkpoint.write_bytes(b"")
    shutil.rmtree(run.checkpoints)  # as the line says
    assert command("fit", "--config", config) == 0
    run.last_checkpoint.write_bytes(b"")  # a test needs nothing of it
    assert command("test", "--config", config) == 0
    result = run.read_result()
    assert (result.train_seconds, result.best_epoch is None) == (None, False)


def test_what_is_trained_elsewhere_stays_noted_there(write_config, tmp_path):
    """As when a folder is copied from a GPU host and `fgsbir run` finishes it."""
    config = write_config()
    assert command("fit", "--config", config) == 0
    run = run_folder(tmp_path)
    noted = run.read_env() | {"cores": 99, "cpu": "Trainer", "memory_gib": None}
    run.env.write_text(json.dumps(noted))
    assert command("fit", "--config", config) == 0  # nothing left to train
    assert run.read_env() == noted
    assert command("test", "--config", config) == 0
    assert run.read_result().train_hardware == "99 x Trainer"

    run.result.unlink()
    run.env.unlink()
    assert command("test", "--config", config) == 0
    assert run.read_result().train_hardware is None


def test_an_experiment_trained_as_another_is_only_tested(tmp_path, write_config, capsys):
    """Its test is what the other's checkpoint is worth on its own sketches; neither trains a second time."""
    full = write_config("full")
    less = {**TINY["data"], "test_detail": "coarse++"}
    coarse = write_config("coarse", data=less, trained_as="full")
    assert command("fit", "--config", coarse) == 0
    training = run_folder(tmp_path, "full")  # fitted as the other one
    assert not (tmp_path / "runs" / "coarse").exists()
    training.env.write_text(json.dumps(training.read_env() | {"cores": 99, "cpu": "Trainer", "memory_gib": None}))
    files = [path for path in training.path.rglob("*") if path.is_file() and path.name != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert "test_detail: full" in training.config.read_text()
    assert command("test", "--config", coarse) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}

    run = run_folder(tmp_path, "coarse")
    result = run.read_result()
    assert (result.experiment, result.config_hash) == ("coarse", run.path.name.split("-")[0])
    assert result.best_epoch == torch.load(training.best_checkpoint, weights_only=True)["epoch"]
    assert result.train_seconds > 0
    assert result.train_hardware == "99 x Trainer"  # as the training noted it, on another machine
    assert result.hardware == hardware()
    assert run.read_env() == training.read_env()
    assert run.read_metrics() == training.read_metrics()
    assert "test_detail: coarse++" in run.config.read_text()
    again = write_config("again", data=less)  # the same by hand
    assert command("test", "--config", again, "--ckpt_path", training.best_checkpoint) == 0
    by_hand = run_folder(tmp_path, "again").read_ranking()
    assert all(map(np.array_equal, run.read_ranking(), by_hand))

    assert command("test", "--config", full) == 0
    assert not np.array_equal(training.read_ranking().top_distances, by_hand.top_distances)  # detail tells
    capsys.readouterr()
    for words in (("fit", full), ("fit", coarse), ("test", coarse)):
        assert command(words[0], "--config", words[1]) == 0
    assert capsys.readouterr().out.count("nothing to do") == 3


def test_a_test_of_what_another_experiment_did_not_train_yet_says_so(tmp_path, write_config, capsys):
    config = write_config("coarse", data={**TINY["data"], "test_detail": "coarse"}, trained_as="full")
    assert command("test", "--config", config) == 2
    assert "full/" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


FINISH_ELSEWHERE = """
import json, sys, time
from pathlib import Path
from fgsbir.runs.folder import RunFolder
run = RunFolder(Path(sys.argv[1]))
with run.lock():
    print("locked", flush=True)
    while not (run.path / "waited for").exists():
        time.sleep(0.01)
    run.result.write_text(sys.argv[2])
"""


def test_a_run_that_another_process_works_on_is_waited_for_and_not_made_twice(
    tmp_path, write_config, capsys, monkeypatch
):
    config = write_config()
    assert command("fit", "--config", config) == 0
    assert command("test", "--config", config) == 0
    run = run_folder(tmp_path)
    result = run.result.read_text()
    run.result.unlink()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*.*") if path.suffix in (".ckpt", ".npz")}

    def say(*words, **options):
        print(*words, **options)
        (run.path / "waited for").touch()

    monkeypatch.setattr("fgsbir.files.print", say, raising=False)
    for name in ("fit", "test"):
        words = [sys.executable, "-c", FINISH_ELSEWHERE, run.path, result]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            capsys.readouterr()
            assert command(name, "--config", config) == 0
        said = capsys.readouterr()
        assert "another process holds this lock" in said.err
        assert "nothing to do" in said.out
        run.result.unlink()
        (run.path / "waited for").unlink()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_system_without_parameters_needs_no_training(tmp_path, write_config, capsys):
    config = write_config(model={"class_path": "fgsbir.systems.raw_pixels.RawPixels"})
    assert command("fit", "--config", config) == 0
    assert "nothing to train" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert command("test", "--config", config) == 0
    assert run_folder(tmp_path).is_done


def test_a_resolved_run_names_the_folders_that_fit_and_test_use(tmp_path, write_config):
    full, data = write_config("full"), {**TINY["data"], "test_detail": "coarse"}
    coarse = write_config("coarse", data=data, trained_as="full")
    run = resolve(Settings(files=(coarse,), seed=2))
    assert resolve(Settings(files=(full,), seed=2)) == run.trained
    assert not (tmp_path / "runs").exists()
    for words in (("fit", full), ("test", coarse)):
        assert command(words[0], "--config", words[1], "--seed_everything", 2) == 0
    assert run_folder(tmp_path, "full") == run.trained.folder
    assert run_folder(tmp_path, "coarse") == run.folder
    assert run.folder.path.name.endswith("-s2")


def test_fit_and_test_in_one_process_are_fit_and_test_in_two(tmp_path, write_config):
    """With averaged weights, which a test must not mistake for the live ones."""
    trainer = {**TINY["trainer"], "callbacks": [EMA]}
    one, two = (write_config(name, model=PROPOSED, trainer=trainer) for name in ("one", "two"))
    assert command("run", "--config", one) == 0
    code = "import sys, torch; torch.set_num_threads(1); from fgsbir.cli import main; sys.exit(main(sys.argv[1:]))"
    for name in ("fit", "test"):
        assert subprocess.run([sys.executable, "-c", code, name, "--config", two], check=False).returncode == 0
    a, b = (run_folder(tmp_path, name) for name in ("one", "two"))
    assert a.read_metrics() == b.read_metrics()
    assert all(map(np.array_equal, a.read_ranking(), b.read_ranking()))


def test_loggers_callbacks_and_optimiser_of_the_user_work_beside_ours(tmp_path, write_config):
    pytest.importorskip("tensorboard")
    log = tmp_path / "log"
    words = ["--trainer.logger+=CSVLogger", f"--trainer.logger.save_dir={log / 'csv'}"]
    words += ["--trainer.logger+=TensorBoardLogger", f"--trainer.logger.save_dir={log / 'board'}"]
    words += ["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=step"]
    words += ["--optimizer=SGD", "--optimizer.lr=0.5", "--trainer.profiler=simple", "--trainer.log_every_n_steps=1"]
    assert command("run", "--config", write_config(), *words) == 0
    run = run_folder(tmp_path)
    assert run.is_done
    rows = [row for path in sorted(log.rglob("metrics.csv")) for row in csv.DictReader(path.open())]
    logged = {name: float(value) for row in rows for name, value in row.items() if value}
    assert logged["test/acc1"] == pytest.approx(run.read_result().acc1)
    assert logged["val/acc1"] == pytest.approx(run.read_metrics()[-1]["val/acc1"])
    assert logged["lr-SGD"] == 0.5
    assert list((log / "board").rglob("events.out.*"))


def test_a_logger_without_a_folder_writes_to_that_of_the_run(tmp_path, write_config):
    assert command("fit", "--config", write_config(), "--trainer.logger", "CSVLogger") == 0
    assert list((run_folder(tmp_path).path / "logs").rglob("metrics.csv"))


def test_run_starts_from_a_checkpoint_and_tests_its_own(tmp_path, write_config):
    """`ckpt_path` is where the first stage starts; the test takes the best checkpoint of the run."""
    model = deepcopy(TINY["model"])
    model["init_args"]["optimisation"] = {"schedule": "constant"}  # one cycle ends with its epochs
    first = write_config("first", model=model)
    assert command("fit", "--config", first) == 0
    start = run_folder(tmp_path, "first").last_checkpoint
    longer = write_config("second", model=model, trainer={**TINY["trainer"], "max_epochs": 4})
    assert command("run", "--config", longer, "--ckpt_path", start) == 0
    run = run_folder(tmp_path, "second")
    assert [row["epoch"] for row in run.read_metrics()] == [2, 3]
    assert run.read_result().best_epoch in (2, 3)
    assert run.read_config()["ckpt_path"] is None


def test_ctrl_c_ends_a_run_with_the_status_of_a_shell(tmp_path, write_config):
    words = ["run", "--config", str(write_config()), "--trainer.callbacks+=runs.test_training.Interrupt"]
    code = "import sys; sys.path.insert(0, sys.argv[1]); from fgsbir.cli import main; sys.exit(main(sys.argv[2:]))"
    argv = [sys.executable, "-c", code, str(Path(__file__).parents[1]), *words]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 130


def test_help_is_short_or_whole(capsys):
    assert command("fit", "--help") == 0
    short = capsys.readouterr().out
    assert len(short.splitlines()) < 50
    for name in ("--system", "--trainer.max_epochs", "--trainer.logger", "--optimizer"):
        assert name in short
    assert command("fit", "--help=all") == 0
    whole = capsys.readouterr().out
    for name in ("--trainer.val_check_interval", "--data.rendering.image_size", "--wandb.mode", "--optimizer"):
        assert name in whole


def test_print_config_prints_every_default_and_starts_nothing(tmp_path, write_config, capsys):
    config = write_config()
    assert command("fit", "--config", config, "--print_config") == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["trainer"]["max_epochs"] == 2
    assert printed["trainer"]["val_check_interval"] is None  # Lightning's
    assert printed["data"]["rendering"]["line_width"] == 2.0  # ours
    assert not (tmp_path / "runs").exists()


def test_saved_config_is_complete_and_plain(tmp_path, write_config):
    command("fit", "--config", write_config(), "--trainer.max_epochs", 1)
    config = yaml.safe_load(run_folder(tmp_path).config.read_text())
    assert config["data"]["rendering"]["line_width"] == 2.0  # a default that nobody wrote down
    assert config["data"]["source"]["init_args"]["seed"] == 0
