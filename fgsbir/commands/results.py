"""`fgsbir results`: what is kept of finished runs, and all that is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.report.docs_tables import refresh_docs, refresh_results_page
from fgsbir.report.page import write_report
from fgsbir.runs.folder import RunFolder, find_runs
from fgsbir.runs.table import read_runs_csv, write_runs_csv

DESCRIPTION = """\
Keeps what tables are made of from finished runs, figures and rankings but no weights and no pictures, in a folder that
can be committed, and makes everything from that folder anew: runs.csv, the report, and the pages of the documentation.
Without RUNS it only makes it anew."""


def run(words: Sequence[str]) -> None:
    """The command.

    Args:
        words: behind "fgsbir results".

    Raises:
        InputError: if a run is damaged, a page has no place for its table, or a file cannot be written.
    """
    parser = CommandParser("fgsbir results", DESCRIPTION)
    parser.add_argument("runs", metavar="RUNS", nargs="?", type=Path, help="folder of runs, searched at any depth")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where they are kept; default: %(default)s")
    parser.add_argument("--docs", type=Path, help="also write the tables in these pages anew, e.g. docs")
    options = parser.parse_args(list(words))
    out, kept = options.out, options.out / "runs"
    if options.runs is not None:
        if kept.resolve() in (options.runs.resolve(), *options.runs.resolve().parents):
            raise InputError(options.runs, "these are the runs that are kept already", "leave RUNS out, or name others")
        for theirs in find_runs(options.runs):
            result = theirs.read_result()
            theirs.read_ranking()  # a damaged one is not kept
            RunFolder(kept / result.experiment / f"{result.config_hash}-s{result.seed}").copy_outcome(theirs)
    table = out / "runs.csv"
    rows = write_runs_csv(kept, table) if kept.is_dir() else read_runs_csv(table)
    print(f"Results: {table}")
    if kept.is_dir():
        print(f"Report: {write_report(kept, out / 'report')}")
    if options.docs is not None:
        refresh_docs(options.docs / "systems", rows)
        refresh_results_page(options.docs / "results.md", out / "report" / "tables")
        print(f"Pages: {options.docs}")
