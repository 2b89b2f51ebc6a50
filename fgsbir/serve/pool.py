"""Slow work off the event loop, in a few threads with a short queue."""

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
    """Threads with a queue of requests.

    Args:
        name: name of the threads.
        threads: requests worked on at the same time.
        waiting: capacity of the queue; further requests are refused at once.
        metrics: metrics that count waiting times and refusals.
    """

    def __init__(self, name: str, threads: int, waiting: int, metrics: Metrics) -> None:
        self._name, self._size, self._capacity, self._metrics = name, threads, threads + waiting, metrics
        self._inside = 0
        self._open()

    def _open(self) -> None:
        self._turn = asyncio.Semaphore(self._size)
        self._threads = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)  # starts threads on demand

    async def run(self, request: Request, work: Callable[..., T], *args: object) -> tuple[T, float]:
        """Runs `work(*args)` in a thread when it is its turn; the result, and the milliseconds it took.

        Raises:
            ApiError: if the queue is full, or the client has disconnected meanwhile, as the page does when its user
                draws on.
        """
        if self._inside >= self._capacity:
            self._metrics.rejected.labels("busy").inc()
            raise ApiError(503, "busy", "The server is busy.", retry_after=1)
        self._inside += 1
        started = perf_counter()
        try:
            async with self._turn:
                if await request.is_disconnected():
                    self._metrics.rejected.labels("gone").inc()
                    raise ApiError(503, "gone", "The client has disconnected.", retry_after=1)
                self._metrics.stage("wait", 1000 * (perf_counter() - started))
                return await asyncio.get_running_loop().run_in_executor(self._threads, _timed, work, *args)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Ends the threads and drops the queue. The pool can be used again afterwards."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._open()


def _timed(work: Callable[..., T], *args: object) -> tuple[T, float]:
    started = perf_counter()
    result = work(*args)
    return result, 1000 * (perf_counter() - started)
