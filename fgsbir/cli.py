"""The command line. Torch and Lightning are imported only by the commands that need them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from fgsbir import __version__
from fgsbir.commands.parser import CommandParser
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
    from pathlib import Path

    from fgsbir.report.page import SYSTEM, write_report
    from fgsbir.report.paper_tables import REFERENCE

    description = "Writes one self-contained page from finished runs, and its tables and figures as files."
    parser = CommandParser("fgsbir report", description)
    parser.add_argument("runs", metavar="RUNS", help="folder of runs, searched at any depth")
    parser.add_argument("--out", default="report", help="folder; default: %(default)s")
    parser.add_argument("--reference", default=REFERENCE, help="row that differences are tested against; %(default)s")
    parser.add_argument("--system", default=SYSTEM, help="row shown beside it in the galleries; %(default)s")
    options = parser.parse_args(words[1:])
    page = write_report(Path(options.runs), Path(options.out), options.reference, options.system)
    print(f"Report: {page}")


def _results(words: list[str]) -> None:
    from fgsbir.commands.results import run

    run(words[1:])


def _trees(words: list[str]) -> None:
    from pathlib import Path

    description = "Scores the merge trees of finished runs on the embedded dataset; see docs/hierarchy-score.md."
    parser = CommandParser("fgsbir trees", description)
    parser.add_argument("runs", metavar="RUNS", help="folder of runs, searched at any depth")
    options = parser.parse_args(words[1:])

    from fgsbir.commands.trees import run

    run(Path(options.runs))


def _on_the_fly(words: list[str]) -> None:
    from pathlib import Path

    description = "Ranks the photos of finished runs while the test sketches are being drawn; see docs/on-the-fly.md."
    parser = CommandParser("fgsbir on-the-fly", description)
    parser.add_argument("runs", metavar="RUNS", help="folder of runs, searched at any depth; measured ones are skipped")
    options = parser.parse_args(words[1:])

    from fgsbir.commands.on_the_fly import run

    run(Path(options.runs))


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
    description = "Saves a workspace and a report over the runs of a project at Weights & Biases; see docs/wandb.md."
    parser = CommandParser("fgsbir dashboard", description)
    parser.add_argument("--entity", help="user or team; that of the account by default")
    parser.add_argument("--project", default="fgsbir", help="default: %(default)s")
    options = parser.parse_args(words[1:])

    from fgsbir.report.dashboard import publish

    for page in publish(options.entity, options.project):
        print(page)


def _list(words: list[str]) -> None:
    from pathlib import Path

    description = "Lists all systems: whose idea, parameters, FLOPs, and whether a gallery can be indexed."
    parser = CommandParser("fgsbir list", description)
    parser.add_argument("--recipe", choices=("modern", "paper"), default="modern", help="default: %(default)s")
    parser.add_argument("--dataset", default="chair_v2", help="whose experiments are measured; default: %(default)s")
    parser.add_argument("--experiments", type=Path, default=Path("experiments"), help="folder; default: %(default)s")
    parser.add_argument("--strokes", type=int, default=10, help="of the sketch; default: %(default)s")
    parser.add_argument("--regions", type=int, default=16, help="of the photo; default: %(default)s")
    parser.add_argument("--format", choices=("table", "csv", "markdown"), default="table", help="default: %(default)s")
    options = parser.parse_args(words[1:])

    from fgsbir.commands.list import run

    run(options.experiments, options.dataset, options.recipe, options.strokes, options.regions, options.format)


if __name__ == "__main__":
    sys.exit(main())
