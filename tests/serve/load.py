"""Many clients at once: `python tests/serve/load.py [--index INDEX] [--clients 50] [--seconds 60]`.

Each searches for random drawings, one after the other. Ends with status 1 if an answer is neither right nor 429 nor
503, or if memory grows. Answers are compared with those to the same drawings, asked for one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
from running import running

GROWTH = 64.0  # MiB, from when a fifth of the time is over


def drawings(count: int) -> list[list[list[list[float]]]]:
    """Random drawings of a few strokes."""
    rng = random.Random(0)
    return [
        [[[round(rng.random(), 4), round(rng.random(), 4)] for _ in range(6)] for _ in range(rng.randint(1, 8))]
        for _ in range(count)
    ]


async def measure(url: str, memory: list[float], read_memory: object, options: argparse.Namespace) -> int:
    """Runs it on a server."""
    known: dict[str, list[tuple[str, float]]] = {}
    asked = drawings(options.drawings)
    limits = httpx.Limits(max_connections=options.clients + 5, max_keepalive_connections=options.clients + 5)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:

        async def search(strokes: list[list[list[float]]]) -> httpx.Response:
            return await client.post("/api/v1/search", json={"strokes": strokes, "top": 10})

        for strokes in asked:
            known[json.dumps(strokes)] = _hits(await search(strokes))
        counts: Counter[str] = Counter()
        seconds: dict[str, list[float]] = {"200": [], "refused": []}
        wrong: list[str] = []
        end = time.monotonic() + options.seconds

        async def draw(seed: int) -> None:
            rng = random.Random(seed)
            while time.monotonic() < end:
                strokes = rng.choice(asked)
                started = time.monotonic()
                try:
                    answer = await search(strokes)
                except httpx.HTTPError as error:
                    wrong.append(f"{type(error).__name__} {error}")
                    continue
                counts[str(answer.status_code)] += 1
                took = 1000 * (time.monotonic() - started)
                if answer.status_code == 200:
                    seconds["200"].append(took)
                    if _hits(answer) != known[json.dumps(strokes)]:
                        wrong.append("an answer differs from the serial one")
                elif answer.status_code in (429, 503) and answer.headers.get("Retry-After", "").isdecimal():
                    seconds["refused"].append(took)
                    await asyncio.sleep(rng.random() * float(answer.headers["Retry-After"]))
                else:
                    wrong.append(f"{answer.status_code} {answer.text[:100]}")

        async def watch() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(options.seconds / 20)
                memory.append(read_memory())  # type: ignore[operator]

        await asyncio.gather(watch(), *(draw(seed) for seed in range(options.clients)))
    grown = max(memory[-3:]) - memory[len(memory) // 5]
    if grown > GROWTH:
        wrong.append(f"memory grew by {grown:.0f} MiB")
    if not counts["200"]:
        wrong.append("nothing was answered")
    print(
        f"{options.clients} clients, {options.seconds:g} s: "
        + ", ".join(f"{n} x {s}" for s, n in sorted(counts.items()))
    )
    for name, values in seconds.items():
        if len(values) > 20:
            cuts = statistics.quantiles(values, n=20)
            print(f"  {name:<8} p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")
    print(f"  memory   {' '.join(f'{m:.0f}' for m in memory)} MiB")
    for line, count in Counter(wrong).most_common(10):
        print(f"WRONG {count} x {line}")
    return 1 if wrong else 0


def _hits(answer: httpx.Response) -> list[tuple[str, float]]:
    return [(hit["photo"], hit["distance"]) for hit in answer.json()["hits"]]


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--drawings", type=int, default=50)
    options = parser.parse_args()
    with running(options.index, "--rate", "200", "--burst", "400") as server:
        return asyncio.run(measure(server.url, [], server.memory, options))


if __name__ == "__main__":
    sys.exit(main())
