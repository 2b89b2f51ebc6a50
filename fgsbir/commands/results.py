"""`fgsbir results`: archives finished runs, and remakes tables and pages from the archive."""

from __future__ import annotations

from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.report.docs_settings import refresh_settings
from fgsbir.report.docs_tables import refresh_docs, refresh_results_page
from fgsbir.report.page import write_report
from fgsbir.runs.folder import RunFolder, find_runs
from fgsbir.runs.table import read_runs_csv, write_runs_csv

DESCRIPTION = """\
Archives scores and rankings of finished runs (no weights or images) in a folder that can be committed, and remakes all
that is made from it: runs.csv, the report, and the tables in the documentation. Without RUNS it only remakes."""


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir results".

    Raises:
        InputError: if a run is damaged, a page has no markers for its table, or a file cannot be written.
    """
    parser = CommandParser("fgsbir results", DESCRIPTION)
    parser.add_argument("runs", metavar="RUNS", nargs="?", type=Path, help="folder of runs, searched at any depth")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the archive; default: %(default)s")
    parser.add_argument("--docs", type=Path, help="folder of pages whose tables are remade, e.g. docs")
    options = parser.parse_args(argv)
    out, kept = options.out, options.out / "runs"
    if options.runs is not None:
        if kept.resolve() in (options.runs.resolve(), *options.runs.resolve().parents):
            raise InputError(options.runs, "these runs are archived already", "leave RUNS out, or name others")
        for theirs in find_runs(options.runs):
            result = theirs.read_result()
            theirs.read_ranking()  # a damaged one is not archived
            RunFolder(kept / result.experiment / f"{result.config_hash}-s{result.seed}").copy_outcome(theirs)
    table = out / "runs.csv"
    rows = write_runs_csv(kept, table) if kept.is_dir() else read_runs_csv(table)
    print(f"Results: {table}")
    if kept.is_dir():
        print(f"Report: {write_report(kept, out / 'report')}")
    if options.docs is not None:
        refresh_docs(options.docs / "systems", rows)
        refresh_settings(options.docs)
        refresh_results_page(options.docs / "results.md", out / "report" / "tables")
        if (readme := options.docs.parent / "README.md").is_file():
            refresh_results_page(readme, out / "report" / "tables")
        print(f"Pages: {options.docs}")
