"""`fgsbir report`: page, tables and figures from finished runs."""

from __future__ import annotations

from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.report.page import SYSTEM, write_report
from fgsbir.report.paper_tables import REFERENCE

DESCRIPTION = "Writes one self-contained page from finished runs, with its tables and figures as files."


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir report".

    Raises:
        InputError: if there is no finished run, one is damaged, a row is unknown, or a file cannot be written.
    """
    parser = CommandParser("fgsbir report", DESCRIPTION)
    parser.add_argument("runs", metavar="RUNS", type=Path, help="folder of runs, searched at any depth")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder of the report; default: %(default)s")
    parser.add_argument(
        "--reference", default=REFERENCE, help="row that differences are tested against; default: %(default)s"
    )
    parser.add_argument("--system", default=SYSTEM, help="row beside it in the galleries; default: %(default)s")
    options = parser.parse_args(argv)
    print(f"Report: {write_report(options.runs, options.out, options.reference, options.system)}")
