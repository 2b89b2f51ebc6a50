"""`fgsbir list`: all systems, and what each costs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from fgsbir.errors import InputError
from fgsbir.metrics.cost import POINTS, Cost, measure
from fgsbir.runs.config import load_experiment
from fgsbir.runs.loading import build
from fgsbir.systems import SYSTEMS
from fgsbir.visualization.tables import short_number

Format = Literal["table", "csv", "markdown"]

_NOTES = """\
Experiments of {folder}, {recipe} recipe, with their own settings; – where there is none.
A sketch has {strokes} strokes of {points} points (the mean of ChairV2 is 10 of 11), and a node for the whole drawing
where the experiment adds one; a photo has {regions} regions.
Params are all parameters, frozen ones included. Sketch and Photo are FLOPs to encode one, Pair to match the two.
torch counts FLOPs, of convolutions and matrix products, a product and its sum being two. Other work counts 0: RoI
align, distances between vectors, and whatever goes element by element.
Index: a photo is a vector that needs no partner, so a query is a search among stored vectors.
"""


class Row(NamedTuple):
    """A line of the list.

    Attributes:
        system: as in `SYSTEMS`.
        name: as in the tables of the paper.
        paper: whose idea it is.
        indexable: see `System`.
        cost: None where there is no experiment to take it from.
    """

    system: str
    name: str
    paper: str
    indexable: bool
    cost: Cost | None


def run(experiments: Path, dataset: str, recipe: str, strokes: int, regions: int, form: Format) -> None:
    """Prints the list.

    Args:
        experiments: folder of the experiment files.
        dataset: folder in it.
        recipe: "modern" or "paper", which says the files in that.
        strokes: of the sketch.
        regions: of the photo.
        form: "table" for a terminal, "markdown" for a page, "csv" for a program, in plain numbers.

    Raises:
        InputError: if there are no such experiments, one is damaged, or a number is not positive.
    """
    for option, number in (("--strokes", strokes), ("--regions", regions)):
        if number < 1:
            raise InputError(option, f"{number} is not positive", "use 1 or more")
    files = {
        name: experiments / dataset / f"{name}{'' if recipe == 'modern' else f'_{recipe}'}.yaml" for name in SYSTEMS
    }
    if not any(path.is_file() for path in files.values()):
        raise InputError(
            experiments / dataset, f"no experiments in the {recipe} recipe", "name their folder: --experiments DIR"
        )
    torch.set_num_threads(1)  # one picture is little work, and threads that wait for a busy core take far longer
    rows = []
    for name, path in files.items():
        kind, cost = SYSTEMS[name], _cost_of(path, strokes, regions) if path.is_file() else None
        rows.append(Row(name, kind.name, kind.paper, kind.indexable, cost))
    if form == "csv":
        print(_csv(rows), end="")
        return
    print(_NOTES.format(folder=experiments / dataset, recipe=recipe, strokes=strokes, regions=regions, points=POINTS))
    print((_markdown if form == "markdown" else _table)(_cells(rows)))


def _cost_of(path: Path, strokes: int, regions: int) -> Cost:
    """The cost of the system of an experiment, with its own settings."""
    system, data = build(_without_weights(load_experiment(path)), path, "mend the file")
    return measure(system.eval(), data.rendering, strokes, regions)


def _without_weights(config: Any) -> Any:
    """A configuration whose networks start at random: nothing is read or fetched, and the cost is the same."""
    if isinstance(config, dict):
        return {key: "none" if key == "weights" else _without_weights(value) for key, value in config.items()}
    return [_without_weights(value) for value in config] if isinstance(config, list) else config


def _cells(rows: list[Row]) -> list[list[str]]:
    """The list in words."""
    cells = [["System", "Name", "Paper", "Params", "Sketch", "Photo", "Pair", "Index"]]
    for row in rows:
        figures = ["–"] * len(Cost._fields) if row.cost is None else [short_number(figure) for figure in row.cost]
        cells.append([row.system, row.name, row.paper, *figures, "yes" if row.indexable else "no"])
    return cells


def _table(cells: list[list[str]]) -> str:
    """For the terminal: words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        words = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        words[3:7] = [cell.rjust(width) for cell, width in zip(row[3:7], widths[3:7], strict=True)]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines)


def _markdown(cells: list[list[str]]) -> str:
    rule = ["---"] * 3 + ["---:"] * 4 + ["---"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [cells[0], rule, *cells[1:]])


def _csv(rows: list[Row]) -> str:
    """Plain numbers; empty where there are none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["system", "name", "paper", "indexable", "parameters", "sketch_flops", "photo_flops", "pair_flops"])
    for row in rows:
        writer.writerow([*row[:3], "yes" if row.indexable else "no", *(row.cost or [""] * len(Cost._fields))])
    return out.getvalue()
