"""A table of all systems and what each costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgsbir.metrics.cost import Cost, measure
from fgsbir.runs.config import Settings, resolve
from fgsbir.runs.experiments import system_names
from fgsbir.runs.loading import build
from fgsbir.systems import SYSTEMS
from fgsbir.visualization.tables import EMPTY, Cell, Column, Row, Table, plain, short_number

COLUMNS = (
    Column("", "System", ("system",), True),
    Column("", "Name", ("name",), True),
    Column("", "Paper", ("paper",), True),
    Column("", "Params", ("parameters",)),
    Column("", "Sketch", ("sketch_flops",)),
    Column("", "Photo", ("photo_flops",)),
    Column("", "Pair", ("pair_flops",)),
    Column("", "Index", ("indexable",), True),
)


def system_table(experiments: Path | None, dataset: str, recipe: str, strokes: int, regions: int) -> Table:
    """Every system with its paper, its cost, and whether its photos can be indexed.

    Costs are given for the experiments of a dataset and recipe, on one sketch and one photo; a system without the
    recipe has none. The experiment files are those that come with fgsbir where no folder is given.

    Raises:
        InputError: if there is no such dataset or recipe, or a file is damaged.
    """
    rows = []
    for name in SYSTEMS:
        settings = Settings(system=name, dataset=dataset, recipe=recipe, experiments=experiments)
        config = resolve(settings).config if name in system_names(experiments, recipe) else None
        rows.append(_row(name, None if config is None else _cost_of(name, config, strokes, regions)))
    return Table("systems", "", {}, COLUMNS, (tuple(rows),))


def _cost_of(name: str, config: dict[str, Any], strokes: int, regions: int) -> Cost:
    """The cost of the system of a configuration, with its own settings."""
    system, data = build(_without_weights(config), f"settings of {name}", "correct its file")
    return measure(system.eval(), data.rendering, strokes, regions)


def _without_weights(config: Any) -> Any:
    """A configuration whose networks start at random: nothing is read or fetched, and the cost is the same."""
    if isinstance(config, dict):
        return {key: "none" if key == "weights" else _without_weights(value) for key, value in config.items()}
    return [_without_weights(value) for value in config] if isinstance(config, list) else config


def _row(name: str, cost: Cost | None) -> Row:
    system = SYSTEMS[name]
    numbers = [EMPTY._replace(text="–")] * len(Cost._fields)
    if cost is not None:
        numbers = [Cell(short_number(number), (number,)) for number in cost]
    return (*map(plain, (name, system.name, system.paper)), *numbers, plain("yes" if system.indexable else "no"))
