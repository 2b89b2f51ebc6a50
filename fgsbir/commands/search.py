"""`fgsbir search`: ranks the photos of an index by their distance from a sketch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.search.first_stage import BACKEND_HELP, DEPTH
from fgsbir.sketch.formats import SKETCH_SUFFIXES, read_sketch
from fgsbir.visualization.tables import Cell, Column, Table, plain, to_text

if TYPE_CHECKING:
    from fgsbir.search.searcher import Found


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: its options, without its name.

    Raises:
        InputError: if options, index, run or sketch are wrong.
    """
    parser = CommandParser("fgsbir search", "Ranks the photos of an index by their distance from a sketch.")
    parser.add_argument("index", metavar="INDEX", type=Path, help="folder of an index, made by fgsbir index")
    parser.add_argument("sketch", metavar="SKETCH", type=Path, help=f"sketch file: {', '.join(SKETCH_SUFFIXES)}")
    parser.add_argument("--top", type=int, default=10, help="number of photos to print; default: %(default)s")
    parser.add_argument("--page", type=Path, metavar="FILE", help="HTML page to write: photos, merge trees, attention")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument(
        "--run", type=Path, help="folder of the run, if it was moved; default: the one that the index names"
    )
    parser.add_argument("--depth", type=int, help=f"number of candidates to match; default: {DEPTH}")
    parser.add_argument("--recall", type=float, help="measured recall to reach, (0, 1], in place of --depth")
    parser.add_argument("--backend", default="faiss", help=BACKEND_HELP)
    options = parser.parse_args(argv)
    if options.top < 1:
        raise InputError("--top", f"{options.top} is less than 1", "use e.g. 10")
    sketch = read_sketch(options.sketch)

    from fgsbir.search.page import write_page  # here: they need torch, for which a mistake above should not wait
    from fgsbir.search.searcher import Searcher

    searcher = Searcher.open(options.index, options.run, options.depth, options.recall, options.backend)
    found = searcher.search(sketch, options.top)
    print(json.dumps(_plain(found, len(searcher))) if options.json else _table(found, len(searcher)))
    if options.page is not None:
        write_page(searcher, options.sketch.name, sketch, found, options.page)
        if not options.json:
            print(f"Page: {options.page}")


def _plain(found: Found, photos: int) -> dict[str, object]:
    """The answer as JSON values."""
    times = {name: round(value, 3) for name, value in found._asdict().items() if name != "hits"}
    return {"hits": [hit._asdict() for hit in found.hits], "photos": photos, **times}


def _table(found: Found, photos: int) -> str:
    """The answer for the terminal."""
    columns = (
        Column("", "rank", ("rank",)),
        Column("", "photo", ("photo",), True),
        Column("", "distance", ("distance",)),
    )
    rows = tuple(
        (plain(rank), plain(hit.photo), Cell(f"{hit.distance:.4f}", (hit.distance,)))
        for rank, hit in enumerate(found.hits, start=1)
    )
    lines = [to_text(Table("found", "", {}, columns, (rows,)))]
    total = found.encode_ms + found.first_ms + found.match_ms
    lines.append(
        f"{photos:,} photos in {total:.1f} ms: {found.encode_ms:.1f} to encode the sketch, {found.first_ms:.1f} to "
        f"find candidates, {found.match_ms:.1f} to match them"
    )
    return "\n".join(lines)
