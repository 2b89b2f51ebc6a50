"""A small slice of `make fuzz`, and that the fuzzer would notice."""

import math
import time
from pathlib import Path

import pytest
from fuzz.run import Worker, damaged, fuzz
from fuzz.seeds import Kind, kinds
from fuzz.worker import outcome

from fgsbir.errors import InputError

KINDS, AGAIN = kinds(), kinds()


def test_the_files_that_are_damaged_are_good_before():
    with Worker() as worker:
        for name, kind in KINDS.items():
            outcomes = [worker.read(kind.reader, kind.suffix, seed) for seed in kind.seeds]
            assert [each[0] for each in outcomes] == ["read"] * len(kind.seeds), (name, outcomes)


def test_damaged_files_are_read_or_refused_in_one_line():
    tallies = fuzz(KINDS, seed=0, count=200)
    assert sum(tally.files for tally in tallies.values()) == 200
    assert [failure for tally in tallies.values() for failure in tally.failures] == []
    assert sum(tally.read for tally in tallies.values()) > 20  # not all damage is refused at the door


@pytest.mark.parametrize("name", KINDS)
def test_a_file_depends_on_its_seed_format_and_number_alone(name):
    first = [damaged(KINDS[name], name, 3, number) for number in range(30)]
    damaged(KINDS[name], name, 4, 7)
    assert [damaged(AGAIN[name], name, 3, number) for number in reversed(range(30))] == first[::-1]
    assert len(set(first)) > 10
    assert set(first) != {damaged(KINDS[name], name, 4, number) for number in range(30)}


def refuses(path):
    raise InputError(path, "no sketch", "draw one")


def slow(path):
    end = time.process_time() + 0.3
    while time.process_time() < end:
        math.sqrt(2)


def large(path):
    bytearray(200_000_000)


@pytest.mark.parametrize(
    ("read", "kind", "problem"),
    [
        (lambda _: None, "read", ""),
        (refuses, "refused", "a.svg: no sketch; draw one"),
        (lambda _: 1 / 0, "failed", "ZeroDivisionError"),
        (lambda _: [0] * 10**15, "failed", "MemoryError"),
    ],
)
def test_what_became_of_a_file_is_told(read, kind, problem):
    found = outcome(read, Path("a.svg"))
    assert found.kind == kind
    assert found.problem.startswith(problem)


def test_time_and_memory_are_those_of_the_file():
    assert outcome(slow, Path("a.svg")).seconds == pytest.approx(0.3, abs=0.2)
    assert outcome(large, Path("a.svg")).memory == pytest.approx(200_000_000, rel=0.2)
    assert outcome(lambda _: None, Path("a.svg")).memory < 20_000_000


class Mortal(Worker):
    """Its process ends at each file that says so."""

    def read(self, reader, suffix, content):
        if content == b"end":
            self._running()
            self._process.kill()
        return super().read(reader, suffix, content)


def test_a_process_that_ends_is_a_failure_and_the_next_file_is_read():
    good = KINDS["json"].seeds[0]
    with Mortal() as worker:
        assert worker.read("sketch", ".json", good)[0] == "read"
        ended = worker.read("sketch", ".json", b"end")
        assert ended[:2] == ("failed", "the process ended with SIGKILL")
        assert worker.read("sketch", ".json", good)[0] == "read"


def test_failures_are_counted_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.run.SECONDS", -1.0)
    kind = Kind(".json", "sketch", (b'{"drawing": [[[1], [2]]]}',))
    tally = fuzz({"a kind": kind}, 0, 3, tmp_path / "kept")["a kind"]
    assert [failure.partition(": ")[0] for failure in tally.failures] == ["a kind 0", "a kind 1", "a kind 2"]
    kept = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert kept == {f"a-kind-{number}.json": damaged(kind, "a kind", 0, number) for number in range(3)}
