"""Work for several processes at once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

from fgsbir.errors import InputError
from fgsbir.files import usable_cores

T = TypeVar("T")

FEW = 20
"""Up to this many calls are made in this process: the others would take as long to start."""


def in_processes(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], what: str, processes: int | None = None
) -> Iterator[T]:
    """What a function gives for each of its arguments, in their order, from as many processes as usable cores.

    `multiprocessing` would import the caller's main script again in every process: with it torch, and whatever the
    script does without a guard. So `worker.py` is started by name; it gets one pickled call after another and answers
    with the pickled result.

    Args:
        function: function of a module, or a partial of one.
        arguments: positional arguments of each call.
        what: name of the work in errors.
        processes: number of processes; by default one a usable core, or this one for `FEW` calls.

    Raises:
        InputError: if a process ends before it has answered.
    """
    if processes is None:
        processes = usable_cores() if len(arguments) > FEW else 1
    if processes == 1:
        yield from (function(*given) for given in arguments)
        return
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "fgsbir.data.worker"]
    started: list[subprocess.Popen[bytes]] = []
    idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def call(given: tuple[Any, ...]) -> T:
        process = idle.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((function, given), process.stdin)
            process.stdin.flush()
            result: T = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()  # it may be alive, if something else printed into its answer
            problem = "a process gave no answer"
            raise InputError(what, problem, "see its error above, or free some memory") from None
        finally:
            idle.put(process)
        return result

    try:
        for _ in range(min(processes, len(arguments))):
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment))
            idle.put(started[-1])
        with ThreadPoolExecutor(len(started)) as pool:
            yield from pool.map(call, arguments)
    finally:
        for process in started:
            process.kill()
            process.communicate()
