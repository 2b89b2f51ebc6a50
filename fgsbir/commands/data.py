"""`fgsbir data check|stats|show|export`: look at a dataset before training on it, or write the embedded screens."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentError, ArgumentParser, Namespace

import fgsbir.regions.box_file
import fgsbir.regions.selective_search
import fgsbir.regions.view_hierarchy  # noqa: F401  (short class names on the command line)
from fgsbir.commands.source import SourceFormatter, refusal, source_parser
from fgsbir.data.check import check_source
from fgsbir.data.datasets import DataSource, Embedded
from fgsbir.data.datasets.swire import write_swire
from fgsbir.data.statistics import format_stats, stats
from fgsbir.errors import InputError
from fgsbir.regions.selective_search import SelectiveSearch
from fgsbir.regions.source import RegionSource
from fgsbir.runs.config import Settings, resolve
from fgsbir.visualization.contact_sheet import sample, write_contact_sheet

DESCRIPTIONS = {
    "check": "Opens every file that a training would, and lists what is broken, missing, repeated or not as published.",
    "stats": "Counts sketches, photos, strokes and points of each split.",
    "show": "Writes a contact sheet: sketch, strokes with their boxes, photo with its regions, photo.",
    "export": "Writes the embedded screens as files in the formats of SWIRE and RICO.",
}


EXPERIMENT = "experiment whose dataset and regions are meant, in place of --source: chair_v2/proposed, or a file"
REGIONS = "source of the regions: ViewHierarchy, BoxFile or SelectiveSearch (default)"


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
        chosen = options[options.subcommand]
        source, regions = _named(chosen)
    except ArgumentError as error:
        raise refusal(" ".join(["fgsbir data", *(word for word in argv[:1] if word in DESCRIPTIONS)]), error) from None
    if options.subcommand == "export":
        _export(source, chosen.out)
    elif options.subcommand == "stats":
        print(format_stats(stats(source.load())))
    elif options.subcommand == "show":
        _show(source, regions, chosen)
    else:
        _check(source, regions)


def _check(source: DataSource, regions: RegionSource) -> None:
    report = check_source(source, regions)
    print(*report.problems, sep="\n")
    errors = sum(problem.level == "error" for problem in report.problems)
    data = report.data
    counts = f"{len(data.sketches)} sketches, {len(data.photos)} photos, " if data else ""
    print(f"{report.name}: {counts}{errors} errors")
    print(*(f"not checked: {text}" for text in report.unchecked), sep="\n")
    if errors:
        raise InputError(report.name, f"{errors} errors, listed above", "repair or remove these files")


def _show(source: DataSource, regions: RegionSource, chosen: Namespace) -> None:
    data = source.load()
    photos = [data.photos[s.photo_id] for s in sample(data, chosen.split, chosen.count, chosen.seed)]
    boxes = regions.regions(photos)
    write_contact_sheet(data, boxes, chosen.out, chosen.count, chosen.split, chosen.seed, chosen.photo_style)
    print(f"Contact sheet: {chosen.out}")


def _export(source: DataSource, out: Path) -> None:
    if not isinstance(source, Embedded) or source.category != "screens":
        raise InputError("--source", "only the embedded screens can be exported", "use Embedded, category screens")
    write_swire(out, source.instances)
    print(f"{len(source.instances)} screens: {out}")


def _named(chosen: Namespace) -> tuple[DataSource, RegionSource]:
    """The dataset that is named, by itself or by an experiment, and the source of its regions.

    Raises:
        ArgumentError: if an option of a class is wrong.
    """
    source, regions = chosen.source, chosen.get("regions")
    if (source is None) == (chosen.experiment is None):
        problem = "no dataset is named" if source is None else "two datasets are named"
        raise InputError("fgsbir data", problem, "give --source NAME or --experiment NAME")
    if chosen.experiment is not None:
        settings = resolve(Settings.of([("experiment", chosen.experiment)])).config["data"]
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--source", type=DataSource)
        parser.add_argument("--regions", type=RegionSource | None)
        given = parser.parse_object({name: settings[name] for name in ("source", "regions")})
        source, experiment_regions = (parser.instantiate_classes(given)[name] for name in ("source", "regions"))
        regions = regions or experiment_regions
    return source, regions or SelectiveSearch()


def _parser() -> ArgumentParser:
    parser = ArgumentParser("fgsbir data", description=__doc__, formatter_class=SourceFormatter, exit_on_error=False)
    commands = parser.add_subcommands(required=True)
    for name, description in DESCRIPTIONS.items():
        command = source_parser(description)
        command.add_argument("--experiment", type=str | None, default=None, help=EXPERIMENT)
        if name in ("check", "show"):
            command.add_argument("--regions", type=RegionSource | None, default=None, help=REGIONS)
        if name == "show":
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
