"""The launcher for Slurm, as far as it goes without one; tests/slurm has the rest."""

import os
import pickle

import pytest

from fgsbir import run_command
from fgsbir.errors import InputError
from fgsbir.runs.folder import RunFolder
from fgsbir.sweep import slurm
from fgsbir.sweep.plan import PlannedRun
from fgsbir.sweep.state import State

SQUEUE = """#!/bin/sh
# Takes a line from the file `queued` and, as long as there is one, lists job 7; or none, where the line says so.
case "$*" in *--name=*) cat named 2> /dev/null; exit 0;; esac
if [ -s queued ]; then read -r line < queued; sed -i 1d queued; [ "$line" = none ] || echo 7; exit 0; fi
echo over >> over
echo "slurm_load_jobs error: Invalid job id specified" >&2
exit 1
"""
SBATCH = """#!/bin/sh
cp "$1" submitted
echo "Submitted batch job 7"
"""


def planned(tmp_path, name, **settings):
    folder = RunFolder(tmp_path / "runs" / "tiny" / name / "0-s0")
    return PlannedRun({"experiment": name, "seed": 0, **settings}, folder, folder)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A working folder with commands that answer as Slurm's do."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("squeue", SQUEUE), ("sbatch", SBATCH), ("srun", "")):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0)
    (tmp_path / "queued").write_text("x\nx\n")
    return tmp_path


def launch(folder, runs, **options):
    slurm.launch(runs, "s-123", folder / "jobs", options, 3)


def test_runs_become_one_array_with_the_tasks_and_nodes_of_the_trainer(cluster, capsys):
    settings = {"trainer.devices": 2, "trainer.num_nodes": 4}
    runs = [planned(cluster, name, **settings) for name in ("a", "b")]
    launch(cluster, runs, partition="gpu", time=240)
    flags = (cluster / "submitted").read_text().splitlines()
    for flag in ("array=0-1%2", "ntasks-per-node=2", "nodes=4", "partition=gpu", "time=240", "job-name=s-123"):
        assert f"#SBATCH --{flag}" in flags
    assert (cluster / "queued").read_text() == ""  # it was waited for
    jobs = [pickle.loads(path.read_bytes()) for path in sorted((cluster / "jobs").glob("*submitted.pkl"))]
    assert [job.function.arguments[0] for job in jobs] == ["--experiment=a", "--experiment=b"]
    assert [job.function.log for job in jobs] == [run.folder.log for run in runs]
    assert jobs[0].function.checkpoint().function == jobs[0].function  # what is queued again is the same
    assert "submitted job 7" in capsys.readouterr().out


def test_an_array_that_is_queued_already_is_joined(cluster, capsys):
    (cluster / "named").write_text("7\n7\n")
    launch(cluster, [planned(cluster, "a")])
    assert not (cluster / "submitted").exists()
    assert (cluster / "queued").read_text() == ""
    assert "joining job 7" in capsys.readouterr().out


def test_a_task_that_is_missing_from_the_queue_for_a_moment_is_waited_for(cluster):
    (cluster / "queued").write_text("x\nnone\nnone\nx\nnone\nx\n")
    launch(cluster, [planned(cluster, "a")])
    assert (cluster / "queued").read_text() == ""
    assert len((cluster / "over").read_text().splitlines()) == slurm.ABSENCES


def test_a_sweep_whose_runs_are_all_done_ends_with_its_job(cluster, monkeypatch):
    monkeypatch.setattr(slurm, "state_of", lambda run: State("done"))
    launch(cluster, [planned(cluster, "a")])
    assert len((cluster / "over").read_text().splitlines()) == 1


def test_an_option_that_sbatch_does_not_have_is_one_line(cluster):
    with pytest.raises(InputError, match=r"--launcher slurm: .*'partytion'"):
        launch(cluster, [planned(cluster, "a")], partytion="gpu")


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no squeue here"):
        launch(tmp_path, [planned(tmp_path, "a")])


def test_a_job_fails_as_its_run_does(tmp_path, monkeypatch):
    class Ended:
        def wait(self):
            return 1

    monkeypatch.setattr(slurm, "start", lambda *_: Ended())
    with pytest.raises(RuntimeError, match=r"exit status 1, see .*log\.txt"):
        slurm.Job(("--experiment=a",), tmp_path / "log.txt")()


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "own.yaml").write_text("experiment: my/own\n")


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_tasks_all_train_and_the_first_one_tests_alone(rank, monkeypatch, own_file):
    started = []

    class Ended:
        def wait(self):
            return 0

    monkeypatch.setattr(run_command, "start", lambda command, env: started.append((command[3:], env)) or Ended())
    for name, value in (("SLURM_PROCID", rank), ("SLURM_NTASKS", 2), ("MASTER_PORT", 1), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))
    run_command.run(["--experiment=my/own.yaml", "--seed=4", "--trainer.devices=2"])
    (fit, environment), *tests = started
    assert fit[:6] == ["fit", "--config", "my/own.yaml", "--seed_everything", "4", "--trainer.devices=2"]
    assert environment["SLURM_NTASKS"] == "2"
    assert len(tests) == (rank == 0)
    for test, environment in tests:
        assert test[1 : len(fit)] == fit[1:]
        assert "--trainer.devices=1" in test[len(fit) :]
        assert "PATH" in environment
        assert not {"SLURM_PROCID", "SLURM_NTASKS", "MASTER_PORT", "LOCAL_RANK"} & environment.keys()


def test_a_stage_that_fails_ends_the_run_and_says_how(monkeypatch, own_file):
    class Ended:
        def wait(self):
            return -9

    monkeypatch.setattr(run_command, "start", lambda *_: Ended())
    with pytest.raises(SystemExit, match="fit failed: killed by SIGKILL"):
        run_command.run(["--experiment=my/own.yaml"])
