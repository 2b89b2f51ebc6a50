"""`fgsbir trees`: discovered hierarchies against the true part trees of the embedded dataset."""

from __future__ import annotations

from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.visualization.tables import to_text

DESCRIPTION = "Scores the merge trees of finished runs on the embedded dataset; see docs/hierarchy-score.md."


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir trees".

    Raises:
        InputError: if there is no such folder or run, or one is damaged.
    """
    parser = CommandParser("fgsbir trees", DESCRIPTION)
    parser.add_argument("runs", metavar="RUNS", type=Path, help="folder of runs, searched at any depth")
    options = parser.parse_args(argv)

    from fgsbir.report.tree_scores import score_runs, score_table  # needs torch, for which --help does not wait

    print(to_text(score_table(score_runs(options.runs))))
