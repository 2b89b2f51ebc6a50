"""How fast all pairs are matched, against a plain loop over pairs in the same run.

    python -m benchmarks.matching [--pairs N] [--queries Q] [--threads T]

The pairs have the sizes of ChairV2's test split, 323 sketches by 100 photos (node counts read from the data where
FGSBIR_DATA has it, else drawn like them), d = 512. The loop is the structure of the authors' released code with the
slides' equations put in: one pair at a time, every candidate fusion computed, and for every candidate the set of the
nodes that it leaves, mixed by the one-hot choice. It is timed on some of the pairs. One training step of Proposed
is set against one of B-Siamese with the same backbone and batch: as in the paper recipe, with Inception-V3 at 299
pixels and d = 512, and as in the modern one, with EfficientNet-Lite0 at 192 and d = 128, both backbones learning.

`ratio_vs_loop` is for bfloat16 matching (`match_precision: bfloat16`), which the processor's bfloat16 units make
twice as fast; `ratio_vs_loop_float32` is for the default. `sgemm_share` is the share of this machine's float32
matrix rate that the float32 matcher reaches, counting only products it cannot do without. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import TripletLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.coattention import CoAttention, Gate
from fgsbir.models.hierarchy import NodeFusion, PairedHierarchy
from fgsbir.retrieval.distances import NodeEncoding
from fgsbir.runs.training import keep_freed_memory
from fgsbir.systems import BSiamese, Proposed, System
from fgsbir.systems.node_system import NodeSettings

DIM, HIDDEN = 512, 128
INCEPTION = {"name": "inception_v3", "level": 3}
LITE0 = {"name": "tf_efficientnet_lite0", "level": 5, "region_level": 3}


def node_counts() -> tuple[Tensor, Tensor, str]:
    """Strokes of the 323 test sketches, regions of the 100 test photos, and where the numbers come from."""
    from fgsbir.data.datasets import ChairV2

    try:
        data = ChairV2().load()
    except InputError:
        rng = np.random.default_rng(0)
        strokes = np.minimum(rng.gamma(6.5, 1.6, 323).round() + 1, 15).astype(np.int64)
        return torch.from_numpy(strokes), torch.full((100,), 16), "drawn like ChairV2's"
    strokes = np.array([len(record.sketch) for record in data.split_sketches("test")])
    return torch.from_numpy(strokes), torch.full((100,), 16), "ChairV2 test split"


def loop_attend(x: Tensor, other: Tensor, weights: Tensor, gate: torch.nn.Linear, update: torch.nn.Linear) -> Tensor:
    """One direction of the co-attention of one pair."""
    message = weights @ other
    opening = torch.sigmoid(gate(torch.cat([x, message], 1)))
    return F.relu(update(opening * (x + message))) + x


def loop_fuse(fusion: NodeFusion, nodes: Tensor) -> Tensor:
    """One fusion of one set of nodes: all candidates, and all remainders, mixed by a one-hot choice."""
    count = len(nodes)
    if count == 1:
        return nodes
    features = F.normalize(fusion.score(nodes), dim=1)
    first, second = torch.triu_indices(count, count, 1)
    logits = (features @ features.T * fusion.scale)[first, second]
    choice = F.one_hot(logits.argmax(), len(logits)).to(nodes)
    candidates = F.relu(fusion.fuse(torch.cat([nodes[first], nodes[second]], 1)))
    left = torch.ones(len(first), count, dtype=torch.bool)
    left[torch.arange(len(first)), first] = False
    left[torch.arange(len(first)), second] = False
    remainders = nodes.expand(len(first), -1, -1)[left].view(len(first), count - 2, nodes.shape[1])
    rest = torch.einsum("h,hnd->nd", choice, remainders)
    return torch.cat([rest, (choice @ candidates)[None]])


def loop_gate(gate: Gate | None) -> torch.nn.Linear:
    """The gate's layer as the slides have it, over node and message side by side."""
    assert gate is not None
    layer = torch.nn.Linear(2 * DIM, DIM)
    layer.load_state_dict(
        {"weight": torch.cat([gate.own.weight, gate.foreign.weight], 1).detach(), "bias": gate.own.bias.detach()}
    )
    return layer


def loop_distance(
    coattention: CoAttention, gates: tuple[torch.nn.Linear, torch.nn.Linear], fusion: NodeFusion, *nodes: Tensor
) -> Tensor:
    """Squared distance between the paired embeddings of one pair: sketch nodes, photo nodes."""
    sketch, photo = nodes
    while len(sketch) > 1 or len(photo) > 1:
        scores = coattention.sketch_projection(sketch) @ coattention.photo_projection(photo).T / math.sqrt(HIDDEN)
        sketch, photo = (
            loop_attend(sketch, photo, scores.softmax(1), gates[0], coattention.sketch_update),
            loop_attend(photo, sketch, scores.T.softmax(1), gates[1], coattention.photo_update),
        )
        sketch, photo = loop_fuse(fusion, sketch), loop_fuse(fusion, photo)
    return (F.normalize(sketch[0], dim=0) - F.normalize(photo[0], dim=0)).square().sum()


