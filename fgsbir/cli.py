"""The command line: finds a command and runs it. Torch is imported only by the commands that need it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from fgsbir import __version__
from fgsbir.errors import InputError

COMMANDS = {
    "fit": ("run.fit", "--system proposed --dataset chair_v2", "train; goes on where it was interrupted"),
    "test": ("run.test", "--system proposed --dataset chair_v2", "rank the test split by the best checkpoint, once"),
    "validate": ("run.validate", "--system proposed --dataset chair_v2", "metrics of the best checkpoint on val"),
    "run": ("run.run", "--system proposed --dataset chair_v2", "fit, then test"),
    "predict": ("predict.run", "RUN --sketches FILES --photos FOLDER", "rank any photos for any sketches"),
    "sweep": ("sweep.run", "run|status sweeps/ablation.yaml", "all runs of a table, on this machine, Slurm or W&B"),
    "pretrain": ("pretrain.run", "--source ChairV2 --out FILE", "train a stroke transformer on sketches alone"),
    "data": ("data.run", "check|stats|show|export --source ChairV2", "look at a dataset before training on it"),
    "report": ("report.run", "RUNS --out DIR", "page, tables and figures from finished runs"),
    "results": (
        "results.run",
        "RUNS --out results --docs docs",
        "archive scores and rankings; remake tables and pages",
    ),
    "trees": ("trees.run", "RUNS", "agreement of discovered hierarchies with true part trees"),
    "on-the-fly": ("on_the_fly.run", "RUNS", "ranks while the test sketches are being drawn"),
    "index": ("index.run", "PHOTOS --run RUN --out INDEX", "encode photos once, to be searched by drawings"),
    "search": ("search.run", "INDEX SKETCH --page found.html", "the photos nearest to a drawing"),
    "serve": ("serve.run", "INDEX", "draw in the browser and find the photo; an API, too"),
    "dashboard": ("dashboard.run", "--project fgsbir", "workspace and report at Weights & Biases, as code"),
    "list": ("list.run", "", "all systems, their papers and what each costs"),
}
"""Each command with its function in `fgsbir.commands`, an example of its arguments, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the command and its arguments, `sys.argv[1:]` by default.

    Returns:
        Exit status: 0, or 2 for anything that the user can fix.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    try:
        if argv[0] not in COMMANDS:
            raise InputError(f"fgsbir {argv[0]}", "no such command", f"use one of {', '.join(COMMANDS)}")
        module, _, function = COMMANDS[argv[0]][0].partition(".")
        getattr(import_module(f"fgsbir.commands.{module}"), function)(argv[1:])
    except InputError as error:
        print(f"fgsbir: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0


def usage() -> str:
    """The commands, a line each."""
    lines = [(f"  fgsbir {name} {example}".rstrip(), help_) for name, (_, example, help_) in COMMANDS.items()]
    width = max(len(line) for line, _ in lines)
    shown = "\n".join(f"{line:<{width}}   {help_}" for line, help_ in lines)
    return (
        f"fgsbir: fine-grained sketch-based image retrieval\n\n{shown}\n\n"
        "`fgsbir COMMAND --help` tells more. Settings are overridden by name, e.g. --model.nodes.dim 256.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
