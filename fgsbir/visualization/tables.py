"""Tables, and how they are printed: plain text, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from fgsbir.files import atomic_write
from fgsbir.visualization.html import templates

_TEX = {letter: f"\\{letter}" for letter in "&%$#_{}"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {"±": r"$\pm$", "–": "--", "“": "``", "”": "''", "*": "$^{*}$", "<": "$<$", ">": "$>$"}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        group: heading that spans several columns, above theirs; empty for none.
        title: heading of the column.
        keys: names of its values in the CSV, one for each value of a cell.
        is_text: whether it holds text, aligned to the left.
    """

    group: str
    title: str
    keys: tuple[str, ...]
    is_text: bool = False


class Cell(NamedTuple):
    """One printed value.

    Attributes:
        text: printed text; empty where nothing was measured.
        values: values of the CSV, one for each of the column's keys; none for an empty cell.
        note: smaller text beside it.
        mark: sign behind the text, such as "*".
        is_best: whether the text is bold.
    """

    text: str = ""
    values: tuple[Any, ...] = ()
    note: str = ""
    mark: str = ""
    is_best: bool = False


Row = tuple[Cell, ...]

EMPTY = Cell()
"""A cell of what was not measured."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: stem of its files, e.g. "table1".
        title: first part of the caption, e.g. "ChairV2: costs".
        facts: values shared by all rows, the dataset first; the first columns of the CSV and the rest of the caption.
        columns: columns; each row has a cell for each.
        parts: groups of rows, with a rule between them.
        notes: sentences below the table.
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


def rounded(value: float | None, digits: int = 2) -> Cell:
    """A number with as many digits behind the point; None is an empty cell."""
    return EMPTY if value is None else Cell(f"{value:.{digits}f}", (value,))


def plain_row(*values: object) -> Row:
    """Values printed as they are, a cell each."""
    return tuple(map(plain, values))


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


def write_table(table: Table, folder: Path) -> None:
    """Writes a table in all formats, as `<folder>/<name>.md`, `.tex`, `.csv` and `.html`.

    Raises:
        InputError: if a file cannot be written.
    """
    html = templates().get_template("table.html.j2").render(table=table)
    texts = {"md": to_markdown(table), "tex": to_tex(table), "csv": to_csv(table), "html": html}
    for kind, text in texts.items():
        with atomic_write(folder / f"{table.name}.{kind}", "w") as file:
            file.write(text)


def to_text(table: Table) -> str:
    """The rows in aligned columns for a terminal, under the titles of the columns where they have any.

    Example:
        >>> columns = (Column("", "system", ("system",), True), Column("", "acc@1", ("acc1",)))
        >>> print(to_text(Table("t", "", {}, columns, ((plain_row("proposed", 60.4), plain_row("chance", 1.0)),))))
        system    acc@1
        proposed   60.4
        chance      1.0
    """
    lines = [[_heading(column) for column in table.columns]] if any(map(_heading, table.columns)) else []
    lines += [[f"{cell.text}{cell.mark} {cell.note}".strip() for cell in row] for part in table.parts for row in part]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    align = [str.ljust if column.is_text else str.rjust for column in table.columns]
    return "\n".join(
        "  ".join(put(text, width) for put, text, width in zip(align, line, widths, strict=True)).rstrip()
        for line in lines
    )


def _heading(column: Column) -> str:
    return f"{column.group} {column.title}".strip()


def to_csv(table: Table) -> str:
    """All values in full, a line for each row; a field is empty where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.facts, *(key for column in table.columns for key in column.keys)])
    for row in (row for part in table.parts for row in part):
        fields = list(table.facts.values())
        for column, cell in zip(table.columns, row, strict=True):
            fields += cell.values or [None] * len(column.keys)
        writer.writerow(fields)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """A table of GitHub's Markdown, between its caption and its notes where it has them."""

    def printed(cell: Cell) -> str:
        text = f"**{_markdown(cell.text)}**" if cell.is_best else _markdown(cell.text)
        return f"{text}{_markdown(cell.mark)} {_markdown(cell.note)}".strip()

    titles = [_markdown(_heading(column)) for column in table.columns]
    lines = [titles, ["---" if column.is_text else "---:" for column in table.columns]]
    lines += [[printed(cell) for cell in row] for part in table.parts for row in part]
    grid = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    caption = f"**{_markdown(table.caption)}**" if table.caption else ""
    return "\n\n".join(filter(None, (caption, grid, _markdown(" ".join(table.notes))))) + "\n"


def to_tex(table: Table) -> str:
    r"""A `table` of LaTeX with booktabs, to be read with `\input`; it is scaled down where it is too wide."""

    def printed(cell: Cell) -> str:
        text = rf"\textbf{{{_tex(cell.text)}}}" if cell.is_best else _tex(cell.text)
        return text + _tex(cell.mark) + (rf" {{\scriptsize {_tex(cell.note)}}}" if cell.note else "")

    lines = [
        r"% Needs \usepackage{booktabs,graphicx}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in table.columns)}}}",
        r"\toprule",
    ]
    if any(group for group, _ in table.heads):
        rules, first = "", 1
        for group, span in table.heads:
            rules += rf"\cmidrule(lr){{{first}-{first + span - 1}}}" if group else ""
            first += span
        lines.append(
            " & ".join(rf"\multicolumn{{{span}}}{{c}}{{{_tex(group)}}}" for group, span in table.heads) + r" \\"
        )
        lines.append(rules)
    lines.append(" & ".join(_tex(column.title) for column in table.columns) + r" \\")
    for part in table.parts:
        lines.append(r"\midrule")
        lines += [" & ".join(map(printed, row)) + r" \\" for row in part]
    lines += [r"\bottomrule", r"\end{tabular}}", "", r"\smallskip"]
    lines += [rf"\begin{{minipage}}{{\linewidth}}\footnotesize {_tex(' '.join(table.notes))}\end{{minipage}}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def _markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\|*_<`[" else letter for letter in text)
