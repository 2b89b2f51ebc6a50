"""Measured scores in the pages of the systems: tables made from runs.csv, beside the published scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.report.cells import ROWS, stem_of_experiment
from fgsbir.report.paper import Published, published
from fgsbir.runs.table import Row

BLOCK = re.compile(r"(<!-- results: (?P<system>[^\n]+?) -->\n).*?(<!-- /results -->)", re.DOTALL)

TABLE = re.compile(r"(<!-- table: (?P<name>[\w/+-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)

HEADER = """\
| Experiment | Dataset | Recipe | Seed | N_test | acc@1 | acc@10 | Published acc@1 | Published acc@10 | Commit |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

REMARK = """
In percent; chance in brackets. Published are tables 1 to 3 and the region figure of Sain et al. 2020. They do not state
their number of test sketches, and were chosen on the test split if the released training code is what made them; ours
are chosen on `val` ([protocol](../results-protocol.md), [how our rows came about](../../results/README.md)).
"""


def refresh_docs(folder: Path, rows: Sequence[Row]) -> None:
    """Remakes the results block of every page of a folder; its README.md has none.

    Args:
        folder: folder of the pages, `docs/systems`.
        rows: rows of runs.csv.

    Raises:
        InputError: if there are no pages, or one cannot be read or written or has no block (then none is written).
    """
    pages = [path for path in sorted(folder.glob("*.md")) if path.name != "README.md"]
    if not pages:
        raise InputError(folder, "no pages of systems there", "name the folder of the pages, e.g. docs/systems")
    for page, text in [(page, refreshed(page, read_bytes(page).decode(), rows)) for page in pages]:
        with atomic_write(page, "w") as file:
            file.write(text)


def refreshed(page: Path, text: str, rows: Sequence[Row]) -> str:
    """The text of a page with its block made from `rows`; all else stays as it is.

    Raises:
        InputError: if the page does not have one block, or the block's system is not in the paper's tables.
    """
    found = BLOCK.findall(text)
    if len(found) != 1:
        fix = "put its table between <!-- results: NAME OF THE SYSTEM --> and <!-- /results -->"
        raise InputError(page, f"it has {len(found) or 'no'} block{'s' * (len(found) > 1)} of results", fix)
    system = found[0][1]
    if system not in ROWS:
        raise InputError(page, f"there is no system '{system}' to show", f"use one of {', '.join(ROWS)}")
    return BLOCK.sub(lambda block: block[1] + results_block(system, rows) + block[3], text)


def refresh_results_page(page: Path, tables: Path) -> None:
    """Remakes the tables of a page; all else in it stays as it is.

    Args:
        page: page with `<!-- table: chair_v2/modern/table1 -->` and `<!-- /table -->` around each table.
        tables: folder `tables` of a report.

    Raises:
        InputError: if a file cannot be read or written, or the page has no table.
    """
    text = read_bytes(page).decode()
    if not TABLE.search(text):
        raise InputError(page, "it has no table", "put one between <!-- table: NAME --> and <!-- /table -->")
    text = TABLE.sub(lambda block: block[1] + read_bytes(tables / f"{block['name']}.md").decode() + block[3], text)
    with atomic_write(page, "w") as file:
        file.write(text)


def results_block(system: str, rows: Sequence[Row]) -> str:
    """The table of one system: its rows, and a line for each published cell that was not measured.

    Args:
        system: name of the system, a row of the tables.
        rows: rows of runs.csv, of any systems.
    """
    stem, paper = ROWS[system], published()
    lines: dict[tuple[str, str, int, str], str] = {}
    for row in rows:
        if row["system"] == system:
            lines[_cell(row), row["recipe"], row["seed"], row["config_hash"]] = _line(row, paper)
    measured = {cell for cell, *_ in lines}
    for cell in paper:
        name = cell.split("/")[1]
        if cell not in measured and (name == stem or name.startswith(f"{stem}_")):
            dataset, shown = cell.split("/")[0], _scores(paper[cell])
            lines[cell, "", 0, ""] = f"| {cell} | {dataset} | | | | not measured yet | | {shown} | |\n"
    return HEADER + "".join(lines[key] for key in sorted(lines)) + REMARK


def _cell(row: Row) -> str:
    """The cell that a row fills: its dataset and its experiment without the recipe."""
    return f"{row['dataset']}/{stem_of_experiment(row['experiment'])}"


def _line(row: Row, paper: dict[str, Published]) -> str:
    scores = (
        f"{row[score]:.2f} ({min(100.0, 100 * places / row['n_gallery']):.2f})"
        for score, places in (("acc1", 1), ("acc10", 10))
    )
    shown = _scores(paper.get(_cell(row), Published()))
    run = [row["experiment"], row["dataset"], row["recipe"], str(row["seed"]), str(row["n_test"]), *scores]
    return f"| {' | '.join(run)} | {shown} | {(row['commit'] or '–')[:7]} |\n"


def _scores(cell: Published) -> str:
    return " | ".join(score or "–" for score in cell)
