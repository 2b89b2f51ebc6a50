"""`fgsbir dashboard`: a workspace and a report at Weights & Biases."""

from __future__ import annotations

from fgsbir.commands.parser import CommandParser
from fgsbir.report.dashboard import publish

DESCRIPTION = "Saves a workspace and a report over the runs of a project at Weights & Biases; see docs/how-to/wandb.md."


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir dashboard".

    Raises:
        InputError: if wandb-workspaces is not installed, there is no account, or W&B refuses.
    """
    parser = CommandParser("fgsbir dashboard", DESCRIPTION)
    parser.add_argument("--entity", help="user or team; default: the account's default")
    parser.add_argument("--project", default="fgsbir", help="project of the runs; default: %(default)s")
    options = parser.parse_args(argv)
    for address in publish(options.entity, options.project):
        print(address)
