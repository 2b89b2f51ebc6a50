"""How far long work has come: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")

QUIET = 5.0
"""Seconds of work without a line."""
LONGEST = 600.0
"""Seconds between two lines at most."""
DELAY = 1.0
"""Seconds of work without a bar."""


def progress(
    items: Iterable[T], what: str, total: int | None = None, unit: str = "it", size: Callable[[Any], int] | None = None
) -> Iterator[T]:
    """Gives the items one after another, and shows on stderr how many were dealt with.

    On a terminal this is a bar. Elsewhere (a log, Slurm, CI) it is a line after 5 seconds, the next ones after twice
    the time each, and a last line. Work of less than 5 seconds leaves none.

    Args:
        items: what is to be done.
        what: name of the work, e.g. "Tracing sketches".
        total: number of units in all; the number of `items` by default.
        unit: name of a unit, in the singular.
        size: units of an item, for items that are batches; 1 each by default.
    """
    if total is None:
        assert isinstance(items, Sized)
        total = len(items)
    terminal = sys.stderr.isatty()
    with tqdm(total=total, desc=what, unit=unit, delay=DELAY, leave=False) if terminal else _Lines(what, total) as bar:
        for item in items:
            yield item
            bar.update(1 if size is None else size(item))


def say(line: str) -> None:
    """Prints a line on stdout while a bar may be shown."""
    tqdm.write(line)


class _Lines:
    """The part of `tqdm` that `progress` uses, as lines at growing intervals."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.started = monotonic()
        self.due = self.started + QUIET
        self.spoke = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.spoke and kind is None:
            self._say(f"{self.done:,} in {_clock(monotonic() - self.started)}")

    def update(self, count: int) -> None:
        """Counts, and prints a line if one is due."""
        self.done += count
        now = monotonic()
        if now < self.due or self.done >= self.total:
            return
        passed = now - self.started
        left = passed * (self.total - self.done) / max(self.done, 1)
        self._say(f"{self.done:,} of {self.total:,} in {_clock(passed)}, about {_clock(left)} left")
        self.due = now + min(passed, LONGEST)

    def _say(self, text: str) -> None:
        print(f"{self.what}: {text}", file=sys.stderr, flush=True)
        self.spoke = True


def _clock(seconds: float) -> str:
    """E.g. "01:05", or "2:03:09"."""
    return tqdm.format_interval(seconds)
