import csv
import re
import shutil
import subprocess

import numpy as np
import pytest
from written import N_QUERIES, random_ranks, write_run

from fgsbir.report.collected import load_runs
from fgsbir.report.paper_tables import paper_tables
from fgsbir.report.run_tables import cost_table, every_run, region_table
from fgsbir.visualization.tables import (
    EMPTY,
    Cell,
    Column,
    Table,
    plain,
    plain_row,
    short_number,
    spread,
    to_csv,
    to_markdown,
    to_tex,
    to_text,
    write_table,
)

COLUMNS = (
    Column("", "Method", ("method",), True),
    Column("Ours", "acc@1", ("acc1", "sd")),
    Column("Ours", "n", ("n",)),
)
ROW = (plain("a_b & c*"), Cell("61.0 ± 1.5", (61.0, 1.5), "[55.0, 67.0]", "*", True), EMPTY)
TABLE = Table(
    "t", "A 100 % <title>", {"dataset": "d_1", "split": "ab"}, COLUMNS, ((ROW,), ((EMPTY,) * 3,)), ("Note|s.",)
)


def all_tables(root):
    """The tables of a folder with runs of all kinds."""
    for seed in range(2):
        for name in ("b_siamese", "proposed", "proposed_coarse", "proposed_k8", "proposed_k20"):
            ranks = np.ones(N_QUERIES, int) if name == "proposed" else random_ranks(seed + len(name))
            write_run(root, name, seed, f"chair_v2/{name}", ranks, dataset="chair_v2", query_ms=3.0)
    (dataset,) = load_runs(root)
    made = [cost_table(dataset, "modern"), region_table(dataset, "modern"), every_run(dataset)]
    assert None not in made
    return [*paper_tables(dataset, "modern"), *made]


def test_markdown_has_a_cell_a_column_and_shows_every_letter():
    lines = to_markdown(TABLE).splitlines()
    assert lines[0] == r"**A 100 % \<title>; split ab**"
    assert lines[2:6] == [
        "| Method | Ours acc@1 | Ours n |",
        "| --- | ---: | ---: |",
        r"| a\_b & c\* | **61.0 ± 1.5**\* \[55.0, 67.0] |  |",
        "|  |  |  |",
    ]
    assert lines[-1] == r"Note\|s."


def test_plain_text_is_aligned_under_its_titles():
    header, row, empty = to_text(TABLE).split("\n")
    assert header == "Method" + " " * 18 + "Ours acc@1  Ours n"
    assert row == "a_b & c*  61.0 ± 1.5* [55.0, 67.0]"
    assert empty == ""


def test_plain_text_without_titles_is_rows_alone():
    columns = (Column("", "", (), True), Column("", "", ()))
    rows = (plain_row("done", 3), plain_row("interrupted", 12))
    assert to_text(Table("t", "", {}, columns, (rows[:1], rows[1:]))) == "done          3\ninterrupted  12"
    assert to_text(Table("t", "", {}, columns, ())) == ""


def test_markdown_without_caption_and_notes_is_the_grid_alone():
    table = Table("t", "", {}, (Column("", "n", ("n",)),), ((plain_row(1),),))
    assert to_markdown(table) == "| n |\n| ---: |\n| 1 |\n"


def test_csv_has_a_field_a_value_and_empty_fields_for_an_empty_cell():
    first, second = csv.DictReader(to_csv(TABLE).splitlines())
    assert first == {
        "dataset": "d_1",
        "split": "ab",
        "method": "a_b & c*",
        "acc1": "61.0",
        "sd": "1.5",
        "n": "",
    }
    assert list(second.values()) == ["d_1", "ab", "", "", "", ""]


def test_tex_spans_groups_and_escapes_what_is_special():
    text = to_tex(TABLE)
    assert r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{Ours} \\" in text
    assert r"\cmidrule(lr){2-3}" in text
    assert r"a\_b \& c$^{*}$ & \textbf{61.0 $\pm$ 1.5}$^{*}$ {\scriptsize [55.0, 67.0]} &  \\" in text
    assert r"\caption{A 100 \% $<$title$>$; split ab}" in text
    assert text.count(r"\midrule") == 2


def test_every_row_of_every_table_has_all_columns(tmp_path):
    for table in all_tables(tmp_path):
        assert {len(row) for part in table.parts for row in part} == {len(table.columns)}, table.name
        for row in (row for part in table.parts for row in part):
            for column, cell in zip(table.columns, row, strict=True):
                assert len(cell.values) in (0, len(column.keys)), (table.name, column.title)
                assert bool(cell.values) or cell.text in ("", "–"), (table.name, column.title)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex, such as Debian's texlive-latex-base")
def test_latex_compiles_and_fits_the_page(tmp_path):
    tables = all_tables(tmp_path / "runs")
    for table in tables:
        write_table(table, tmp_path / "tables")
    inputs = "\n".join(rf"\input{{tables/{table.name}}}" for table in tables)
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    )
    if subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode:
        pytest.skip("needs booktabs, such as Debian's texlive-latex-recommended")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert not re.search(
        r"^(Overfull \\hbox|LaTeX Warning: (?!There were|Label|Reference|Float)|Missing character)", log, re.M
    )


def test_html_and_markdown_files_hold_the_same_words(tmp_path):
    write_table(TABLE, tmp_path)
    html = (tmp_path / "t.html").read_text("utf-8")
    assert "A 100 % &lt;title&gt;" in html
    assert "<b>61.0 ± 1.5</b>" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.html", "t.md", "t.tex"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (999_600, "1.00 M"), (4_080_000, "4.08 M"), (2e12, "2.00 T")],
)
def test_numbers_are_shortened_to_three_digits(number, text):
    assert short_number(number) == text


def test_a_spread_needs_every_value():
    assert spread([1.0, 3.0]) == Cell("2.00 ± 1.41", (2.0, pytest.approx(2**0.5)))
    assert spread([2.0]) == Cell("2.00", (2.0, None))
    assert spread([1.0, None]) == spread([None]) == EMPTY
