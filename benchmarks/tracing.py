"""Tracing: how much of the ink of real drawings the strokes of `vectorise` cover, and how fast.

Run `python -m benchmarks.tracing`. It traces raster sketches of FGSBIR_DATA, clean and dark on white, and compares the
strokes with the ink, which is found without `vectorise`: at 512 pixels, what is darker than the mean of white and the
darkest five-hundredth of the image. Strokes of the default `max_strokes` are measured, and all strokes. The last line
printed is a JSON object.

coverage   share of the ink within 3 pixels of a stroke; `drawn` is the share within half a pen and 1 pixel where that
           is more, because the edge of a wide line is far from its middle
excess     share of the strokes' length farther than 3 pixels from ink
loops      closed loops of 20 pixels or more, and how many of 1,000 are lost: drawn again, at most 2 pixels wider than
           with the pen, their inside runs together with other paper
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import vectorise

FOLDERS = {
    "sketchy-125": "sketchy-125/sketch/*/*.png",
    "sketchy-airplane": "sketchy-airplane/sketch/*.png",
    "shoe-more": "qmul-shoe-v1/more_sketches/*.png",
    "chair-v1": "qmul-chair-v1/*/sketches/*.png",
    "shoe-v1": "qmul-shoe-v1/*/sketches/*.png",
}
SIZE = 512  # pixels of the longer side
NEAR = 3.0  # pixels
LOOP = 20  # pixels, the longer side of a hole
WORST = 20
UNLIMITED = 100_000

Mask = npt.NDArray[np.bool_]


@dataclass
class Traced:
    """What tracing made of one drawing; without strokes all is lost."""

    path: Path
    all_strokes: bool
    read: bool = False
    coverage: float = 0.0
    drawn: float = 0.0
    excess: float = 0.0
    loops: int = 0
    lost: int = 0
    seconds: float = 0.0
    points: int = 0


WORST_BY: dict[str, Callable[[Traced], float]] = {
    "coverage": lambda traced: 1 - traced.drawn,
    "excess": lambda traced: traced.excess,
    "loops": lambda traced: traced.lost,
    "seconds": lambda traced: traced.seconds,
    "points": lambda traced: traced.points,
}


def read(path: Path) -> npt.NDArray[np.uint8]:
    """The image on white, grey."""
    with Image.open(path) as image:
        rgba = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L"))


def ink_of(grey: npt.NDArray[np.uint8]) -> Mask:
    """The ink, `(SIZE, SIZE)` with the image in the middle."""
    scale = SIZE / max(grey.shape)
    width, height = (round(n * scale) for n in grey.shape[::-1])
    resized = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    ink = np.zeros((SIZE, SIZE), dtype=bool)
    y, x = (SIZE - height) // 2, (SIZE - width) // 2
    ink[y : y + height, x : x + width] = resized < (255 + np.quantile(resized, 0.002)) / 2
    return ink


def half_pen(ink: Mask) -> float:
    """Half the mean width of the lines: their area by the length of their edges."""
    edges = cv2.findContours(ink.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    return float(ink.sum()) / max(sum(cv2.arcLength(edge, True) for edge in edges), 1.0)


def lines_of(sketch: VectorSketch) -> Mask:
    """The strokes as lines one pixel wide."""
    lines = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for stroke in sketch.strokes:
        cv2.polylines(lines, [np.rint((stroke * SIZE - 0.5) * 16).astype(np.int32)], False, 1, 1, cv2.LINE_8, 4)
    return lines > 0


def distance_to(mask: Mask) -> npt.NDArray[np.float32]:
    """How far each pixel is from the mask, in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def excess_of(sketch: VectorSketch, ink: Mask) -> float:
    """The share of the strokes' length that is far from ink."""
    far = total = 0.0
    distance = distance_to(ink)
    for stroke in sketch.strokes.copy():
        pixels = stroke.astype(np.float64) * SIZE
        reached = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(pixels, axis=0), axis=1))])
        steps = np.linspace(0, reached[-1], 1 + int(np.ceil(reached[-1])))
        x, y = (np.interp(steps, reached, pixels[:, axis]).astype(int).clip(0, SIZE - 1) for axis in (0, 1))
        far += reached[-1] * float((distance[y, x] > NEAR).mean())
        total += reached[-1]
    return far / total if total else 0.0


