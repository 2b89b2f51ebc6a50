"""`fgsbir data check|stats|show|export`: look at a dataset before training on it, or write the embedded screens."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentError, ArgumentParser

import fgsbir.regions.box_file
import fgsbir.regions.selective_search
import fgsbir.regions.view_hierarchy  # noqa: F401  (short class names on the command line)
from fgsbir.data.check import check
from fgsbir.data.datasets import DataSource, Embedded
from fgsbir.data.datasets.qmul import EXPECTED_COUNTS
from fgsbir.data.datasets.swire import REPORTED_SIZE, write_swire
from fgsbir.data.statistics import format_stats, stats
from fgsbir.errors import InputError
from fgsbir.regions.selective_search import SelectiveSearch
from fgsbir.regions.source import RegionSource
from fgsbir.visualization.contact_sheet import sample, write_contact_sheet

DESCRIPTIONS = {
    "check": "Opens every file and reports what is broken, missing, repeated or not as published.",
    "stats": "Counts sketches, photos, strokes and points of each split.",
    "show": "Writes a contact sheet: sketch, strokes with their boxes, photo with its regions, photo.",
    "export": "Writes the embedded screens as files in the formats of SWIRE and RICO.",
}


def run(argv: list[str]) -> None:
    """Runs one of the commands.

    Args:
        argv: the command and its options.

    Raises:
        InputError: for bad options or files, or if `check` finds an error.
    """
    parser = _parser()
    try:
        options = parser.instantiate_classes(parser.parse_args(argv))
    except ArgumentError as error:
        problem = " ".join(str(error).split())
        raise InputError("fgsbir data", problem, "see fgsbir data check --help") from None
    chosen = options[options.subcommand]
    if options.subcommand == "export":
        _export(chosen.source, chosen.out)
        return
    data = chosen.source.load()
    if options.subcommand == "stats":
        print(format_stats(stats(data)))
    elif options.subcommand == "show":
        regions: RegionSource = chosen.regions or SelectiveSearch()
        photos = [data.photos[s.photo_id] for s in sample(data, chosen.split, chosen.count, chosen.seed)]
        boxes = regions.regions(photos)
        write_contact_sheet(data, boxes, chosen.out, chosen.count, chosen.split, chosen.seed, chosen.photo_style)
        print(f"Contact sheet: {chosen.out}")
    else:
        problems = check(data, EXPECTED_COUNTS.get(data.name))
        print(*problems, sep="\n")
        errors = sum(problem.level == "error" for problem in problems)
        print(f"{data.name}: {len(data.sketches)} sketches, {len(data.photos)} photos, {errors} errors")
        if data.name == "swire":
            print(REPORTED_SIZE)
        if errors:
            raise InputError(data.name, f"{errors} errors, listed above", "repair or remove these files")


def _export(source: DataSource, out: Path) -> None:
    if not isinstance(source, Embedded) or source.category != "screens":
        raise InputError("--source", "only the embedded screens can be exported", "use Embedded, category screens")
    write_swire(out, source.instances)
    print(f"{len(source.instances)} screens: {out}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser("fgsbir data", description=__doc__, exit_on_error=False)
    commands = parser.add_subcommands(required=True)
    for name, description in DESCRIPTIONS.items():
        command = ArgumentParser(description=description, exit_on_error=False)
        command.add_argument(
            "--source",
            type=DataSource,
            required=True,
            help="the dataset, e.g. ChairV2, ShoeV2, Folder or Embedded; --source.help Folder lists the options of one",
        )
        if name == "show":
            command.add_argument(
                "--regions", type=RegionSource | None, default=None, help="source of the regions; SelectiveSearch"
            )
            command.add_argument("--out", type=Path, default=Path("contact-sheet.png"), help="PNG to write")
            command.add_argument("--count", type=int, default=8, help="number of rows")
            command.add_argument("--split", type=Literal["train", "val", "test"], default="train", help="split shown")
            command.add_argument("--seed", type=int, default=0, help="seed of the choice of pairs")
            command.add_argument(
                "--photo_style", type=Literal["rgb", "edges"], default="rgb", help="style of the last photo"
            )
        if name == "export":
            command.add_argument("--out", type=Path, required=True, help="folder for sketches, screens and hierarchies")
        commands.add_subcommand(name, command, help=description)
    return parser
