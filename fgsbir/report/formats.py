"""Tables as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from fgsbir.files import atomic_write
from fgsbir.report.table import Cell, Table

_TEX = {letter: f"\\{letter}" for letter in "&%$#_{}"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {"±": r"$\pm$", "–": "--", "“": "``", "”": "''", "*": "$^{*}$", "<": "$<$", ">": "$>$"}


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


def templates() -> Environment:
    """The HTML templates; they escape what they are given, and a name that is missing is an error."""
    return Environment(
        loader=PackageLoader("fgsbir.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def to_csv(table: Table) -> str:
    """All figures in full, a line for each row; a field is empty where there is no figure."""
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
    """A table of GitHub's Markdown, between its caption and its notes."""

    def printed(cell: Cell) -> str:
        text = f"**{_markdown(cell.text)}**" if cell.is_best else _markdown(cell.text)
        return f"{text}{_markdown(cell.mark)} {_markdown(cell.note)}".strip()

    titles = [_markdown(f"{column.group} {column.title}".strip()) for column in table.columns]
    lines = [titles, ["---" if column.is_text else "---:" for column in table.columns]]
    lines += [[printed(cell) for cell in row] for part in table.parts for row in part]
    grid = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"**{_markdown(table.caption)}**\n\n{grid}\n\n{_markdown(' '.join(table.notes))}\n"


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
