"""Latency of a query among 100, 10,000 and 1,000,000 photos, and recall of two stages against an exhaustive ranking.

    python -m benchmarks.search INDEX [--sizes 100,10000] [--depths 50,100,200,500] [--folder DIR]

INDEX is an index of real photos, made by `fgsbir index`; its run and the run's dataset must be present. Without INDEX
nothing is measured. A size beyond the number of photos repeats them with Gaussian noise: `--noise` times each number's
standard deviation over the photos, after which vectors are scaled to their old length and nodes rectified. Indexes are
written below DIR and removed at the end; a million photos take 9 GB with float16 nodes of 16 x 128 and vectors of 1,280
numbers. Queries are sketches of the run's validation split.

`p50` and `p95` are milliseconds a query of `fgsbir search`, from the sketch to the ten nearest photos, after a warm-up.
`recall` is the share of the exhaustive top 10 that is found, by depth R, measured with some of the queries and up to
10,000 photos. `maxsim` is the same with a stage in between: it orders 1,000 candidates by the late interaction of nodes
(for each sketch node the nearest photo node), mixed with the distance of the vectors as the system mixes them, and
passes on R. `lists` is the share of the R nearest vectors that inverted lists find, by the number of lists searched.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from fgsbir.search.first_stage import FLAT_LIMIT, Faiss, open_first_stage
from fgsbir.search.index import BOXES, IndexWriter, NewPhoto, PhotoIndex
from fgsbir.search.measure import TOP, exhaustive_top, own_queries
from fgsbir.search.model import LoadedModel
from fgsbir.search.searcher import Searcher
from fgsbir.sketch.strokes import IntArray, VectorSketch

BLOCK = 10_000
BETWEEN = 1000
"""Number of candidates that the stage in between orders."""


def repeated(real: PhotoIndex, photos: int, noise: float) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The fields of this many photos, block by block: the real ones, then the same with noise."""
    rows = real.rows()
    fields = {name: real.field(name, rows) for name in real.manifest.fields if name != BOXES}
    boxes = np.full((len(rows), *real.manifest.fields[BOXES].shape), np.nan, np.float32)
    for i, row in enumerate(rows):
        found = real.boxes(int(row))
        boxes[i, : len(found)] = found
    rng = np.random.default_rng(0)
    spread = {name: fields[name].std(0, dtype=np.float32) for name in ("nodes", "vector")}
    length = np.linalg.norm(fields["vector"], axis=1)
    for start in range(0, photos, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, photos))
        base, again = numbers % len(rows), numbers >= len(rows)
        block = {name: field[base] for name, field in fields.items()}
        for name, sigma in spread.items():
            change = rng.standard_normal(block[name].shape, dtype=np.float32) * (noise * sigma)
            block[name] = block[name] + change * again.reshape(-1, *[1] * sigma.ndim)
        block["nodes"] = block["nodes"].clip(0).astype(np.float16)
        block["vector"] *= (length[base] / np.linalg.norm(block["vector"], axis=1))[:, None]
        yield {**block, BOXES: boxes[base]}


def write_index(real: PhotoIndex, folder: Path, photos: int, noise: float) -> float:
    """Writes an index of this many photos with its first stage; the seconds it took."""
    began, done = time.perf_counter(), 0
    with IndexWriter(folder, real.manifest.model, real.manifest.margin) as writer:
        for fields in repeated(real, photos, noise):
            count = len(fields[BOXES])
            writer.add([NewPhoto(f"photo-{done + i}", "", b"") for i in range(count)], fields)
            done += count
        index = PhotoIndex(folder)
        open_first_stage(index, "faiss").sync(index)
    return time.perf_counter() - began


def late_interaction(searcher: Searcher, encoded: Any, rows: IntArray) -> npt.NDArray[np.float32]:
    """Distances by the nearest photo node of each sketch node, mixed with the distances of the vectors, `(R,)`."""
    nodes, counts, vectors = (
        torch.from_numpy(searcher.index.field(name, rows)) for name in ("nodes", "counts", "vector")
    )
    sketch = F.normalize(encoded.nodes[0, : int(encoded.counts[0])], dim=1)
    cosine = torch.einsum("sd,pnd->psn", sketch, F.normalize(nodes, dim=2))
    missing = torch.arange(nodes.shape[1]) >= counts[:, None]
    nearest = cosine.masked_fill(missing[:, None], -1).amax(2).mean(1)
    whole = (vectors - encoded.vector).square().sum(1)
    weight = searcher.index.manifest.model.global_weight or 0.0
    mixed: npt.NDArray[np.float32] = ((1 - weight) * (2 - 2 * nearest) + weight * whole).numpy()
    return mixed


