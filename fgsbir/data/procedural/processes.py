"""Instances from several processes at once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

from fgsbir.errors import InputError
from fgsbir.files import usable_cores

if TYPE_CHECKING:
    from fgsbir.data.procedural.generate import Instance


def make_in_processes(
    category: str, count: int, sketches_per_photo: int, seed: int, size: int, processes: int | None = None
) -> Iterator[Instance]:
    """The instances of `generate` in their order, from as many processes as there are usable cores.

    `multiprocessing` would import the caller's main script again in every process: with it torch, and whatever the
    script does without a guard. So `worker.py` is started by name; it gets one index after another and answers with
    the pickled instance.

    Raises:
        InputError: if a process ends before it has answered.
    """
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "fgsbir.data.procedural.worker", category]
    command += map(str, (sketches_per_photo, seed, size))
    started: list[subprocess.Popen[bytes]] = []
    idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def make(index: int) -> Instance:
        process = idle.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"%d\n" % index)
            process.stdin.flush()
            instance: Instance = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()  # it may be alive, if something else printed into its answer
            problem = "a process that makes instances gave no answer"
            raise InputError(f"embedded {category}", problem, "see its error above, or free some memory") from None
        finally:
            idle.put(process)
        return instance

    try:
        for _ in range(min(processes or usable_cores(), count)):
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment))
            idle.put(started[-1])
        with ThreadPoolExecutor(len(started)) as pool:
            yield from pool.map(make, range(count))
    finally:
        for process in started:
            process.kill()
            process.communicate()