def encodings(counts: Tensor, seed: int) -> NodeEncoding:
    """Random rectified nodes, `(B, N, 512)`."""
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.randn(len(counts), int(counts.max()), DIM, generator=generator).relu()
    return NodeEncoding(nodes, counts, torch.zeros(len(counts), 0))


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """The shortest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def sgemm_rate() -> float:
    """Float32 multiply-adds of large matrices on this machine, in floating-point operations a second."""
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    a @ b
    return 2 * 2048**3 / seconds(lambda: a @ b, 5)


def operations(strokes: int, regions: int) -> float:
    """Floating-point operations of matrix products that one pair needs, at the least."""
    total = 0.0
    while strokes > 1 or regions > 1:
        fewer, both = min(strokes, regions), strokes + regions
        # Comparing twice, own part of the gate, update; the other part of the gate on the smaller side.
        total += 2 * DIM * (both * (2 * HIDDEN + 2 * DIM) + 2 * fewer * DIM)
        total += 2 * 2 * DIM * DIM * ((strokes > 1) + (regions > 1))  # one fusion a branch
        strokes, regions = max(strokes - 1, 1), max(regions - 1, 1)
    return total


def step_ratio(backbone: dict[str, Any], size: int, dim: int, hidden: int, batch: int = 16) -> float:
    """Time of a training step of Proposed over one of B-Siamese: same backbone and batch, paired triplet loss."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    low = torch.rand(batch, 16, 2) / 2
    boxes = torch.cat([low, low + 0.1 + torch.rand(batch, 16, 2) * 0.4], 2)
    strokes = torch.arange(16) < torch.randint(4, 16, (batch, 1))
    place = torch.arange(batch)
    data = PairBatch(
        SketchBatch(image, boxes, strokes, torch.zeros(batch, 0, 3), torch.zeros_like(place), place, place),
        PhotoBatch(image, boxes, torch.ones_like(strokes), place),
    )

    def step(system: System) -> float:
        system.train()
        optimizer = torch.optim.Adam(system.parameters(), 1e-4)

        def once() -> None:
            optimizer.zero_grad()
            encoded = system.encode_sketch(data.sketch), system.encode_photo(data.photo)
            torch.autograd.backward(system.loss(system, *encoded, data.photo.position))
            optimizer.step()

        once()
        return seconds(once, 3)

    loss = TripletLoss(0.2)
    proposed = step(Proposed(Backbone(**backbone), NodeSettings(dim, hidden), loss=loss))
    return proposed / step(BSiamese(Backbone(**backbone), loss=loss))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="pairs for the plain loop (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=323, help="sketches for ours (default: all, %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()

    strokes, regions, origin = node_counts()
    strokes = strokes[: options.queries]
    sketches, photos = encodings(strokes, 1), encodings(regions, 2)
    torch.manual_seed(0)
    system = Proposed(Backbone("test_efficientnet", level=1), NodeSettings(DIM, HIDDEN)).eval()
    assert isinstance(system.matcher, PairedHierarchy)
    fusion, coattention = system.matcher.sketch_fusion, system.matcher.coattention
    assert coattention is not None
    gates = loop_gate(coattention.sketch_gate), loop_gate(coattention.photo_gate)
    total = len(strokes) * len(regions)
    chosen = [(int(p) // len(regions), int(p) % len(regions)) for p in torch.randperm(total)[: options.pairs]]

    def ours(precision: Literal["float32", "bfloat16"]) -> tuple[float, Tensor]:
        system.match_precision = precision
        system.match_all(NodeEncoding(*(f[:8] for f in sketches)), photos)  # warm up
        start = time.perf_counter()
        distances = system.match_all(sketches, photos)
        return (time.perf_counter() - start) / total, distances

    def loop() -> Tensor:
        pairs = [(sketches.nodes[q, : strokes[q]], photos.nodes[g]) for q, g in chosen]
        return torch.stack([loop_distance(coattention, gates, fusion, *pair) for pair in pairs])

    with torch.inference_mode():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        (single, exact), (half, rough) = ours("float32"), ours("bfloat16")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        looped = seconds(loop, 3) / len(chosen)
        here = tuple(torch.tensor(chosen).T)
        worst = float((loop() - exact[here]).abs().max())

    work = sum(operations(int(s), int(r)) for s in strokes for r in regions) / total
    figures = {
        "ratio_vs_loop": round(looped / half, 2),
        "ratio_vs_loop_float32": round(looped / single, 2),
        "pairs_per_second": round(1 / half, 1),
        "pairs_per_second_float32": round(1 / single, 1),
        "peak_mib": round(peak / 1024, 1),
        "sgemm_share": round(work / single / sgemm_rate(), 3),
        "loop_ms_per_pair": round(looped * 1e3, 3),
        "largest_difference_float32": worst,
        "correlation_bfloat16": round(float(torch.corrcoef(torch.stack([exact.flatten(), rough.flatten()]))[0, 1]), 5),
        "step_ratio_vs_b_siamese": round(step_ratio(INCEPTION, 299, DIM, HIDDEN), 3),
        "step_ratio_vs_b_siamese_lite0": round(step_ratio(LITE0, 192, 128, 64), 3),
        "threads": options.threads,
        "node_counts": origin,
    }
    for name, value in figures.items():
        print(f"{name:>26}  {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
