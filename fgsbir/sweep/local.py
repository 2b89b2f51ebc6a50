"""The launcher for one machine: a process a run, as many at once as there are slots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fgsbir.errors import InputError
from fgsbir.runs.environment import usable_cores, usable_memory_gib
from fgsbir.sweep.plan import PlannedRun
from fgsbir.sweep.process import fgsbir, kill, start
from fgsbir.sweep.state import progress, state_of

GIB_A_RUN = 5
"""Memory that a training on a CPU may take, loader included; fewer runs are started at once where there is less."""

POLL_SECONDS = 0.2

Slot = Mapping[str, str]
"""What one run at a time gets of the machine, as environment variables."""


class Child(NamedTuple):
    """A run that was started."""

    run: PlannedRun
    slot: Slot
    process: subprocess.Popen[bytes]
    since: float


def launch(runs: Sequence[PlannedRun], slots: Sequence[Slot]) -> None:
    """Runs all, each in a process of its own, and returns when the last one has ended.

    Whatever ends this process ends its children too: Ctrl-C at once, anything else by the operating system. A run that
    another launcher works on is left for later, and is then found to be finished.

    Args:
        runs: those that are not finished.
        slots: what each run at a time gets; see `slots_of_machine`.

    Raises:
        KeyboardInterrupt: when the children are ended.
    """
    pending, free, active = list(runs), list(slots), list[Child]()
    screen = Screen(len(runs))
    try:
        while pending or active:
            while pending and free:
                run = next((run for run in pending if not _is_busy(run)), pending[0])
                pending.remove(run)
                slot = free.pop(0)
                process = start(fgsbir("run", *run.arguments), {**os.environ, **slot}, run.folder.log)
                active.append(Child(run, slot, process, time.monotonic()))
                screen.started(run)
            time.sleep(POLL_SECONDS)
            for child in [child for child in active if child.process.poll() is not None]:
                active.remove(child)
                free.append(child.slot)
                screen.ended(child)
            screen.show(active)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it was")
        raise
    finally:
        for child in active:
            kill(child.process)


def _is_busy(run: PlannedRun) -> bool:
    """Whether another process works on the run, or on its training."""
    return run.folder.is_locked or run.training.is_locked


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
    for place, slot in enumerate(slots if gpus else []):
        slot["CUDA_VISIBLE_DEVICES"] = ",".join(groups[place % len(groups)])
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

    def ended(self, child: Child) -> None:
        """Notes how a run ended."""
        self.ends += 1
        state = state_of(child.run)
        seconds = time.monotonic() - child.since
        self._clear()
        print(f"[{self.ends}/{self.total}] {state.kind:7} {child.run.label}  {state.detail}  ({_clock(seconds)})")
        if state.kind == "failed":
            print(f"          its log: {child.run.folder.log}")
        sys.stdout.flush()
        self._next = 0.0

    def show(self, active: Sequence[Child]) -> None:
        """Draws the live lines anew, once a second."""
        now = time.monotonic()
        if not self._live or now < self._next:
            return
        self._clear()
        width = shutil.get_terminal_size().columns - 1
        for child in active:
            said = progress(child.run.folder) or "starting"
            print(f"  running {child.run.label}  {said}  ({_clock(now - child.since)})"[:width])
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
