"""How far the runs of a sweep are, told from their folders alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from fgsbir.errors import InputError
from fgsbir.runs.folder import RunFolder
from fgsbir.sweep.plan import PlannedRun
from fgsbir.visualization.tables import Column, Table, plain_row, to_text

FAILED = "fgsbir run: "
"""How the last line of a log begins when the run failed, and was not just interrupted."""

DONE = b"done\n"
"""What a worker answers to a run that succeeded."""

STARTED = "$ "
"""How the line of a log begins that says what was started."""

Kind = Literal["done", "running", "failed", "interrupted", "waiting"]


class State(NamedTuple):
    """Of a run.

    Attributes:
        kind: "interrupted" runs go on where they stopped, "waiting" ones were not started.
        detail: the score, the epoch or the last line of the error; empty where there is none.
    """

    kind: Kind
    detail: str = ""


def state_of(run: PlannedRun) -> State:
    """The state of a run."""
    if run.folder.is_done:
        result = run.folder.read_result()
        return State("done", f"acc@1 {result.acc1:.2f}, acc@10 {result.acc10:.2f}")
    if run.folder.is_locked:
        return State("running", progress(run.folder))
    lines = _log_lines(run.folder)
    if lines and lines[-1].startswith(FAILED):
        return State("failed", error_line(run.folder))
    if lines or run.folder.env.exists():
        return State("interrupted", progress(run.folder))
    return State("waiting")


def progress(folder: RunFolder) -> str:
    """The last epoch of a training and its validation score, or nothing before its end."""
    try:
        last, config = folder.read_metrics()[-1], folder.read_config()
    except (InputError, IndexError):
        return ""
    epochs, score = config.get("trainer", {}).get("max_epochs"), last.get("val/acc1")
    count = f"epoch {int(last['epoch']) + 1}" + (f" of {epochs}" if epochs and epochs > 0 else "")
    return count if score is None else f"{count}, val acc@1 {score:.2f}"


def error_line(folder: RunFolder) -> str:
    """The last reason in a log why a run failed."""
    *_, last, verdict = ["", "", *_log_lines(folder)]
    if not last or last.startswith(STARTED) or "killed by" in verdict:
        return verdict.removeprefix(FAILED)
    return last.removeprefix("fgsbir: error: ")


def _log_lines(folder: RunFolder) -> list[str]:
    """The lines of a run's log that are not empty; none if there is no log."""
    try:
        text = folder.log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def summary(states: Sequence[State]) -> str:
    """How many runs are in which state, e.g. "12 runs: 10 done, 2 failed"."""
    counts = Counter(state.kind for state in states)
    kinds: tuple[Kind, ...] = ("done", "running", "failed", "interrupted", "waiting")
    return f"{len(states)} runs: " + ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])


def table(runs: Sequence[PlannedRun], states: Sequence[State]) -> str:
    """A line a run: state, name, folder and detail."""
    rows = tuple(
        plain_row(state.kind, run.label, str(run.folder.path), state.detail)
        for run, state in zip(runs, states, strict=True)
    )
    return to_text(Table("sweep", "", {}, 4 * (Column("", "", (), is_text=True),), (rows,)))