def loops_of(ink: Mask, lines: Mask) -> list[bool]:
    """For each loop of the ink whether the lines keep its inside apart from other paper, drawn with any pen."""
    _, holes, facts, _ = cv2.connectedComponentsWithStats((~ink).astype(np.uint8), connectivity=4)
    outside = set(np.concatenate([holes[[0, -1]].ravel(), holes[:, [0, -1]].ravel()]).tolist()) | {0}
    wide = facts[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) >= LOOP
    kept = {hole: False for hole in np.flatnonzero(wide).tolist() if hole not in outside}
    distance, widest = distance_to(lines), half_pen(ink) + 1
    for radius in (widest, widest / 2, 1.0):  # a thin pen for narrow holes
        labels = cv2.connectedComponents((distance > radius).astype(np.uint8), connectivity=4)[1]
        paper = np.bincount(labels[~ink])
        for hole in kept:
            x, y, width, height = facts[hole, :4]
            part = slice(y, y + height), slice(x, x + width)
            inside = np.bincount(labels[part][holes[part] == hole], minlength=len(paper))[1:]
            if inside.any():
                most = int(inside.argmax())
                kept[hole] |= bool(inside[most] >= 0.9 * paper[1 + most])
    return list(kept.values())


def measure(path: Path, all_strokes: bool) -> Traced:
    """Traces one drawing."""
    grey = read(path)
    traced = Traced(path, all_strokes)
    ink = ink_of(grey)
    lines = np.zeros_like(ink)
    start = time.perf_counter()
    try:
        sketch = vectorise(grey, UNLIMITED) if all_strokes else vectorise(grey)
    except InputError as error:
        print(f"{path}: {error}")
    else:
        traced.seconds = time.perf_counter() - start
        traced.read, traced.points = True, len(sketch.points)
        lines = lines_of(sketch)
        traced.excess = excess_of(sketch, ink)
        far = distance_to(lines)[ink]
        traced.coverage = float((far <= NEAR).mean())
        traced.drawn = float((far <= max(NEAR, half_pen(ink) + 1)).mean())
    kept = loops_of(ink, lines)
    traced.loops, traced.lost = len(kept), kept.count(False)
    return traced


def line_of(name: str, results: list[Traced]) -> str:
    """A line of the table."""
    loops, lost = (sum(counts) for counts in zip(*((one.loops, one.lost) for one in results), strict=True))
    shares = ([getattr(one, share) for one in results] for share in ("coverage", "drawn", "excess"))
    coverage, drawn, excess = (100 * np.array(share) for share in shares)
    seconds = np.array([one.seconds for one in results])
    points = np.array([one.points for one in results])
    return (
        f"{name:<18}{len(results):>6}{100 * np.mean([one.read for one in results]):>8.2f}"
        f"{np.median(coverage):>9.2f}{np.median(drawn):>9.2f}{np.quantile(drawn, 0.05):>7.1f}{np.median(excess):>9.2f}"
        f"{np.quantile(excess, 0.95):>7.1f}{loops:>8}{1000 * lost / max(loops, 1):>8.2f}"
        f"{np.median(seconds):>9.3f}{np.quantile(seconds, 0.95):>7.3f}{seconds.max():>7.3f}"
        f"{np.median(points):>8.0f}{points.max():>7}"
    )


