"""A table in no format yet; `fgsbir.report.formats` prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, NamedTuple


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        group: heading above those of several columns; empty for none.
        title: its own heading.
        keys: columns of the CSV that hold its values.
        is_text: whether it holds words, which stand to the left.
    """

    group: str
    title: str
    keys: tuple[str, ...]
    is_text: bool = False


class Cell(NamedTuple):
    """One printed value.

    Attributes:
        text: empty where nothing was measured.
        values: what the CSV holds, one for each of the column's keys; none for an empty cell.
        note: what is printed smaller beside the text.
        mark: what follows the text, such as "*".
        is_best: whether the text is set in bold.
    """

    text: str = ""
    values: tuple[Any, ...] = ()
    note: str = ""
    mark: str = ""
    is_best: bool = False


Row = tuple[Cell, ...]

EMPTY = Cell()
"""What was not measured."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: of its files, e.g. "table1".
        title: e.g. "ChairV2: costs".
        facts: what holds for all rows, the dataset first; columns of the CSV, and part of the caption.
        columns: each row has a cell for each.
        parts: rows, in parts with a rule between them.
        notes: sentences below.
    """

    name: str
    title: str
    facts: dict[str, object]
    columns: tuple[Column, ...]
    parts: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """Title and facts in one line."""
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items() if name != "dataset")
        return f"{self.title}; {facts}" if facts else self.title

    @property
    def heads(self) -> list[tuple[str, int]]:
        """The headings above the columns' own, each with the number of neighbours that it spans."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans


def plain(value: object) -> Cell:
    """A value printed as it is; None is an empty cell."""
    return EMPTY if value is None else Cell(str(value), (value,))


def spread(values: Sequence[float | None], show: Callable[[float], str] = "{:.2f}".format) -> Cell:
    """Mean and, of several values, their standard deviation; empty unless all are known."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return EMPTY
    deviation = stdev(known) if len(known) > 1 else None
    text = show(mean(known)) + ("" if deviation is None else f" ± {show(deviation)}")
    return Cell(text, (mean(known), deviation))


def short_number(number: float) -> str:
    """Three digits and a unit: 4,080,000 is 4.08 M."""
    if number < 1000:
        return str(number)
    scaled, unit = number / 1000, "k"
    for larger in "MGT":
        if scaled >= 999.5:
            scaled, unit = scaled / 1000, larger
    return f"{scaled:#.3g}".rstrip(".") + f" {unit}"
