"""`fgsbir index`: encodes photos once, for `fgsbir search` and `fgsbir serve`."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from fgsbir.commands.parser import CommandParser
from fgsbir.data.reading import DEFAULT_MARGIN, split_folder, suffix_counts
from fgsbir.data.records import PhotoRecord
from fgsbir.errors import InputError
from fgsbir.images import PHOTO_HELP
from fgsbir.search.build import add_photos, split_photos
from fgsbir.search.distil import distil, photo_vectors
from fgsbir.search.first_stage import BACKEND_HELP, open_first_stage
from fgsbir.search.index import MANIFEST, IndexWriter, Manifest, PhotoIndex, Recall
from fgsbir.search.measure import measure_recall, own_queries
from fgsbir.search.model import LoadedModel, PhotoReader
from fgsbir.search.searcher import Searcher


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: its options, without its name.

    Raises:
        InputError: if options, photos, run or index are wrong.
    """
    parser = CommandParser(
        "fgsbir index",
        "Encodes photos for fgsbir search and fgsbir serve. An existing index takes in new and changed photos; an "
        "interrupted build is resumed. Without PHOTOS, describes the index.",
    )
    photos_help = f"folder of photos, searched at any depth: {PHOTO_HELP}"
    parser.add_argument("photos", metavar="PHOTOS", type=Path, nargs="?", help=photos_help)
    parser.add_argument("--out", type=Path, required=True, metavar="INDEX", help="folder of the index")
    parser.add_argument(
        "--run", type=Path, help="folder of a finished run, runs/...; default: the one that the index names"
    )
    parser.add_argument("--split", help="split of the run's dataset whose photos are indexed, in place of PHOTOS")
    parser.add_argument("--remove", nargs="+", metavar="ID", default=[], help="photos to remove")
    parser.add_argument("--prune", action="store_true", help="remove photos that PHOTOS or the split does not contain")
    parser.add_argument("--distil", action="store_true", help="learn vectors for a system that has none")
    parser.add_argument("--measure", action="store_true", help="measure the recall of the first stage")
    parser.add_argument(
        "--queries", type=int, default=100, help="number of sketches to measure with; default: %(default)s"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="precision of nodes in a new index; float16 halves its size and rounds distances; default: %(default)s",
    )
    parser.add_argument("--backend", help=BACKEND_HELP)
    options = parser.parse_args(argv)
    if options.photos is not None and options.split is not None:
        raise InputError("fgsbir index", "PHOTOS and --split are both given", "give one of them")
    if options.prune and options.photos is None and options.split is None:
        raise InputError("--prune", "there is nothing to compare with", "give the folder of photos, or --split")
    if options.queries < 1:
        raise InputError("--queries", f"{options.queries} is less than 1", "use e.g. 100")
    try:
        _update(options)
        if options.measure:
            _measure(options)
    except KeyboardInterrupt:
        print(f"{options.out}: interrupted; the same command resumes it", file=sys.stderr)
        raise SystemExit(130) from None
    print(_description(PhotoIndex(options.out)))


def _update(options: Namespace) -> None:
    """Adds and removes photos, distils vectors and updates the first stage, as the options ask for."""
    out, adds = options.out, options.photos is not None or options.split is not None
    if not (adds or options.remove or options.distil or options.backend is not None):
        return
    model = photos = margin = None
    if adds or options.distil:
        model, is_new = _load(options), not (out / MANIFEST).exists()
        if not is_new:
            Manifest.read(out).model.require_same(model.record, out)
        elif not adds:
            raise InputError("--distil", "there is no index yet", "give photos, or --split, too")
        photos = _photos(model, options) if adds else None  # if they are missing, no new index is left behind
        margin = _margin(model) if is_new else None
    with IndexWriter(out, model.record if model else None, margin) as writer:
        if model and photos:
            _add(writer, model, *photos, options)
        writer.remove(options.remove)
        index = PhotoIndex(out)
        if model and options.distil:
            head = distil(index, model)
            writer.distil(head.name, head.to_bytes(), photo_vectors(index, head))
            index = PhotoIndex(out)
        if index.vector_field is not None:
            open_first_stage(index, options.backend or "faiss").sync(index)


