"""Sends a server what nobody should: `python tests/serve/fuzz.py [--index INDEX] [--requests 5000]`.

Requests made up from the OpenAPI document, mutated sketches of every format, image bombs, numbers that are not finite
and a million strokes. Ends with status 1 if an answer is a 500, takes too long or is no JSON, or if memory grows.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running import running

SLOWEST = 15.0  # seconds
GROWTH = 64.0  # MiB, from when a tenth of the requests is done
MEDIA = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "npy": "application/x-npy",
}
SVGS = (
    "<svg stroke='black' fill='none' viewBox='0 0 9 9'>"
    "<path d='M0 0 C1 2 3 4 5 6 A1 2 30 0 1 4 5 Q3 3 8 1 Z' transform='rotate(30)'/></svg>",
    "<svg stroke='black' fill='none' width='99' height='9'>"
    "<g transform='skewX(45)'><circle cx='50' r='9'/></g><rect width='5' height='9'/></svg>",
    "<svg stroke='black' fill='none'>"
    "<defs><g id='a'><line x2='9'/></g></defs><use href='#a' x='3'/><polyline points='1,2 3,4 5,2'/></svg>",
)
WORDS = (
    "NaN",
    "1e999",
    "-1e308",
    "9" * 400,
    "%",
    "&x;",
    "<!DOCTYPE svg [<!ENTITY x 'y'>]>",
    "href='#a'",
    "\x00",
    "ä",
    "<use ",
)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A few bytes of it changed, taken out, doubled, or replaced by a word."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.randint(1, 12))
        what = rng.randrange(4)
        if what == 0:
            data[at:end] = rng.randbytes(end - at)
        elif what == 1:
            del data[at:end]
        elif what == 2:
            data[at:at] = data[at:end] * rng.randint(1, 50)
        else:
            data[at:end] = rng.choice(WORDS).encode()
    return bytes(data)


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG that says it has so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    text = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(5_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def npy(rng: random.Random) -> bytes:
    """An array, or only the claim of one."""
    shape = rng.choice(["(4, 5)", "(4, 3)", "(99999999999, 5)", "(2, 3, 4)", "(-1, 5)", "(0, 5)"])
    kind = rng.choice(["<f8", "<f4", "|O", "<U9", ">i2", "<c16", "|V7"])
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + rng.randbytes(160)


def files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Files without end, with their suffix."""
    zeros = zlib.compress(bytes(20_000_000), 9)
    million = ",".join(["[[0],[0]]"] * 600_000)
    drawing = json.dumps({"key_id": "1", "drawing": [[[0, 255, 255], [0, 0, 100]], [[10, 12], [50, 7]]]}).encode()
    while True:
        kind = rng.random()
        if kind < 0.5:
            svg = mutated(rng.choice(SVGS).encode(), rng)
            yield "svg", svg if rng.random() < 0.97 else svg * rng.randint(1, 3000)
        elif kind < 0.65:
            yield rng.choice(("json", "ndjson")), mutated(drawing, rng)
        elif kind < 0.8:
            yield "npy", mutated(npy(rng), rng) if rng.random() < 0.5 else npy(rng)
        elif kind < 0.9:
            side = rng.choice([1, 300, 2000, 4000, 20_000, 2**31 - 1])
            yield "png", png(side, rng.choice([1, side]), rng.choice([zeros, zeros[:100], b""]))
        elif kind < 0.97:
            yield (
                rng.choice(("png", "jpg")),
                rng.choice([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b""]) + rng.randbytes(300),
            )
        elif kind < 0.985:
            yield "json", f'{{"drawing": [{million}]}}'.encode()
        else:
            yield "svg", b"<svg viewBox='0 0 9 9'>" + b"<g>" * rng.choice([10, 500, 50_000])


