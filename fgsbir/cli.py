"""The command line. Torch and Lightning are imported only by the commands that need them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from fgsbir import __version__
from fgsbir.errors import InputError

USAGE = """\
fgsbir: fine-grained sketch-based image retrieval

  fgsbir fit      --config experiments/chair_v2/proposed.yaml   train; goes on where it was interrupted
  fgsbir test     --config experiments/chair_v2/proposed.yaml   rank the test split by the best checkpoint, once
  fgsbir validate --config experiments/chair_v2/proposed.yaml   figures of the best checkpoint on val
  fgsbir data     check|stats|show --source ChairV2             look at a dataset before training on it
  fgsbir report   RUNS --out DIR                                one page from finished runs
  fgsbir results  RUNS --out results/runs.csv                   one row a finished run

`fgsbir COMMAND --help` tells more. Settings are overridden by name: --model.dim 256, --data.batch_size 16.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: words of the command line, `sys.argv[1:]` by default.

    Returns:
        Exit status: 0, or 2 for anything that the user can mend.
    """
    words = list(sys.argv[1:] if args is None else args)
    commands: dict[str, Callable[[list[str]], None]] = {
        **dict.fromkeys(("fit", "validate", "test", "predict"), _train),
        "data": _data,
        "report": _report,
        "results": _results,
    }
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if words[0] == "--version":
        print(__version__)
        return 0
    try:
        if words[0] not in commands:
            raise InputError(f"fgsbir {words[0]}", "no such command", f"use one of {', '.join(commands)}")
        commands[words[0]](words)
    except InputError as error:
        print(f"fgsbir: error: {error}", file=sys.stderr)
        return 2
    return 0


def _train(words: list[str]) -> None:
    from fgsbir.training import run

    run(words)


def _data(words: list[str]) -> None:
    from fgsbir.data_commands import run

    run(words[1:])


def _report(words: list[str]) -> None:
    from pathlib import Path

    from fgsbir.report.page import write_report

    options = _folder_command("report", "Writes one self-contained page from finished runs.", "report", words)
    page = write_report(Path(options[0]), Path(options[1]))
    print(f"Report: {page}")


def _results(words: list[str]) -> None:
    from pathlib import Path

    from fgsbir.runs.table import write_runs_csv

    options = _folder_command("results", "Collects finished runs as CSV.", "results/runs.csv", words)
    write_runs_csv(Path(options[0]), Path(options[1]))
    print(f"Results: {options[1]}")


def _folder_command(name: str, description: str, out: str, words: list[str]) -> tuple[str, str]:
    import argparse

    parser = argparse.ArgumentParser(f"fgsbir {name}", description=description, exit_on_error=False)
    parser.add_argument("runs", metavar="RUNS", help="folder of runs, searched at any depth")
    parser.add_argument("--out", default=out, help="default: %(default)s")
    try:
        options = parser.parse_args(words[1:])
    except argparse.ArgumentError as error:
        raise InputError(f"fgsbir {name}", str(error), f"see fgsbir {name} --help") from None
    return options.runs, options.out


if __name__ == "__main__":
    sys.exit(main())
