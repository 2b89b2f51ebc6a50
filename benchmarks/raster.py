"""Rasterising sketches: `rasterise` against a plain per-pixel loop.

Run `python -m benchmarks.raster`. The loop is the way of the authors' released renderer: Bresenham's
line between consecutive points, pixel by pixel, then one step of binary dilation. ChairV2's test
sketches are drawn where `FGSBIR_DATA` holds them, else random walks with as many strokes and points.
The last line printed is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from fgsbir.sketch.formats import read_qmul
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch

SIZE = 256
REPEATS = 9


def bresenham(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    """The pixels of a line, both ends included (Bresenham 1965)."""
    dx, dy = abs(x1 - x0), -abs(y1 - y0)
    step_x, step_y = (1 if x0 < x1 else -1), (1 if y0 < y1 else -1)
    error = dx + dy
    pixels = [(x0, y0)]
    while (x0, y0) != (x1, y1):
        twice = 2 * error
        if twice >= dy:
            error += dy
            x0 += step_x
        if twice <= dx:
            error += dx
            y0 += step_y
        pixels.append((x0, y0))
    return pixels


def rasterise_loop(sketch: VectorSketch, size: int = SIZE) -> npt.NDArray[np.uint8]:
    """The reference: white on black, `(size, size)`, lines dilated by a cross of 3 x 3."""
    lines = np.zeros((size, size), dtype=np.uint8)
    for stroke in sketch.strokes:
        points = [(int(x * size), int(y * size)) for x, y in stroke.tolist()]
        for (x0, y0), (x1, y1) in pairwise(points):
            for x, y in bresenham(x0, y0, x1, y1):
                if 0 <= x < size and 0 <= y < size:
                    lines[y, x] = 255
    picture = lines.copy()
    for y, x in np.argwhere(lines).tolist():
        for near_x, near_y in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
            if 0 <= near_x < size and 0 <= near_y < size:
                picture[near_y, near_x] = 255
    return picture


def random_sketches(n: int, seed: int = 0) -> list[VectorSketch]:
    """Random walks with ChairV2's mean counts: 10 strokes and 113 points a sketch."""
    rng = np.random.default_rng(seed)
    sketches = []
    for _ in range(n):
        strokes = []
        for length in rng.multinomial(113 - 20, np.full(10, 0.1)) + 2:
            steps = rng.normal(0, 0.05, (length, 2))
            strokes.append(np.clip(rng.uniform(0.15, 0.85, 2) + steps.cumsum(0), 0.13, 0.87))
        sketches.append(VectorSketch.from_strokes(strokes))
    return sketches


def load_sketches(n: int) -> tuple[str, list[VectorSketch]]:
    """Where the sketches are from, and at most `n` of them."""
    path = Path(os.environ.get("FGSBIR_DATA", "data"), "qmul-chair-v2", "ChairV2_Coordinate")
    if path.is_file():
        test = [sketch for key, sketch in read_qmul(path).items() if key.startswith("/test/")]
        return "ChairV2 test", test[:n]
    return "random walks", random_sketches(n)


def seconds_per_sketch(draw: Callable[[VectorSketch], object], sketches: list[VectorSketch]) -> float:
    """Mean time a sketch over one pass."""
    start = time.perf_counter()
    for sketch in sketches:
        draw(sketch)
    return (time.perf_counter() - start) / len(sketches)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sketches", type=int, default=200, help="number of sketches (default 200)")
    source, sketches = load_sketches(parser.parse_args().sketches)

    draw: list[Callable[[VectorSketch], object]] = [rasterise_loop, lambda sketch: rasterise(sketch, SIZE)]
    # The two take turns, so that a busy moment of the machine meets both.
    times = [[seconds_per_sketch(f, sketches) for f in draw] for _ in range(REPEATS)]
    loop, ours = (median(column) for column in zip(*times, strict=True))
    print(f"{len(sketches)} sketches ({source}), {SIZE} x {SIZE}, median of {REPEATS} repeats")
    print(f"{'':<24}{'ms / sketch':>12}{'sketches / s':>14}")
    for name, seconds in (("plain Bresenham loop", loop), ("rasterise", ours)):
        print(f"{name:<24}{seconds * 1e3:>12.3f}{1 / seconds:>14.0f}")
    result = {
        "ratio_vs_loop": round(loop / ours, 2),
        "sketches_per_second": round(1 / ours, 1),
        "n": len(sketches),
        "size": SIZE,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
