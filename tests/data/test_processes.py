"""Calls in several processes."""

import math
import os
import subprocess

import pytest

import fgsbir.data.processes
from fgsbir.data.processes import FEW, in_processes
from fgsbir.errors import InputError


def test_results_come_in_the_order_of_the_calls() -> None:
    calls = [(n, 3) for n in range(50)]
    for processes in (1, 2):
        assert list(in_processes(pow, calls, "powers", processes)) == [n**3 for n in range(50)]


@pytest.mark.parametrize(("count", "here"), [(FEW, True), (FEW + 1, False)])
def test_only_many_calls_leave_this_process(count: int, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fgsbir.data.processes, "usable_cores", lambda: 2)
    ids = set(in_processes(os.getpid, [()] * count, "ids"))
    assert (ids == {os.getpid()}) == here
    assert len(ids) <= 2


def test_a_process_that_dies_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"roots: a process gave no answer"):
        list(in_processes(math.sqrt, [(-1,)] * 4, "roots", 2))
    assert "ValueError" in capfd.readouterr().err


def test_work_that_is_stopped_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    results = in_processes(math.sqrt, [(4,)] * 30, "roots", 2)
    assert next(results) == 2
    assert [process.poll() for process in started] == [None, None]
    results.close()  # type: ignore[attr-defined]
    assert all(process.returncode is not None for process in started)
