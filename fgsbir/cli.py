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
  fgsbir run      --experiment proposed --dataset chair_v2      fit, then test
  fgsbir sweep    run|status sweeps/ablation.yaml               all runs of a table, on this machine, Slurm or W&B
  fgsbir pretrain --source ChairV2 --out chairs.safetensors     a stroke transformer learns from sketches alone
  fgsbir data     check|stats|show|export --source ChairV2      look at a dataset before training on it
  fgsbir report   RUNS --out DIR                                page, tables and figures from finished runs
  fgsbir results  RUNS --out results --docs docs                keep figures of finished runs; make tables, pages anew
  fgsbir trees    RUNS                                          discovered hierarchies against true part trees
  fgsbir on-the-fly RUNS                                        ranks while the test sketches are being drawn
  fgsbir index    PHOTOS --run RUN --out INDEX                  encode photos once, to be searched by drawings
  fgsbir search   INDEX SKETCH --page found.html                the photos nearest to a drawing
  fgsbir serve    INDEX                                         draw in the browser and find the photo; an API, too
  fgsbir dashboard --project fgsbir                             workspace and report at Weights & Biases, as code
  fgsbir list                                                   all systems, their papers and what each costs

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
        "run": _run,
        "sweep": _sweep,
        "pretrain": _pretrain,
        "data": _data,
        "report": _report,
        "results": _results,
        "trees": _trees,
        "on-the-fly": _on_the_fly,
        "index": _index,
        "search": _search,
        "serve": _serve,
        "dashboard": _dashboard,
        "list": _list,
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
    from fgsbir.runs.training import run

    run(words)


def _run(words: list[str]) -> None:
    from fgsbir.commands.run import run

    run(words[1:])


def _sweep(words: list[str]) -> None:
    from fgsbir.commands.sweep import run

    run(words[1:])


def _pretrain(words: list[str]) -> None:
    from fgsbir.commands.pretrain import run

    run(words[1:])


def _data(words: list[str]) -> None:
    from fgsbir.commands.data import run

    run(words[1:])


def _report(words: list[str]) -> None:
    from fgsbir.commands.report import run

    run(words[1:])


def _results(words: list[str]) -> None:
    from fgsbir.commands.results import run

    run(words[1:])


def _trees(words: list[str]) -> None:
    from fgsbir.commands.trees import run

    run(words[1:])


def _on_the_fly(words: list[str]) -> None:
    from fgsbir.commands.on_the_fly import run

    run(words[1:])


def _index(words: list[str]) -> None:
    from fgsbir.commands.index import run

    run(words[1:])


def _search(words: list[str]) -> None:
    from fgsbir.commands.search import run

    run(words[1:])


def _serve(words: list[str]) -> None:
    from fgsbir.commands.serve import run

    run(words[1:])


def _dashboard(words: list[str]) -> None:
    from fgsbir.commands.dashboard import run

    run(words[1:])


def _list(words: list[str]) -> None:
    from fgsbir.commands.list import run

    run(words[1:])


if __name__ == "__main__":
    sys.exit(main())
