"""`fgsbir index`: encodes photos once, to be searched by drawings."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.data.records import PhotoRecord
from fgsbir.errors import InputError
from fgsbir.search.build import add_photos, folder_photos, split_photos
from fgsbir.search.distil import distil, photo_vectors
from fgsbir.search.first_stage import BACKEND_HELP, open_first_stage
from fgsbir.search.index import MANIFEST, IndexWriter, Manifest, PhotoIndex, Recall
from fgsbir.search.measure import measure_recall, own_queries
from fgsbir.search.model import DEFAULT_MARGIN, LoadedModel, PhotoReader
from fgsbir.search.searcher import Searcher


def run(words: list[str]) -> None:
    """Runs the command.

    Args:
        words: its options, without its name.

    Raises:
        InputError: for anything wrong with options, photos, run or index.
    """
    parser = CommandParser(
        "fgsbir index",
        "Encodes photos for fgsbir search and fgsbir serve. An index that is there takes in photos that are new or "
        "have changed; an interrupted one goes on where it was. Without PHOTOS: tells what an index holds.",
    )
    parser.add_argument("photos", metavar="PHOTOS", type=Path, nargs="?", help="folder of photos, at any depth")
    parser.add_argument("--out", type=Path, required=True, metavar="INDEX", help="folder of the index")
    parser.add_argument(
        "--run", type=Path, help="folder of a finished run, runs/...; of a new index, or if it was moved"
    )
    parser.add_argument("--split", help="in place of PHOTOS the photos of a split of the run's dataset, e.g. test")
    parser.add_argument("--remove", nargs="+", metavar="ID", default=[], help="photos to take out")
    parser.add_argument("--prune", action="store_true", help="take out what is not in PHOTOS or the split any more")
    parser.add_argument("--distil", action="store_true", help="learn vectors for a system that has none")
    parser.add_argument("--measure", action="store_true", help="measure the recall of the first stage")
    parser.add_argument("--queries", type=int, default=100, help="sketches to measure with; default: %(default)s")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="of nodes in a new index; float16 takes half the room and rounds distances; default: %(default)s",
    )
    parser.add_argument("--backend", help=BACKEND_HELP)
    options = parser.parse_args(words)
    if options.photos is not None and options.split is not None:
        raise InputError("fgsbir index", "PHOTOS and --split are both given", "give one of them")
    if options.prune and options.photos is None and options.split is None:
        raise InputError("--prune", "there is nothing to compare with", "name the folder of photos or the --split")
    if options.queries < 1:
        raise InputError("--queries", f"{options.queries} is less than 1", "use e.g. 100")
    try:
        _update(options)
    except KeyboardInterrupt:
        print(f"{options.out}: interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
    print(facts(PhotoIndex(options.out)))


def _update(options: Namespace) -> None:
    """Does what is asked for, if anything."""
    out, backend = options.out, options.backend or "faiss"
    adds = options.photos is not None or options.split is not None
    if adds or options.remove or options.distil or options.backend is not None:
        loaded = _run(options) if adds or options.distil else None
        chosen = margin = None
        if loaded is not None and not (out / MANIFEST).exists():
            if not adds:
                raise InputError("--distil", "there is no index yet", "name photos, or --split, too")
            chosen, margin = _chosen(loaded, options), _margin(loaded)
        with IndexWriter(out, loaded.record if loaded else None, margin) as writer:
            if loaded is not None and adds:
                _add(writer, loaded, *(chosen or _chosen(loaded, options)), options)
            writer.remove(options.remove)
            index = PhotoIndex(out)
            if loaded is not None and options.distil:
                head = distil(index, loaded)
                writer.distil(head.name, head.to_bytes(), photo_vectors(index, head))
                index = PhotoIndex(out)
            if index.vector_field is not None:
                open_first_stage(index, backend).sync(index)
    if options.measure:
        searcher = Searcher.open(out, options.run, backend=backend)
        if searcher.first is None:
            raise InputError("--measure", "this system has no first stage: all photos are matched", "leave it out")
        measured = measure_recall(searcher, own_queries(_run(options), options.queries), backend)
        with IndexWriter(out, None) as writer:
            writer.record(measured)


def _run(options: Namespace) -> LoadedModel:
    """The run of the command line, else that of the index."""
    if options.run is not None:
        return LoadedModel.load(options.run)
    if not (options.out / MANIFEST).exists():
        raise InputError("--run", "a new index needs one", "name the folder of a finished run, runs/...")
    return LoadedModel.load(Path(Manifest.read(options.out).model.run))


def _chosen(loaded: LoadedModel, options: Namespace) -> tuple[list[PhotoRecord], PhotoReader]:
    """The photos of the folder or split, and what reads them; a new index begins behind this: they may be missing."""
    if options.photos is not None:
        return folder_photos(options.photos), PhotoReader(loaded)
    return split_photos(loaded, options.split)


def _margin(loaded: LoadedModel) -> float | None:
    """The run's margin, or the usual one, with a line, where the run's sketches are not on this machine."""
    try:
        return loaded.sketch_margin()
    except InputError as error:
        note = f"drawings will have a margin of {DEFAULT_MARGIN}, which may not be that of the sketches of the run"
        print(f"fgsbir index: {note}: {error}", file=sys.stderr)
        return DEFAULT_MARGIN


def _add(
    writer: IndexWriter, loaded: LoadedModel, records: list[PhotoRecord], reader: PhotoReader, options: Namespace
) -> None:
    """Adds photos, and tells what became of them."""
    added = add_photos(writer, loaded, records, reader, options.precision)
    gone = sorted(set(writer.photos) - {record.id for record in records}) if options.prune else []
    writer.remove(gone)
    counts = {"added": added.new, "unchanged": added.unchanged, "left out": len(added.broken), "pruned": len(gone)}
    print(", ".join(f"{count:,} {what}" for what, count in counts.items() if count))
    if not writer.photos and added.broken:
        problem = f"none of {len(added.broken)} photos can be read, first: {added.broken[0]}"
        raise InputError(options.photos or options.split, problem, "replace them")


def facts(index: PhotoIndex) -> str:
    """What an index holds, for the terminal."""
    manifest, photos = index.manifest, len(index)
    vectors = index.vectors()
    row = sum(field.bytes for field in manifest.fields.values())
    lines = [
        f"{index.folder}: {photos:,} photos",
        f"  by       {manifest.model.system} ({manifest.model.experiment}), {manifest.model.run}",
        f"  stores   {row:,} bytes a photo: "
        + ", ".join(
            f"{name} {' x '.join(map(str, f.shape)) or 1} {f.dtype[1:]}" for name, f in manifest.fields.items()
        ),
        f"  vectors  {'none: all photos are matched' if vectors is None else f'of {vectors.shape[1]} numbers'}",
    ]
    if manifest.rows > photos:
        lines.append(
            f"  removed  {manifest.rows - photos:,} photos or old versions of photos, whose room is not given back"
        )
    if recall := manifest.recall:
        said = ", ".join(f"{share:.4f} at {d}" for d, share in _told(recall))
        lines.append(
            f"  recall   of the exhaustive top 10 by {recall.queries} sketches in {recall.photos:,} photos: {said}"
        )
    return "\n".join(lines)


def _told(recall: Recall) -> list[tuple[int, float]]:
    """A few points of the curve: the first depth of each share worth naming."""
    curve = list(zip(recall.depths, recall.shares, strict=True))
    wanted = (0.0, 0.9, 0.95, 0.99, 0.999, 1.0)
    first = [next((point for point in curve if point[1] >= share), None) for share in wanted]
    return [point for i, point in enumerate(first) if point is not None and point not in first[:i]]
