"""`fgsbir sweep` and `fgsbir run`: what they say, what they touch, and whole sweeps of real trainings."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sweep.stand_in import environment, install
from tiny import TINY

from fgsbir.cli import main
from fgsbir.commands import sweep as sweep_command
from fgsbir.runs.config import Settings, resolve
from fgsbir.runs.folder import RunFolder, find_runs
from fgsbir.sweep import wandb_agents
from fgsbir.sweep.plan import make_plan
from fgsbir.sweep.spec import load_sweep

ROOT = Path(__file__).parents[2]


def error_of(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    return line


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep file in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        text = f"experiment: tiny/{name}\nmodel: {{class_path: stand.In, init_args: {{dim: 3}}}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    coarse = "base: [a.yaml]\nexperiment: tiny/a_coarse\ntrained_as: tiny/a\ndata: {test_detail: coarse}\n"
    (tmp_path / "a_coarse.yaml").write_text(coarse)
    parameters = {
        "experiment": {"values": ["a_coarse.yaml", "a.yaml", "b.yaml"]},
        "seed": {"values": [0]},
        "model.dim": {"values": [4]},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}, sort_keys=False))
    return tmp_path


def test_a_dry_run_shows_the_commands_and_touches_nothing(sweep, capsys):
    before = contents(sweep)
    assert main(["sweep", "run", "s.yaml", "--seeds", "4", "--set", "trainer.max_epochs=2", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "s: 3 runs: 3 waiting"
    shown = [line.strip() for line in out.splitlines() if line.startswith("  fgsbir run")]
    rest = "--seed=4 --model.dim=4 --trainer.max_epochs=2 --runs_dir=runs"
    # Those that need no training of their own come last.
    assert shown == [f"fgsbir run --experiment={name}.yaml {rest}" for name in ("a", "b", "a_coarse")]
    assert contents(sweep) == before


def test_a_plan_tells_the_folders_that_the_runs_will_have(sweep):
    def plan(**overrides):
        made = make_plan(load_sweep(Path("s.yaml"), overrides), Path("runs"))
        made.write()
        return made

    first = plan()
    for run in first.runs:
        assert run.resolved == resolve(Settings.parse(run.arguments))  # as the command that it shows
    written = json.loads((sweep / "runs" / "sweeps" / "s.json").read_text())
    folders = [run.folder.path.relative_to("runs").as_posix() for run in first.runs]
    assert [run["folder"] for run in written["runs"]] == folders
    assert [folder.split("/")[1] for folder in folders] == ["a", "b", "a_coarse"]
    assert [run["training"] for run in written["runs"]] == [folders[0], folders[1], folders[0]]
    assert plan().digest == first.digest
    (sweep / "b.yaml").write_text((sweep / "b.yaml").read_text().replace("stand.In", "stand.Out"))
    assert plan().digest != first.digest


def test_status_tells_an_interrupted_run_from_one_that_was_not_started(sweep, capsys):
    folder, other = (run.folder for run in make_plan(load_sweep(Path("s.yaml")), Path("runs")).runs[1::-1])
    folder.path.mkdir(parents=True)
    folder.env.write_text("{}")
    folder.config.write_text("trainer: {max_epochs: 5}\n")
    folder.metrics.write_text("epoch,step,val/acc1\n0,10,50.0\n1,20,75.0\n")
    assert main(["sweep", "status", "s.yaml"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[1:]}
    name = f"tiny/b/{folder.path.name}"
    assert lines[name].startswith("interrupted ")
    assert lines[name].endswith("epoch 2 of 5, val acc@1 75.00")
    assert lines[f"tiny/a/{other.path.name}"].split()[0] == "waiting"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder.path], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        main(["sweep", "status", "s.yaml"])
        holder.kill()
    assert f"running  {name}" in capsys.readouterr().out


HOLD = """
import sys, time
from pathlib import Path
from fgsbir.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["walk", "s.yaml"], "invalid choice: 'walk'"),
        (["run"], "FILE"),
        (["run", "none.yaml"], "none.yaml: No such file"),
        (["run", "s.yaml", "--seeds", "0,one"], "--seeds: '0,one' is not a list of whole numbers"),
        (["run", "s.yaml", "--slots", "0"], "--slots: 0 is not positive"),
        (["run", "s.yaml", "--set", "dim"], "--set: 'dim' has no '='"),
        (["run", "s.yaml", "--dataset", "chair_v2"], "a_coarse.yaml is a file, which has its own"),
        (["run", "t.yaml", "--dataset", "chairs"], "--dataset: there is no 'chairs'"),
        (["run", "t.yaml", "--recipe", "secret"], "--recipe: there is no 'secret'"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_starts_nothing(words, says, sweep, capsys):
    parameters = {"experiment": {"value": "proposed"}, "experiments": {"value": "x"}, "seed": {"value": 0}}
    (sweep / "t.yaml").write_text(json.dumps({"method": "grid", "parameters": parameters}))
    assert main(["sweep", *words, "--experiments", str(ROOT / "experiments")]) == 2
    assert says in error_of(capsys)
    assert not (sweep / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("model.dimm=3", "model.dimm: BSiamese has no such setting"),
        ("trainer.max_epoch=3", "Trainer has no such setting"),
    ],
)
def test_a_setting_that_does_not_exist_is_found_before_anything_starts(setting, says, sweep, write_config, capsys):
    write_config("tiny/a").rename(sweep / "a.yaml")
    words = ["sweep", "run", "s.yaml", "--set", "experiment=a.yaml", "--set", "model.dim=null", "--set", setting]
    assert main(words) == 2
    assert says in error_of(capsys)
    assert not (sweep / "runs").exists()


