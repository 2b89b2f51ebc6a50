"""runs.csv: one row a finished run."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.runs.folder import find_runs
from fgsbir.runs.result import Result

Row = dict[str, Any]

COLUMNS = {
    "system": "s",
    "dataset": "s",
    "recipe": "s",
    "seed": "d",
    "n_test": "d",
    "n_gallery": "d",
    "split_hash": "s",
    "acc1": ".2f",
    "acc5": ".2f",
    "acc10": ".2f",
    "mean_rank": ".2f",
    "mrr": ".2f",
    "val_acc1": ".2f",
    "best_epoch": "d",
    "train_seconds": ".1f",
    "test_seconds": ".1f",
    "parameters": "d",
    "commit": "s",
    "config_hash": "s",
    "experiment": "s",
    "hardware": "s",
    "torch": "s",
    "finished": "s",
    "all_parameters": "d",
    "sketch_flops": "d",
    "photo_flops": "d",
    "pair_flops": "d",
    "query_ms": ".3f",
    "peak_memory_mib": ".0f",
    "versions": "s",
    "train_hardware": "s",
}
"""Columns in order, each with the format of its values; an unknown value (None) is an empty field."""

_LATER = tuple(COLUMNS)[tuple(COLUMNS).index("finished") + 1 :]
"""Columns of later versions: an older table has the first of them, or none."""
_OPTIONAL = frozenset({"val_acc1", "best_epoch", "train_seconds", "commit", "torch", *_LATER})
_FRACTION = re.compile(r"[01]\.\d{4}")
"""How version 0.1.0 wrote the mean reciprocal rank; it has been in percent, with two decimals, since."""
_READ = {"s": str, "d": int, "f": float}


def collect(root: Path) -> list[Row]:
    """The finished runs below `root` as rows of `COLUMNS`, sorted by dataset, system, recipe and seed.

    Raises:
        InputError: if `root` is missing or a result is damaged.
    """
    results = [run.read_result() for run in find_runs(root)]
    rows = [
        result.to_dict() | {"torch": result.versions.get("torch"), "versions": _packages(result)} for result in results
    ]
    return _sorted({name: row[name] for name in COLUMNS} for row in rows)


def write_runs_csv(runs_root: Path, out_csv: Path) -> list[Row]:
    """Adds the finished runs below `runs_root` to a table, so that results of several machines gather in one.

    A row of the same experiment, configuration and seed is replaced; the other rows are kept.

    Returns:
        All rows of the table.

    Raises:
        InputError: as `collect` and `read_runs_csv`, or if the table cannot be written.
    """
    old = read_runs_csv(out_csv) if out_csv.exists() else []
    merged = {(row["experiment"], row["config_hash"], row["seed"]): row for row in old + collect(runs_root)}
    rows = _sorted(merged.values())
    with atomic_write(out_csv, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(["" if row[name] is None else format(row[name], spec) for name, spec in COLUMNS.items()])
    return rows


def read_runs_csv(path: Path) -> list[Row]:
    """The rows of a table that `write_runs_csv` wrote, numbers as numbers, empty fields and later columns as None.

    Raises:
        InputError: if the file is missing, has other columns, or a field is not of its type.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = [*csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read ({error})", "check the path or write it again") from None
    if header != list(COLUMNS)[: len(header)] or len(header) < len(COLUMNS) - len(_LATER):
        raise InputError(path, "not a table of runs (other columns)", "delete it and write it again")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            fields = zip(header, line, strict=True)
            rows.append(dict.fromkeys(COLUMNS) | {name: _parse(name, COLUMNS[name], text) for name, text in fields})
        except ValueError as error:
            raise InputError(path, f"line {number}: {error}", "delete the line and write the table again") from None
    return rows


def _parse(name: str, spec: str, text: str) -> str | int | float | None:
    if name == "mrr" and _FRACTION.fullmatch(text):
        return round(100 * float(text), 2)
    return None if not text and name in _OPTIONAL else _READ[spec[-1]](text)


def _packages(result: Result) -> str:
    """Versions in one field, e.g. "fgsbir 0.1.0; torch 2.9.1"."""
    return "; ".join(f"{name} {version}" for name, version in result.versions.items())


def _sorted(rows: Iterable[Row]) -> list[Row]:
    keys = ("dataset", "system", "recipe", "seed", "experiment", "config_hash")
    return sorted(rows, key=lambda row: [row[key] for key in keys])
