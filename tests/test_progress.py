"""How far long work has come."""

import io
import sys
from collections.abc import Iterator

import pytest

import fgsbir.progress
from fgsbir.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes only by hand."""
    now = [0.0]
    monkeypatch.setattr(fgsbir.progress, "monotonic", lambda: now[0])
    return now


def work(clock: list[float], seconds: float, count: int) -> Iterator[int]:
    for number in progress(range(count), "Work"):
        clock[0] += seconds
        yield number


def test_short_work_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert list(work(clock, 1.0, 4)) == [0, 1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_long_work_says_a_line_after_five_seconds_and_ever_more_rarely(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(work(clock, 1.0, 100)) == list(range(100))
    assert capsys.readouterr().err.splitlines() == [
        "Work: 5 of 100 in 00:05, about 01:35 left",
        "Work: 10 of 100 in 00:10, about 01:30 left",
        "Work: 20 of 100 in 00:20, about 01:20 left",
        "Work: 40 of 100 in 00:40, about 01:00 left",
        "Work: 80 of 100 in 01:20, about 00:20 left",
        "Work: 100 in 01:40",
    ]


def test_a_day_of_work_says_a_line_every_ten_minutes(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    list(work(clock, 60.0, 24 * 60))
    lines = capsys.readouterr().err.splitlines()
    assert 24 * 6 <= len(lines) <= 24 * 6 + 10
    assert "Work: 126 of 1,440 in 2:06:00, about 21:54:00 left" in lines


def test_batches_count_their_items(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(iter(["aaaa", "bbbb", "cc"]), "Work", 10, size=len):
        clock[0] += 6.0
    assert capsys.readouterr().err.splitlines() == [
        "Work: 4 of 10 in 00:06, about 00:09 left",
        "Work: 8 of 10 in 00:12, about 00:03 left",
        "Work: 10 in 00:18",
    ]


def test_work_that_fails_does_not_say_that_it_is_done(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        clock[0] += 6.0
        yield 2
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(progress(broken(), "Work", 9))
    assert capsys.readouterr().err.splitlines() == ["Work: 2 of 9 in 00:06, about 00:21 left"]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(fgsbir.progress, "DELAY", 0)
    assert list(progress(range(3), "Work", unit="thing")) == [0, 1, 2]
    assert "Work" in terminal.getvalue()
    assert "thing" in terminal.getvalue()