def test_a_launcher_does_not_load_torch(tmp_path):
    install(tmp_path, steps=1)
    code = "import sys; from fgsbir.cli import main; main(['sweep', 'run', 's.yaml']); sys.exit('torch' in sys.modules)"
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, cwd=tmp_path, env=environment(tmp_path), check=False).returncode == 0


def test_wandb_without_an_account_is_one_line(sweep, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(sweep))
    monkeypatch.setenv("NETRC", str(sweep / "none"))
    assert main(["sweep", "run", "s.yaml", "--launcher", "wandb"]) == 2
    error = error_of(capsys)
    assert "--launcher wandb: No API key" in error
    assert "--launcher local" in error


def test_wandb_gets_the_file_with_its_overrides_and_an_agent_a_slot(sweep, monkeypatch):
    import wandb

    from sweeps import schema_violations_from_proposed_config

    sent, started = [], []

    class Agent:
        def wait(self):
            return 0

        poll = wait

    monkeypatch.setattr(wandb, "Api", lambda: None)
    monkeypatch.setattr(wandb, "sweep", lambda config: sent.append(config) or "abc123")
    monkeypatch.setattr(wandb_agents, "start", lambda command, env: started.append((command, env)) or Agent())
    path = ROOT / "sweeps" / "ablation.yaml"
    slots = [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    wandb_agents.launch(load_sweep(path, {"dataset": ["chair_v2"], "trainer.devices": [2]}), slots)
    expected = yaml.safe_load(path.read_text())
    expected["parameters"] |= {"dataset": {"values": ["chair_v2"]}, "trainer.devices": {"values": [2]}}
    assert sent == [expected]
    assert schema_violations_from_proposed_config(sent[0]) == []
    assert [command[-3:] for command, _ in started] == [["wandb", "agent", "abc123"]] * 2
    assert [env["CUDA_VISIBLE_DEVICES"] for _, env in started] == ["0", "1"]
    assert all(env["WANDB_MODE"] == "online" for _, env in started)


@pytest.mark.parametrize(("chosen", "group"), [(None, "s"), ("mine", "mine")])
def test_the_runs_of_a_sweep_are_a_group_at_wandb(chosen, group, sweep, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", chosen or "")
    if chosen is None:
        monkeypatch.delenv("WANDB_RUN_GROUP")
    groups = []
    monkeypatch.setattr(sweep_command.local, "launch", lambda *_: groups.append(os.environ["WANDB_RUN_GROUP"]))
    with pytest.raises(SystemExit):  # nothing was run
        main(["sweep", "run", "s.yaml"])
    assert groups == [group]


def test_run_needs_an_experiment(capsys):
    assert main(["run", "--seed", "0"]) == 2
    assert "no experiment is named" in error_of(capsys)


def test_a_real_sweep_that_was_killed_ends_as_one_that_was_not(tmp_path, write_config, monkeypatch):
    """With real trainings: killed in the middle, the launcher takes its children along, and the next one goes on."""
    trainer = {**TINY["trainer"], "max_epochs": 12}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    cut.mkdir()
    config = write_config("tiny/a", trainer=trainer, runs_dir="unused").rename(cut / "a.yaml")
    parameters = {"experiment": {"value": "a.yaml"}, "seed": {"value": 0}}
    (cut / "s.yaml").write_text(json.dumps({"method": "grid", "parameters": parameters}))
    for command in ("fit", "test"):
        assert main([command, "--config", str(config), "--runs_dir", str(whole)]) == 0

    words = [sys.executable, "-m", "fgsbir", "sweep", "run", "s.yaml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    launcher = subprocess.Popen(words, cwd=cut, env=env, stdout=subprocess.PIPE)
    while not (metrics := list(cut.rglob("metrics.csv"))):
        assert launcher.poll() is None
        time.sleep(0.01)
    launcher.kill()
    launcher.communicate()
    run = RunFolder(metrics[0].parent)
    with run.lock():  # it is given up at once
        assert not run.result.exists()
        epochs = len(run.read_metrics())
        assert epochs < 12
    kept = {path: path.stat().st_mtime_ns for path in (run.config,)}

    again = subprocess.run(words, cwd=cut, env=env, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Restoring states from the checkpoint" in run.log.read_text()
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    (reference,) = find_runs(whole)
    assert run.read_metrics() == reference.read_metrics()
    states = [torch.load(r.last_checkpoint, weights_only=True)["state_dict"] for r in (run, reference)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert all(map(np.array_equal, run.read_ranking(), reference.read_ranking()))
    third = subprocess.run(words, cwd=cut, env=env, capture_output=True, text=True, check=False)
    assert third.stdout.strip() == "s: 1 runs: 1 done, nothing to do"
    assert third.returncode == 0