def bodies(rng: random.Random) -> Iterator[bytes]:
    """Bodies of searches without end."""
    good = json.dumps({"strokes": [[[0.1, 0.2], [0.5, 0.9]], [[0.3, 0.3]]], "width": 1, "height": 1, "top": 5}).encode()
    million = b'{"strokes": [' + b",".join([b"[[0,0]]"] * 1_000_000) + b"]}"
    deep = b'{"strokes": ' + b"[" * 200_000
    numbers = (b"NaN", b"Infinity", b"-1e999", b"1" * 5000, b"null", b"true", b'"1"', b"1e-320", b"-0.0", b"[]")
    while True:
        kind = rng.random()
        if kind < 0.45:
            yield mutated(good, rng)
        elif kind < 0.9:
            yield b'{"strokes": [[[%s, %s], [0.5, 0.5]]]}' % (rng.choice(numbers), rng.choice([b"0.5", *numbers]))
        elif kind < 0.95:
            yield b'{"strokes": [' + b",".join([b"[[0.5,0.5]]"] * rng.choice([300, 301, 50_000])) + b"]}"
        else:
            yield rng.choice([million, deep, b"", b"\x00" * 1000])


class Watch:
    """Counts answers and notes what must not be."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0

    def see(self, kind: str, ask: Callable[[], Any], what: object) -> None:
        """Sends one request."""
        started = time.monotonic()
        try:
            answer = ask()
        except (httpx.HTTPError, OSError) as error:
            # A body that is too large is refused before it is read, and the connection closed.
            self.counts[f"{kind} cut off" if isinstance(error, httpx.WriteError | httpx.ReadError) else "lost"] += 1
            if not isinstance(error, httpx.WriteError | httpx.ReadError):
                self.wrong.append(f"{kind}: {type(error).__name__} {error}: {str(what)[:200]}")
            return
        took = time.monotonic() - started
        self.slowest = max(self.slowest, took)
        self.counts[f"{kind} {answer.status_code}"] += 1
        if (answer.status_code >= 500 and answer.status_code != 503) or took > SLOWEST:
            self.wrong.append(f"{kind}: {answer.status_code} after {took:.1f} s: {str(what)[:200]}")


def made_up(url: str, number: int, watch: Watch) -> None:
    """Requests from the OpenAPI document."""
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    posts = [each for each in operations if each.method == "post" and "sketch" not in each.path]
    chosen = [(each, schemathesis.GenerationMode.POSITIVE) for each in operations]
    chosen += [(each, schemathesis.GenerationMode.NEGATIVE) for each in posts * 3]

    def send(operation: Any, mode: schemathesis.GenerationMode) -> None:
        @given(case=operation.as_strategy(mode))
        @settings(
            max_examples=max(1, number // len(chosen)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def run(case: Any) -> None:
            watch.see("made-up", lambda: case.call(base_url=url, timeout=60), f"{operation.label} {case.body!r}")

        run()

    for operation, mode in chosen:
        send(operation, mode)


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, watch, started = random.Random(options.seed), Watch(), time.monotonic()
    memory: list[float] = []
    with (
        running(options.index, "--rate", "1e6", "--burst", "1000000", "--read_seconds", "3") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        drawings, searches = files(rng), bodies(rng)
        for tenth in range(1, 11):
            share = options.requests * tenth // 10 - sum(watch.counts.values())
            made_up(server.url, share * 4 // 10, watch)
            for suffix, content in islice(drawings, share * 4 // 10):
                headers = {"Content-Type": MEDIA[suffix]}
                watch.see(
                    suffix,
                    lambda c=content, h=headers: client.post("/api/v1/sketch", content=c, headers=h),
                    content[:200],
                )
            for body in islice(searches, max(0, options.requests * tenth // 10 - sum(watch.counts.values()))):
                headers = {"Content-Type": "application/json"}
                watch.see(
                    "search", lambda c=body, h=headers: client.post("/api/v1/search", content=c, headers=h), body[:200]
                )
            memory.append(server.memory())
        if client.get("/healthz").status_code != 200:
            watch.wrong.append("the server is not well afterwards")
    grown = max(memory[-3:]) - memory[0]
    if grown > GROWTH:
        watch.wrong.append(f"memory grew by {grown:.0f} MiB")
    print(f"{sum(watch.counts.values())} requests in {time.monotonic() - started:.0f} s, slowest {watch.slowest:.2f} s")
    print(f"memory {' '.join(f'{m:.0f}' for m in memory)} MiB")
    for name, count in sorted(watch.counts.items()):
        print(f"  {name:<16} {count}")
    for line in watch.wrong[:20]:
        print(f"WRONG {line}")
    return 1 if watch.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
