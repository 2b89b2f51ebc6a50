"""`fgsbir serve` as a process, and its options."""

import re
import signal
import socket

import httpx
import pytest
from serve.running import running
from serve.stand_in import StandIn

from fgsbir.cli import main
from fgsbir.errors import InputError
from fgsbir.search.searcher import Searcher
from fgsbir.serve.guard import Buckets
from fgsbir.serve.limits import Limits
from fgsbir.sketch.formats import SKETCH_SUFFIXES


@pytest.mark.slow
def test_the_server_tells_its_address_answers_and_ends_at_ctrl_c():
    with running() as server:
        with httpx.Client(base_url=server.url) as client:
            assert client.get("/healthz").json()["photos"] == 1000
            assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
            answer = client.post("/api/v1/search", json={"strokes": [[[0, 0], [1, 1]]]})
            assert len(answer.json()["hits"]) == 10
        assert "127.0.0.1" in server.url
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
        assert server.process.stdout.read() == "\nEnded.\n"


def test_a_port_in_use_is_told_in_one_line(capsys, monkeypatch):
    monkeypatch.setattr(Searcher, "open", lambda *_: pytest.fail("the index is opened first"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "index", "--port", str(port)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"--port {port}: cannot listen there \(Address already in use\)", line)


@pytest.mark.parametrize(
    "argv", [["--port", "99999999"], ["--host", "no.such.name.invalid"], ["--points", "0"], ["--rate", "-1"], ["--x"]]
)
def test_bad_options_are_told_in_one_line(argv, capsys, monkeypatch):
    monkeypatch.setattr(Searcher, "open", lambda *_: StandIn())
    assert main(["serve", "index", *argv]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_lists_every_limit(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    for name in Limits.__dataclass_fields__:
        assert f"--{name} " in shown
    assert not [suffix for suffix in SKETCH_SUFFIXES if suffix not in shown]


def test_limits_are_positive():
    with pytest.raises(InputError, match="--rate"):
        Limits(rate=0)
    with pytest.raises(InputError, match="--read_seconds"):
        Limits(read_seconds=float("nan"))


def test_a_bucket_fills_at_its_rate_and_is_its_clients_own():
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.wait("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b", 10.0) == 0
    assert buckets.wait("a", 10.25) == pytest.approx(0.25)  # a refused request takes nothing
    assert buckets.wait("a", 10.5) == 0
    assert buckets.wait("a", 10.5) == pytest.approx(0.5)
    assert [buckets.wait("a", 99.0) for _ in range(4)] == [0, 0, 0, 0.5]  # it holds no more than a burst


def test_only_so_many_buckets_are_kept():
    buckets = Buckets(rate=1, burst=1, most=3)
    for client in "abcad":
        buckets.wait(client, 0.0)
    assert len(buckets) == 3
    assert buckets.wait("a", 0.0) > 0  # used after b, so it is still known
    assert buckets.wait("b", 0.0) == 0
