"""Distances of every sketch to every photo, in chunks that fit a memory limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fgsbir.progress import progress


class VectorEncoding(NamedTuple):
    """One vector an image.

    Attributes:
        vector: `(B, D)`.
    """

    vector: Tensor


class NodeEncoding(NamedTuple):
    """The nodes of each image, and its global embedding.

    Attributes:
        nodes: `(B, N, d)`, real nodes first.
        counts: `(B,)`, number of real nodes, at least 1.
        vector: `(B, D)`; D = 0 for a system without one.
    """

    nodes: Tensor
    counts: Tensor
    vector: Tensor


Encoding = TypeVar("Encoding", VectorEncoding, NodeEncoding)
"""Any named tuple of tensors whose first axis counts images."""


def select(encoding: Encoding, index: Tensor) -> Encoding:
    """The encodings of the images at `index (P,)`."""
    return type(encoding)(*(field[index] for field in encoding))


def concat(encodings: Sequence[Any]) -> Any:
    """Batches of encodings as one. Node axes of unequal length are padded to the longest."""
    fields = []
    for column in zip(*encodings, strict=True):
        parts = list(column)
        if parts[0].ndim == 3:
            longest = max(part.shape[1] for part in parts)
            parts = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
        fields.append(torch.cat(parts))
    return type(encodings[0])(*fields)


def squared_euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of each row of `a (Q, D)` to each row of `b (G, D)`, `(Q, G)` float32, never negative.

    The expanded form loses digits where vectors nearly agree, so equal vectors get the same distance to
    any third only up to rounding; ranks count such ties against the query.
    """
    a, b = a.float(), b.float()
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)


class Distances(NamedTuple):
    """One way to compare encodings, as losses ask for it.

    Attributes:
        match: distances of P sketches to P photos, row by row, `(P,)`.
        match_all: distances of Q sketches to G photos, `(Q, G)`.
    """

    match: Callable[[Any, Any], Tensor]
    match_all: Callable[[Any, Any], Tensor]


class Hit(NamedTuple):
    """A photo that was found.

    Attributes:
        photo: its name.
        distance: its distance from the sketch; smaller is nearer.
    """

    photo: str
    distance: float


def nearest(distances: Tensor, names: Sequence[str], top: int | None = None) -> list[Hit]:
    """The nearest photos, nearest first; equally near ones in their order.

    Args:
        distances: distances of G photos from a sketch, `(G,)`, compared in float32.
        names: the names of the photos.
        top: number of photos; all by default.

    Raises:
        ValueError: if a distance is not finite.

    Example:
        >>> nearest(torch.tensor([2.0, 0.5, 1.0]), ["a", "b", "c"], top=2)
        [Hit(photo='b', distance=0.5), Hit(photo='c', distance=1.0)]
    """
    distances = distances.float()
    if not distances.isfinite().all():
        raise ValueError("a distance is not finite")
    order = distances.argsort(stable=True)[:top].tolist()
    return [Hit(names[i], float(distances[i])) for i in order]


def elementwise_distance(sketches: Any, photos: Any) -> Tensor:
    """Squared Euclidean distances between the `vector (P, D)` of encodings, row by row, `(P,)` float32."""
    apart: Tensor = sketches.vector.float() - photos.vector.float()
    return apart.square().sum(1)


def pairwise_distance(sketches: Any, photos: Any) -> Tensor:
    """Squared Euclidean distances between the `vector (Q, D)` and `(G, D)` of encodings, `(Q, G)` float32."""
    return squared_euclidean(sketches.vector, photos.vector)


VECTOR_DISTANCES = Distances(elementwise_distance, pairwise_distance)
"""Distances between the vectors of encodings."""


def paired_distances(
    match: Callable[[NodeEncoding, NodeEncoding], Tensor],
    sketches: NodeEncoding,
    photos: NodeEncoding,
    chunk: int,
    shown: bool = False,
) -> Tensor:
    """Distance of every sketch to every photo, `(Q, G)` float32, for a system that matches pairs.

    Pairs are sorted by their node counts first, so that the pairs of a chunk need little padding.

    Args:
        match: distances `(P,)` of P sketches to P photos, row by row.
        sketches: Q encodings.
        photos: G encodings.
        chunk: pairs at a time, P; see `pairs_in_memory`.
        shown: whether to show how far it is.
    """
    queries, gallery = len(sketches.counts), len(photos.counts)
    base = int(photos.counts.max()) + 1
    work = (sketches.counts[:, None] * base + photos.counts[None]).flatten()
    order = work.argsort(descending=True, stable=True)
    starts = range(0, queries * gallery, chunk)
    parts = []
    for start in progress(starts, "Matching", unit="chunk") if shown else starts:
        pairs = order[start : start + chunk]
        parts.append(match(select(sketches, pairs // gallery), select(photos, pairs % gallery)).float())
    flat = torch.cat(parts)
    return flat[order.argsort()].view(queries, gallery)


def pairs_in_memory(mebibytes: int, nodes: int, dim: int) -> int:
    """How many pairs of `nodes` nodes in all, of size `dim`, may be matched at once within a limit.

    One level of matching holds about a dozen arrays of the nodes' size at once.
    """
    return max(1, mebibytes * 2**20 // (12 * 4 * nodes * dim))
