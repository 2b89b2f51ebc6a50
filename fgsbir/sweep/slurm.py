"""The launcher for a cluster with Slurm: one array of jobs, submitted by submitit and waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgsbir.errors import InputError
from fgsbir.sweep.plan import PlannedRun
from fgsbir.sweep.process import end_log, fgsbir, start
from fgsbir.sweep.state import state_of, summary

DAY = 24 * 60
"""Minutes that a job gets by default. One that is not done by then is queued again, and goes on."""

TIMEOUTS = 100
"""How many times it is."""

POLL_SECONDS = 10.0

ABSENCES = 6
"""How many times on end the job must be missing from the queue to be over while runs are not: one empty answer of a
busy Slurm should not end the waiting."""

_IGNORED = (signal.SIGTERM, signal.SIGUSR2)
"""What Slurm sends before it kills: submitit answers by queueing the job again, and training goes on until the end."""


@dataclass(frozen=True)
class Job:
    """What one job of the array does, in each of its tasks: one run.

    Attributes:
        config: file with the configuration of the run.
        log: log of the run.
    """

    config: Path
    log: Path

    def __call__(self) -> None:
        """Runs it.

        Raises:
            RuntimeError: if it fails, so that the job fails too.
        """
        status = start(fgsbir("run", "--config", str(self.config)), os.environ, self.log, _IGNORED).wait()
        if status:
            end_log(self.log, status)
            raise RuntimeError(f"exit status {status}, see {self.log}")

    def checkpoint(self) -> Any:
        """What is queued again before the job is killed: the same, which goes on where it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def launch(
    runs: Sequence[PlannedRun], name: str, folder: Path, options: Mapping[str, Any], at_once: int | None = None
) -> None:
    """Submits the runs as one array of jobs and waits for its end; an array of that name that is queued is joined.

    A run with `trainer.devices` and `trainer.num_nodes` gets as many tasks and nodes.

    Args:
        runs: those that are not finished.
        name: name of the array.
        folder: for the files of submitit, in reach of all nodes, as the runs must be.
        options: of `sbatch`, such as `partition`, `time` (minutes), `gpus_per_node`, `cpus_per_task`, `mem`.
        at_once: jobs that run at once at most.

    Raises:
        InputError: if submitit is not installed, there is no Slurm, or it refuses the job.
        KeyboardInterrupt: after Ctrl-C; the jobs go on.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise InputError("--launcher slurm", "submitit is not installed", "pip install 'fgsbir[slurm]'") from None
    job_id = _queued(f"--name={name}")
    if job_id:
        print(f"joining job {job_id}, which is queued already", flush=True)
    else:
        parameters = {
            "job_name": name,
            "time": DAY,
            "ntasks_per_node": max(run.wanted("devices") for run in runs),
            "nodes": max(run.wanted("num_nodes") for run in runs),
            "array_parallelism": at_once or len(runs),
            "srun_args": ["--kill-on-bad-exit=1"],
        }
        try:
            executor = submitit.SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
            executor.update_parameters(**parameters | dict(options))
            with executor.batch():
                jobs = [executor.submit(Job(run.write_config(folder), run.folder.log)) for run in runs]
        except (RuntimeError, ValueError, submitit.core.utils.FailedSubmissionError) as error:
            problem = " ".join(str(error).split())
            raise InputError("--launcher slurm", problem, "check --slurm and that sbatch works here") from None
        job_id = jobs[0].job_id.partition("_")[0]
        print(f"submitted job {job_id}: {len(runs)} runs; scancel {job_id} ends them", flush=True)
    try:
        _wait(runs, job_id)
    except KeyboardInterrupt:
        print(f"\njob {job_id} goes on; the same command waits for it again, scancel {job_id} ends it")
        raise


def _wait(runs: Sequence[PlannedRun], job_id: str) -> None:
    """Waits until all runs have ended, or their job has left the queue for good, and tells when runs end."""
    told = absent = 0
    while True:
        try:
            absent = 0 if _queued(f"--jobs={job_id}") else absent + 1
        except InputError:  # a busy Slurm does not always answer
            absent = 0
        ended = [state for state in map(state_of, runs) if state.kind in ("done", "failed")]
        if len(ended) > told:
            told = len(ended)
            print(f"of {len(runs)} runs, {summary(ended).partition(': ')[2]}", flush=True)
        if absent >= ABSENCES or (absent and len(ended) == len(runs)):
            return
        time.sleep(POLL_SECONDS)


def _queued(which: str) -> str:
    """The id of the queued or running job that is chosen so; empty if there is none."""
    try:
        command = ["squeue", "--me", "--noheader", "--format=%F", which]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError("--launcher slurm", "there is no squeue here", "run it where sbatch works") from None
    if listed.returncode and "Invalid job id" not in listed.stderr:
        raise InputError("--launcher slurm", listed.stderr.strip() or "squeue failed", "is Slurm up?")
    return next(iter(listed.stdout.split()), "")