def _measure(options: Namespace) -> None:
    """Measures the recall of the first stage and stores it in the index."""
    backend = options.backend or "faiss"
    searcher = Searcher.open(options.out, options.run, backend=backend)
    if searcher.first is None:
        raise InputError("--measure", "this system has no first stage: all photos are matched", "leave it out")
    recall = measure_recall(searcher, own_queries(searcher.model, options.queries), backend)
    with IndexWriter(options.out, None) as writer:
        writer.record_recall(recall)


def _load(options: Namespace) -> LoadedModel:
    """The model of --run, else of the run that made the index."""
    if options.run is not None:
        return LoadedModel.load(options.run)
    if not (options.out / MANIFEST).exists():
        raise InputError("--run", "a new index needs one", "give the folder of a finished run, runs/...")
    return LoadedModel.load(Path(Manifest.read(options.out).model.run))


def _photos(model: LoadedModel, options: Namespace) -> tuple[list[PhotoRecord], PhotoReader]:
    """The photos of the folder or split, and their reader."""
    if options.photos is not None:
        photos, others = split_folder(options.photos)
        if others:
            first = ", ".join(path.relative_to(options.photos).as_posix() for path in others[:3])
            print(f"passed over, not of a photo format: {suffix_counts(others)}; first {first}", file=sys.stderr)
        return photos, PhotoReader(model)
    return split_photos(model, options.split)


def _margin(model: LoadedModel) -> float | None:
    """The margin of the run's sketches; the default one, with a warning, if they are not on this machine."""
    try:
        return model.sketch_margin()
    except InputError as error:
        note = f"sketches will be searched with a margin of {DEFAULT_MARGIN}, which may differ from the run's"
        print(f"fgsbir index: {note}: {error}", file=sys.stderr)
        return DEFAULT_MARGIN


def _add(
    writer: IndexWriter, model: LoadedModel, records: list[PhotoRecord], reader: PhotoReader, options: Namespace
) -> None:
    """Adds photos, removes those that are gone if asked for, and prints the counts."""
    added = add_photos(writer, model, records, reader, options.precision)
    gone = sorted(set(writer.photos) - {record.id for record in records}) if options.prune else []
    writer.remove(gone)
    counts = {"added": added.new, "unchanged": added.unchanged, "left out": len(added.broken), "pruned": len(gone)}
    print(", ".join(f"{count:,} {what}" for what, count in counts.items() if count))
    if not writer.photos and added.broken:
        problem = f"none of {len(added.broken)} photos can be read, first: {added.broken[0]}"
        raise InputError(options.photos or options.split, problem, "replace them")


def _description(index: PhotoIndex) -> str:
    """What an index holds, for the terminal."""
    manifest, vectors = index.manifest, index.vectors()
    fields = (f"{name} {' x '.join(map(str, f.shape)) or 1} {f.dtype[1:]}" for name, f in manifest.fields.items())
    row_bytes = sum(field.row_bytes for field in manifest.fields.values())
    lines = [
        f"{index.folder}: {len(index):,} photos",
        f"  model    {manifest.model.system} ({manifest.model.experiment}), {manifest.model.run}",
        f"  stores   {row_bytes:,} bytes a photo: {', '.join(fields)}",
        f"  vectors  {'none: all photos are matched' if vectors is None else f'{vectors.shape[1]} numbers a photo'}",
    ]
    if removed := manifest.rows - len(index):
        lines.append(f"  removed  {removed:,} removed or replaced photos, whose disk space is not reclaimed")
    if recall := manifest.recall:
        shares = ", ".join(f"{share:.4f} at {depth}" for depth, share in _milestones(recall))
        source = f"exhaustive top 10 by {recall.queries} sketches in {recall.photos:,} photos"
        lines.append(f"  recall   of the {source}: {shares}")
    return "\n".join(lines)


def _milestones(recall: Recall) -> list[tuple[int, float]]:
    """A few points of the curve: the smallest depth, and the first that reaches 0.9, 0.95, 0.99, 0.999 and 1."""
    curve = list(zip(recall.depths, recall.shares, strict=True))
    goals = (0.0, 0.9, 0.95, 0.99, 0.999, 1.0)
    points = [next((point for point in curve if point[1] >= goal), None) for goal in goals]
    return list(dict.fromkeys(point for point in points if point is not None))
