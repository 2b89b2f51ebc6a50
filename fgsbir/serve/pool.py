"""Slow work off the event loop, a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

from fastapi import Request

from fgsbir.serve.errors import ApiError
from fgsbir.serve.metrics import Metrics

T = TypeVar("T")


class Pool:
    """Threads that take one request after the other.

    Args:
        name: of the threads.
        threads: requests that are worked on at the same time.
        waiting: requests that may wait; one more is refused at once.
        metrics: where the time of waiting and refusals are counted.
    """

    def __init__(self, name: str, threads: int, waiting: int, metrics: Metrics) -> None:
        self._name, self._size, self._room, self._metrics = name, threads, threads + waiting, metrics
        self._inside = 0
        self._open()

    def _open(self) -> None:
        self._turn = asyncio.Semaphore(self._size)
        self._threads = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)  # starts none before it must

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """What `work()` returns, once it is its turn.

        Raises:
            ApiError: if too many wait already, or the client did not wait for its turn (a page draws on).
        """
        if self._inside >= self._room:
            self._metrics.rejected.labels("busy").inc()
            raise ApiError(503, "busy", "The server is busy.", retry_after=1)
        self._inside += 1
        started = perf_counter()
        try:
            async with self._turn:
                if await request.is_disconnected():
                    self._metrics.rejected.labels("gone").inc()
                    raise ApiError(503, "gone", "The client has gone.", retry_after=1)
                self._metrics.stage("wait", 1000 * (perf_counter() - started))
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Ends the threads; what was not begun is dropped. The application may be started once more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._open()