def tile(traced: Traced) -> npt.NDArray[np.uint8]:
    """The ink in grey, and beside it the strokes in colours on the ink."""
    grey = read(traced.path)
    ink = np.where(ink_of(grey), np.uint8(190), np.uint8(255))
    sides = [np.repeat(ink[..., None], 3, axis=2) for _ in range(2)]
    if traced.read:
        sketch = vectorise(grey, UNLIMITED) if traced.all_strokes else vectorise(grey)
        for number, stroke in enumerate(sketch.strokes):
            hue = np.array([[[number * 67 % 180, 255, 200]]], dtype=np.uint8)
            colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
            pixels = np.rint((stroke * SIZE - 0.5) * 16).astype(np.int32)
            cv2.polylines(sides[1], [pixels], False, colour, 2, cv2.LINE_AA, 4)
    figures = f"{100 * traced.drawn:.1f} {100 * traced.excess:.1f} {traced.lost}/{traced.loops}"
    text = f"{traced.path.parent.name}/{traced.path.stem} {figures}"
    cv2.putText(sides[0], text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (200, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate(sides, axis=1)


def main() -> None:
    """Prints the table and the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", nargs="*", default=list(FOLDERS), choices=FOLDERS, help="sets (default all)")
    parser.add_argument("--count", type=int, default=100, help="drawings a set, evenly spread; 0 for all (default 100)")
    parser.add_argument("--worst-sheet", type=Path, metavar="OUT.png", help="image of the worst, one row of four each")
    args = parser.parse_args()

    data = Path(os.environ.get("FGSBIR_DATA", "data"))
    sets = {name: sorted(data.glob(FOLDERS[name])) for name in args.folders}
    sets = {name: paths for name, paths in sets.items() if paths}
    if not sets:
        print(f"no raster sketches in {data}: set FGSBIR_DATA")
        return
    results: dict[bool, dict[str, list[Traced]]] = {False: {}, True: {}}
    for name, paths in sets.items():
        chosen = paths[:: max(1, len(paths) // args.count)][: args.count] if args.count else paths
        for all_strokes, table in results.items():
            table[name] = [measure(path, all_strokes) for path in chosen]
    names = ["drawings", "read %", "cover %", "drawn %", "p5", "excess %", "p95", "loops", "lost ‰", "seconds"]
    names += ["p95", "max"]
    summary: dict[str, dict[str, float]] = {}
    for all_strokes, table in results.items():
        everything = [one for part in table.values() for one in part]
        title = "all strokes" if all_strokes else "16 strokes"
        print(f"\n{title:<16}" + "{:>8}{:>8}{:>9}{:>9}{:>7}{:>9}{:>7}{:>8}{:>8}{:>9}{:>7}{:>7}".format(*names), end="")
        print(f"{'points':>8}{'max':>7}")
        for name, part in table.items():
            print(line_of(name, part))
        print(line_of("all", everything))
        summary[title] = {
            "read": round(float(np.mean([one.read for one in everything])), 5),
            "coverage": round(float(np.median([one.coverage for one in everything])), 4),
            "drawn": round(float(np.median([one.drawn for one in everything])), 4),
            "excess": round(float(np.median([one.excess for one in everything])), 4),
            "loops": sum(one.loops for one in everything),
            "loops_lost": sum(one.lost for one in everything),
            "seconds_p95": round(float(np.quantile([one.seconds for one in everything], 0.95)), 4),
            "seconds_max": round(max(one.seconds for one in everything), 4),
        }
        sheet = []
        for figure, badness in WORST_BY.items():
            worst = sorted(everything, key=badness, reverse=True)[:WORST]
            print(f"worst {figure}: " + ", ".join(f"{o.path.relative_to(data)} {badness(o):.3g}" for o in worst))
            sheet += worst if figure in ("coverage", "excess", "loops") else []
        if args.worst_sheet:
            tiles = [tile(traced) for traced in sheet]
            rows = [np.concatenate(tiles[start : start + 4], axis=1) for start in range(0, len(tiles) // 4 * 4, 4)]
            out = args.worst_sheet.with_stem(args.worst_sheet.stem + ("-all" if all_strokes else "-16"))
            Image.fromarray(np.concatenate(rows)).save(out)
    print(json.dumps({"size": SIZE, "near": NEAR, **summary}))


if __name__ == "__main__":
    main()
