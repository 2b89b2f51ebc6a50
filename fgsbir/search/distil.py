"""Vectors for systems that have none: a linear head, distilled from the system's own distances."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from fgsbir.errors import InputError
from fgsbir.files import read_bytes
from fgsbir.retrieval.distances import concat
from fgsbir.search.index import DISTILLED, REBUILD, Field, PhotoIndex, spread
from fgsbir.search.model import LoadedModel, sketch_batch
from fgsbir.sketch.strokes import FloatArray

SKETCHES, PHOTOS = 300, 200
"""Most sketches and photos to learn from; all pairs of them are matched."""
MIN_PHOTOS = 20
"""Fewest photos to learn from."""
DIM = 64
"""Length of a distilled vector."""
STEPS = 600
"""Training steps."""
_BLOCK = 8192  # photos encoded at a time


class Head(NamedTuple):
    """Two linear maps from pooled nodes to vectors, for sketches and for photos.

    Attributes:
        name: name of the index's field that holds the vectors of the photos; contains a hash of the weights.
        sketch_weight: `(E, 2 d)`, applied to the mean and the maximum of the nodes side by side.
        sketch_bias: `(E,)`.
        photo_weight: `(E, 2 d)`.
        photo_bias: `(E,)`.
    """

    name: str
    sketch_weight: FloatArray
    sketch_bias: FloatArray
    photo_weight: FloatArray
    photo_bias: FloatArray

    def sketch(self, encoded: Any) -> FloatArray:
        """The unit vector of one sketch, `(E,)`."""
        pooled = pool(encoded.nodes.cpu().numpy(), encoded.counts.cpu().numpy())
        vector: FloatArray = _unit(pooled @ self.sketch_weight.T + self.sketch_bias)[0]
        return vector

    def photos(self, nodes: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> FloatArray:
        """Unit vectors of photos, `(B, E)`."""
        return _unit(pool(nodes, counts) @ self.photo_weight.T + self.photo_bias)

    def to_bytes(self) -> bytes:
        """The head as safetensors."""
        return save({name: value for name, value in self._asdict().items() if name != "name"})


def read_head(folder: Path, fields: Mapping[str, Field]) -> Head | None:
    """The head of an index; None if it has none.

    Raises:
        InputError: if its file is missing or damaged.
    """
    name = next((name for name in fields if name.startswith(DISTILLED)), None)
    if name is None:
        return None
    path = folder / f"{name}.safetensors"
    try:
        return Head(name, **load(read_bytes(path)))
    except (SafetensorError, TypeError) as error:
        raise InputError(path, f"damaged ({error})", REBUILD) from None


def pool(nodes: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> FloatArray:
    """Mean and maximum of the first `counts` nodes side by side, `(B, 2 d)`; nodes `(B, N, d)` are not negative."""
    real = (np.arange(nodes.shape[1]) < counts[:, None])[..., None]
    kept = np.where(real, nodes, 0).astype(np.float32)
    return np.concatenate([kept.sum(1) / counts[:, None], kept.max(1)], 1, dtype=np.float32)


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return unit


def distil(index: PhotoIndex, model: LoadedModel) -> Head:
    """Learns a head that orders photos as the system's distances do.

    Matches training sketches of the model with photos of the index, all pairs; no sketch needs to show one of the
    photos. The head minimises, for each sketch, the divergence between two softmax distributions over the photos: one
    of the standardised negative distances and one of the head's cosines.

    Args:
        index: index with nodes and without vectors of its own.
        model: model that made it.

    Raises:
        InputError: if the index has vectors or no nodes, or too few photos, or the model's dataset is missing.
    """
    fields = index.manifest.fields
    if index.vector_field not in (None, *(name for name in fields if name.startswith(DISTILLED))):
        raise InputError("--distil", f"{model.system.name} has vectors of its own in this run", "leave it out")
    if not {"nodes", "counts"} <= fields.keys():
        raise InputError("--distil", f"{model.system.name} has no nodes to make vectors of", "use another system")
    if len(index) < MIN_PHOTOS:
        raise InputError("--distil", f"{len(index)} photos are too few", "leave it out: all of them are matched")
    records = model.data.records.split_sketches("train")
    if not records:
        raise InputError("--distil", "the run's dataset has no training sketches", "use another run")
    sketches = [records[i].sketch for i in spread(len(records), SKETCHES)]
    rows = index.rows()[spread(len(index), PHOTOS)]
    system = model.system
    with torch.no_grad():
        queries = concat([system.encode_batch(sketch_batch(model.data.rendering, s, system.device)) for s in sketches])
        gallery = type(queries)(*(torch.from_numpy(field).to(system.device) for field in index.encodings(rows)))
        distances = system.match_all(queries, gallery).cpu()
    q, g = (torch.from_numpy(pool(e.nodes.cpu().numpy(), e.counts.cpu().numpy())) for e in (queries, gallery))
    return learn(q, g, distances)


def learn(sketches: Tensor, photos: Tensor, distances: Tensor) -> Head:
    """A head from pooled nodes `(S, 2 d)` and `(P, 2 d)` and the system's distances `(S, P)`."""
    scaled = [((x - x.mean(0)) / (x.std(0) + 1e-6), x.mean(0), x.std(0) + 1e-6) for x in (sketches, photos)]
    nearness = -(distances - distances.mean(1, keepdim=True)) / (distances.std(1, keepdim=True) + 1e-6)
    target = (2 * nearness).log_softmax(1)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        linear, sharpness = nn.Linear(sketches.shape[1], DIM), nn.Parameter(torch.tensor(2.0))
        optimizer = torch.optim.AdamW([*linear.parameters(), sharpness], 2e-3, weight_decay=1e-2)
        for _ in range(STEPS):
            s, p = (F.normalize(linear(F.dropout(x, 0.2)), dim=1) for x, _, _ in scaled)
            guess = (sharpness.exp() * s @ p.T).log_softmax(1)
            loss = F.kl_div(guess, target, log_target=True, reduction="batchmean")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    weight, bias = linear.weight.detach(), linear.bias.detach()
    # The head takes nodes as they are, so the standardisation becomes part of its maps.
    maps = [f for _, mean, std in scaled for f in (weight / std, bias - weight @ (mean / std))]
    head = Head("", *(np.ascontiguousarray(f.numpy()) for f in maps))
    return head._replace(name=DISTILLED + hashlib.sha256(head.to_bytes()).hexdigest()[:8])


def photo_vectors(index: PhotoIndex, head: Head) -> Iterator[FloatArray]:
    """The vectors of all rows of an index, block by block, `(B, E)`."""
    for start in range(0, index.manifest.rows, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, index.manifest.rows))
        yield head.photos(index.field("nodes", rows), index.field("counts", rows))
