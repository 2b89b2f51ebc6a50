"""The launcher for Slurm, as far as it goes without one; tests/slurm has the rest."""

import os
import pickle

import pytest

from fgsbir.errors import InputError
from fgsbir.runs.config import Settings, resolve
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
    (tmp_path / f"{name}.yaml").write_text(f"experiment: tiny/{name}\nmodel: {{class_path: stand.In}}\n")
    parameters = {
        "experiment": str(tmp_path / f"{name}.yaml"),
        "seed": 0,
        "runs_dir": str(tmp_path / "runs"),
        **settings,
    }
    return PlannedRun(parameters, resolve(Settings.of(list(parameters.items()))))


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
    # The file of a job tells all that it takes.
    assert [resolve(Settings(files=(job.function.config,))) for job in jobs] == [run.resolved for run in runs]
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
        slurm.Job(tmp_path / "a.yaml", tmp_path / "log.txt")()
