"""What tests/slurm/run.sh checks on a running Slurm; prints what it sees."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from fgsbir.runs.folder import RunFolder, find_runs

EPOCHS = 15
TINY = {
    "seed": 0,
    "data.source.init_args.train": 6,
    "data.source.init_args.val": 3,
    "data.source.init_args.test": 5,
    "data.source.init_args.sketches_per_photo": 2,
    "data.source.init_args.size": 64,
    "data.rendering.image_size": 64,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "model.init_args.backbone.init_args.name": "test_efficientnet",
    "model.init_args.backbone.init_args.weights": "none",
    "model.init_args.backbone.init_args.level": 3,
    "model.init_args.backbone.init_args.region_level": 2,
    "backbone_from": "null",  # each run by itself
    "model.init_args.optimisation.backbone_lr_factor": 0.3,
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": EPOCHS,
}


def sweep(runs_dir, *words, launcher="slurm", **settings):
    """The command line of the sweep."""
    settings = [word for item in {**TINY, **settings}.items() for word in ("--set", "{}={}".format(*item))]
    command = ["sweep", "run", "sweeps/regions.yaml", "--launcher", launcher, "--runs_dir", str(runs_dir), *settings]
    return [sys.executable, "-m", "fgsbir", *command, *words]


def say(*words):
    print("==", *words, flush=True)


def wait_for(condition, what, seconds=900):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            sys.exit(f"waited too long for {what}")
        time.sleep(0.2)
    return found


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def begun(runs, but=()):
    """A run that has trained for an epoch, and its job."""

    def first():
        return next((path.parent for path in runs.rglob("metrics.csv") if path.parent not in but), None)

    run = RunFolder(wait_for(first, "an epoch"))
    plan = json.loads(next((runs / "sweeps").glob("*.json")).read_text())
    place = [entry["folder"] for entry in plan["runs"]].index(run.path.relative_to(runs).as_posix())
    return run, f"{output('squeue', '--noheader', '--format=%F').split()[0]}_{place}"


def requeue(run, job, *command):
    """Has Slurm kill a training in the middle and queue its job again."""
    say(f"{' '.join(command)}: {run.path.parent.name}, after {len(run.read_metrics())} epochs")
    output(*command)
    wait_for(lambda: "PENDING" in output("squeue", "--noheader", "--format=%T", f"--jobs={job}"), "the queue")
    print(output("squeue", "--array"), flush=True)
    assert len(run.read_metrics()) < EPOCHS, "it was too late"
    # Instead of in two minutes, but not at once: slurmd refuses what starts in the second of its revocation as
    # "Job credential revoked", and the job fails.
    output("scontrol", "update", f"JobId={job}", "StartTime=now+5")


def main(work):
    say("sweeps/regions.yaml through Slurm")
    runs = work / "runs"
    launcher = subprocess.Popen(sweep(runs))
    requeued, job = begun(runs)
    requeue(requeued, job, "scontrol", "requeue", job)
    preempted, job = begun(runs, but=[requeued.path])
    requeue(preempted, job, "scancel", "--signal=USR2", job)  # as Slurm says that time is up
    assert launcher.wait() == 0
    finished = find_runs(runs)
    names = [run.path.parent.name for run in finished]
    assert sorted(names) == ["proposed", "proposed_k12", "proposed_k20", "proposed_k8"]
    for run in finished:
        log, twice = run.log.read_text(), run in (requeued, preempted)
        assert log.count("$ ") == 1 + twice, log
        assert ("last.ckpt" in log) == twice, log
    say("all four runs are done; the two that were queued again went on from their checkpoints")

    again = output(*sweep(runs))
    say("again:", again)
    assert "nothing to do" in again
    assert not output("squeue", "--noheader")

    say("the requeued run, undisturbed and without Slurm")
    subprocess.run(sweep(work / "local", launcher="local", experiment=requeued.path.parent.name), check=True)
    (reference,) = find_runs(work / "local")
    assert reference.path.name == requeued.path.name
    assert reference.read_metrics() == requeued.read_metrics()
    assert all(map(np.array_equal, reference.read_ranking(), requeued.read_ranking()))
    say("its metrics and ranking are the same")

    say("one training by two tasks under srun, with gloo")
    ddp = {"trainer.devices": 2, "trainer.strategy": "ddp", "experiment": "proposed_k8", "trainer.max_epochs": 2}
    subprocess.run(sweep(work / "ddp", **ddp), check=True)
    (run,) = find_runs(work / "ddp")
    text = run.log.read_text()
    print("\n".join(line for line in text.splitlines() if "GLOBAL_RANK" in line or "backend" in line), flush=True)
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in text
    assert "backend=gloo" in text
    assert run.read_result().n_test == len(set(run.read_ranking().query_ids)) == 10
    say("each of the 10 test sketches is ranked once")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