def recalls(searcher: Searcher, sketches: Sequence[VectorSketch], depths: Sequence[int]) -> dict[str, Any]:
    """Shares of the exhaustive top 10 that the stages find, and the time of the stage in between."""
    took = []
    plain, between = np.zeros(len(depths)), np.zeros(len(depths))
    for sketch in sketches:
        encoded = searcher.encode(sketch)
        best = set(exhaustive_top(searcher, encoded).tolist())
        near = searcher.nearest(encoded, max(BETWEEN, *depths))
        began = time.perf_counter()
        with torch.inference_mode():
            ordered = near[:BETWEEN][late_interaction(searcher, encoded, near[:BETWEEN]).argsort(kind="stable")]
        took.append(time.perf_counter() - began)
        # Matching ranks every candidate as the exhaustive ranking does, so only missing candidates are lost.
        plain += [len(best & set(near[:depth].tolist())) / TOP for depth in depths]
        between += [len(best & set(ordered[:depth].tolist())) / TOP for depth in depths]
    return {
        "recall": dict(zip(depths, (plain / len(sketches)).round(4).tolist(), strict=True)),
        "maxsim": dict(zip(depths, (between / len(sketches)).round(4).tolist(), strict=True)),
        "maxsim_ms": round(1e3 * float(np.median(took)), 2),
    }


def list_recall(
    searcher: Searcher, sketches: Sequence[VectorSketch], depth: int, probes: Sequence[int]
) -> dict[int, Any]:
    """Share of the nearest vectors that inverted lists find, and milliseconds, by the number of lists searched."""
    first, vectors = searcher.first, searcher.index.vectors()
    assert isinstance(first, Faiss)
    assert vectors is not None
    queries = [searcher.encode(sketch).vector[0].cpu().numpy() for sketch in sketches]
    exact = [np.empty(0, np.float32)] * len(queries)
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK])
        squares = np.einsum("nd,nd->n", block, block)
        exact = [np.concatenate([e, squares - 2 * block @ q]) for e, q in zip(exact, queries, strict=True)]
    best = [set(e.argpartition(depth)[:depth].tolist()) for e in exact]
    out: dict[int, Any] = {}
    usual = first.probes
    for count in probes:
        first.probes = count
        began = time.perf_counter()
        found = [set(first.nearest(query, depth).tolist()) for query in queries]
        took = (time.perf_counter() - began) / len(queries)
        share = float(np.mean([len(a & b) / depth for a, b in zip(best, found, strict=True)]))
        out[count] = {"recall": round(share, 4), "ms": round(1e3 * took, 2)}
    first.probes = usual
    return out


def measure(
    real: PhotoIndex, folder: Path, photos: int, options: argparse.Namespace, model: LoadedModel
) -> dict[str, Any]:
    """All measurements of one size."""
    seconds = write_index(real, folder, photos, options.noise)
    began = time.perf_counter()
    searcher = Searcher.open(folder, depth=options.depth)
    opened = time.perf_counter() - began
    sketches = own_queries(model, options.queries)
    for sketch in sketches[:3]:
        searcher.search(sketch)  # warm up
    found = [searcher.search(sketch) for sketch in sketches]
    times = np.array([[f.encode_ms, f.first_ms, f.match_ms] for f in found])
    total = times.sum(1)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    measured: dict[str, Any] = {
        "photos": photos,
        "R": min(options.depth, photos),
        "p50": round(float(np.percentile(total, 50)), 1),
        "p95": round(float(np.percentile(total, 95)), 1),
        "encode": round(float(np.median(times[:, 0])), 1),
        "first": round(float(np.median(times[:, 1])), 1),
        "match": round(float(np.median(times[:, 2])), 1),
        "written_s": round(seconds, 1),
        "opened_s": round(opened, 1),
        "bytes_a_photo": round(size / photos),
    }
    if TOP < photos <= 10_000:
        measured |= recalls(searcher, sketches[: options.exhaustive], [d for d in options.depths if d <= photos])
    if photos > FLAT_LIMIT:
        measured["lists"] = list_recall(searcher, sketches[:10], options.depth, (8, 16, 32, 64))
    return measured


def whole_numbers(text: str) -> list[int]:
    """A list such as 100,10000."""
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", metavar="INDEX", type=Path, nargs="?", help="folder of an index of real photos")
    parser.add_argument(
        "--sizes", type=whole_numbers, default=[100, 10_000], help="numbers of photos; default: 100,10000"
    )
    parser.add_argument("--depth", type=int, default=100, help="number of candidates to match, R; default: %(default)s")
    parser.add_argument(
        "--depths", type=whole_numbers, default=[20, 50, 100, 200, 500, 1000], help="depths of the recalls"
    )
    parser.add_argument("--queries", type=int, default=100, help="number of queries to time; default: %(default)s")
    parser.add_argument(
        "--exhaustive", type=int, default=20, help="number of them to rank exhaustively; default: %(default)s"
    )
    parser.add_argument(
        "--noise", type=float, default=0.5, help="relative noise of repeated photos; default: %(default)s"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder for the indexes; default: the system's folder for temporary files"
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch; default: %(default)s"
    )
    options = parser.parse_args()
    if options.index is None:
        print("search: no index of real photos is given, so nothing is measured; see benchmarks/README.md")
        print(json.dumps({"sizes": []}))
        return
    torch.set_num_threads(options.threads)
    real = PhotoIndex(options.index)
    model = LoadedModel.load(Path(real.manifest.model.run))
    sizes = []
    for photos in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="fgsbir-search-", dir=options.folder))
        try:
            sizes.append(measure(real, folder, photos, options, model))
        finally:
            shutil.rmtree(folder)
        for name, value in sizes[-1].items():
            print(f"{name:>14}  {value}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"sizes": sizes, "real_photos": len(real), "peak_mib": round(peak), "threads": options.threads}))


if __name__ == "__main__":
    main()
