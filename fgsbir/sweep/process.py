"""Child processes that never outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fgsbir.sweep.state import FAILED, STARTED

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def fgsbir(*argv: str) -> list[str]:
    """The command line of an `fgsbir` command, whatever is on the path."""
    return [sys.executable, "-m", "fgsbir", *argv]


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path | None = None,
    ignored: Sequence[signal.Signals] = (),
) -> subprocess.Popen[bytes]:
    """Starts a command.

    On Linux it is killed when its parent dies; elsewhere the lock of its run folder keeps a second launcher off it.

    Args:
        command: the program and its options.
        environment: all its variables.
        log: file that its output is added to, and then it is a process group of its own, which a Ctrl-C at the
            terminal does not reach; without one it shares output and group with this process.
        ignored: signals that neither it nor its children take notice of.
    """
    prepare = _prepared(os.getpid(), ignored)
    if log is None:
        return subprocess.Popen(command, env=environment, preexec_fn=prepare)
    begin_log(log, command)
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )


def start_worker(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts `fgsbir.sweep.worker`, in a process group of its own; it ends with its parent as in `start`."""
    return subprocess.Popen(
        [sys.executable, "-m", "fgsbir.sweep.worker"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_prepared(os.getpid(), ()),
    )


def begin_log(log: Path, command: Sequence[str]) -> None:
    """Adds a line to a log that tells what is started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{STARTED}{shlex.join(command)}\n")


def end_log(log: Path, status: int) -> None:
    """Adds the line of a run that failed with an exit status, or was killed by a signal where that is negative."""
    reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{FAILED}{reason}\n")


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a command that has a group of its own, with all its processes, and waits for that.

    Nothing is lost by it: whatever a run writes, it writes whole or not at all.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _prepared(parent: int, ignored: Sequence[signal.Signals]) -> Callable[[], None]:
    """What a child does before its command runs: it ties itself to `parent`, and closes its ears."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return prepare
