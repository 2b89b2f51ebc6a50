"""`fgsbir list`: all systems, and what each costs."""

from __future__ import annotations

from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.visualization.tables import to_csv, to_markdown, to_text

DESCRIPTION = "Lists all systems: whose idea, parameters, FLOPs, and whether a gallery can be indexed."
NOTES = """\
Systems on {dataset} in the {recipe} recipe; – where there is no such recipe.
A sketch has {strokes} strokes of {points} points (the mean of ChairV2 is 10 of 11), and a node for the whole sketch
where the system adds one; a photo has {regions} regions.
Params are all parameters, frozen ones included. Sketch and Photo are FLOPs to encode one, Pair to match the two.
torch counts FLOPs, of convolutions and matrix products, a product and its sum being two. Other work counts 0: RoI
align, distances between vectors, and elementwise operations.
Index: a photo is a vector that needs no partner, so a query is a search among stored vectors.
"""


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir list".

    Raises:
        InputError: if there is no such dataset or recipe, a file is damaged, or a number is not positive.
    """
    parser = CommandParser("fgsbir list", DESCRIPTION)
    parser.add_argument("--recipe", choices=("modern", "paper"), default="modern", help="default: %(default)s")
    parser.add_argument("--dataset", default="chair_v2", help="dataset of the experiments; default: %(default)s")
    parser.add_argument("--experiments", type=Path, help="folder of experiments; default: those that come with fgsbir")
    parser.add_argument("--strokes", type=int, default=10, help="strokes of the sketch; default: %(default)s")
    parser.add_argument("--regions", type=int, default=16, help="regions of the photo; default: %(default)s")
    parser.add_argument(
        "--format",
        choices=("table", "csv", "markdown"),
        default="table",
        help="for a terminal, for a program (plain numbers) or for a page; default: %(default)s",
    )
    options = parser.parse_args(argv)
    for option, number in (("--strokes", options.strokes), ("--regions", options.regions)):
        if number < 1:
            raise InputError(option, f"{number} is not positive", "use 1 or more")

    import torch  # here: --help does not wait for it

    from fgsbir.metrics.cost import POINTS
    from fgsbir.report.system_list import system_table

    torch.set_num_threads(1)  # one image is little work, and threads that wait for a busy core take far longer
    table = system_table(options.experiments, options.dataset, options.recipe, options.strokes, options.regions)
    if options.format == "csv":
        print(to_csv(table), end="")
        return
    print(NOTES.format(**vars(options), points=POINTS))
    print(to_markdown(table).rstrip() if options.format == "markdown" else to_text(table))
