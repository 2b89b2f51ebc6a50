"""The launcher for one machine: a process a slot, which makes run after run."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.files import usable_cores
from fgsbir.runs.environment import usable_memory_gib
from fgsbir.runs.folder import RunFolder
from fgsbir.sweep.plan import PlannedRun
from fgsbir.sweep.process import begin_log, end_log, fgsbir, kill, start, start_worker
from fgsbir.sweep.state import DONE, progress, state_of

GIB_A_RUN = 5
"""Memory that a training on a CPU may take, loader included; fewer runs are started at once where there is less."""

POLL_SECONDS = 0.2

Slot = Mapping[str, str]
"""What one run at a time gets of the machine, as environment variables."""


@dataclass
class Worker:
    """The process of a slot, and the run that it makes now.

    Attributes:
        slot: share of the machine.
        configs: folder for the configurations of runs.
        process: started with the first run, and again after one that failed.
        run: what it makes; None between two runs.
        since: when that began.
    """

    slot: Slot
    configs: Path
    process: subprocess.Popen[bytes] | None = None
    run: PlannedRun | None = None
    since: float = 0.0

    def begin(self, run: PlannedRun) -> None:
        """Hands a run to the process. One on several devices has its own, which Lightning starts again for each."""
        config, log, environment = run.write_config(self.configs), run.folder.log, {**os.environ, **self.slot}
        self.run, self.since = run, time.monotonic()
        if run.wanted("devices") > 1:
            self.stop()
            self.process = start(fgsbir("run", "--config", str(config)), environment, log)
            return
        if self.process is None:
            self.process = start_worker(environment)
        begin_log(log, ["fgsbir", "run", *run.arguments])
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died; `ended` finds out
            self.process.stdin.write(f"{config}\t{log.absolute()}\n".encode())
            self.process.stdin.flush()

    def ended(self) -> bool:
        """Whether the run has ended, with a line in its log if it failed, and took the process with it."""
        assert self.process is not None
        assert self.run is not None
        answers = self.process.stdout
        if answers is not None and select.select([answers], [], [], 0)[0] and answers.readline() == DONE:
            return True
        status = self.process.poll()
        if status is None:
            return False
        if status:
            end_log(self.run.folder.log, status)
        self.process = None
        return True

    def stop(self) -> None:
        """Ends the process, and what it makes."""
        if self.process is not None:
            kill(self.process)
            self.process = None


def launch(runs: Sequence[PlannedRun], slots: Sequence[Slot], configs: Path) -> None:
    """Makes all runs, in a process a slot, and returns when the last one has ended.

    A run that dies takes only itself. Whatever ends this process ends the others too: Ctrl-C at once, anything else by
    the operating system. A run that another launcher works on, or whose training another slot makes, is left for later.

    Args:
        runs: those that are not finished.
        slots: what each run at a time gets; see `slots_of_machine`.
        configs: folder for their configurations.

    Raises:
        KeyboardInterrupt: when the processes are ended.
    """
    pending, workers = list(runs), [Worker(slot, configs) for slot in slots]
    screen = Screen(len(runs))
    try:
        while pending or any(worker.run for worker in workers):
            for worker in workers:
                active = [other.run for other in workers if other.run is not None]
                if worker.run is None and (run := next_run(pending, active)) is not None:
                    pending.remove(run)
                    worker.begin(run)
                    screen.started(run)
            time.sleep(POLL_SECONDS)
            for worker in workers:
                if worker.run is not None and worker.ended():
                    screen.ended(worker.run, worker.since)
                    worker.run = None
            screen.show(workers)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it was")
        raise
    finally:
        for worker in workers:
            worker.stop()


def next_run(pending: Sequence[PlannedRun], active: Sequence[PlannedRun]) -> PlannedRun | None:
    """The first run that need not wait for a folder that an active run works on, or for another launcher.

    If all must wait for other launchers and nothing is active here, it is the first one.
    """
    # A run works on its folder from its fit to its test, though the lock is free for a moment in between.
    made = set[Path]().union(*({run.folder.path, *run.unfinished} for run in active))
    for run in pending:
        folders = {run.folder.path, run.training.path, *run.unfinished}
        if not folders & made and not any(RunFolder(path).is_locked for path in folders):
            return run
    return None if active or not pending else pending[0]


def slots_of_machine(count: int | None, devices: int) -> Sequence[Slot]:
    """The shares of this machine that runs get.

    Args:
        count: how many; by default one for each GPU, or group of GPUs, and on a machine without GPUs one for each
            core, as far as the memory goes.
        devices: GPUs of each run.

    Raises:
        InputError: if a run wants more GPUs than there are.
    """
    gpus, cores, memory = visible_gpus(), usable_cores(), usable_memory_gib()
    groups = [gpus[i : i + devices] for i in range(0, len(gpus) - devices + 1, devices)]
    if gpus and not groups:
        raise InputError("trainer.devices", f"{devices} of {len(gpus)} GPUs", "use fewer, or --launcher slurm")
    if count is None:
        count = len(groups) if gpus else max(1, min(cores, (memory or GIB_A_RUN) // GIB_A_RUN))
    slots = [{"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count)))} for _ in range(count)]
    for index, slot in enumerate(slots if gpus else []):
        slot["CUDA_VISIBLE_DEVICES"] = ",".join(groups[index % len(groups)])
    return slots


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return listed.stdout.split() if listed.returncode == 0 else []


class Screen:
    """Tells how far the runs are: a line when one ends, and at a terminal a live line for each that is active.

    Args:
        total: number of runs.
    """

    def __init__(self, total: int) -> None:
        self.total, self.ends = total, 0
        self._live, self._drawn = sys.stdout.isatty(), 0
        self._next = 0.0

    def started(self, run: PlannedRun) -> None:
        """Notes that a run was started."""
        if not self._live:
            print(f"started {run.label}", flush=True)

    def ended(self, run: PlannedRun, since: float) -> None:
        """Notes how a run ended."""
        self.ends += 1
        state = state_of(run)
        self._clear()
        seconds = time.monotonic() - since
        print(f"[{self.ends}/{self.total}] {state.kind:7} {run.label}  {state.detail}  ({_clock(seconds)})")
        if state.kind == "failed":
            print(f"          its log: {run.folder.log}")
        sys.stdout.flush()
        self._next = 0.0

    def show(self, workers: Sequence[Worker]) -> None:
        """Draws the live lines anew, once a second."""
        now = time.monotonic()
        if not self._live or now < self._next:
            return
        self._clear()
        width = shutil.get_terminal_size().columns - 1
        active = [(worker.run, worker.since) for worker in workers if worker.run is not None]
        for run, since in active:
            state = progress(run.folder) or "starting"
            print(f"  running {run.label}  {state}  ({_clock(now - since)})"[:width])
        self._drawn, self._next = len(active), now + 1
        sys.stdout.flush()

    def _clear(self) -> None:
        """Takes the live lines away."""
        if self._drawn:
            print(f"\x1b[{self._drawn}F\x1b[J", end="")
            self._drawn = 0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
