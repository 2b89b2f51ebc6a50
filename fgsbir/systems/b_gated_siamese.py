"""B-Gated-Siamese."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.losses import PairLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.matching_gate import MatchingGate
from fgsbir.retrieval.distances import pairs_in_memory
from fgsbir.systems.base import Optimisation
from fgsbir.systems.siamese import SiameseSystem


class MapEncoding(NamedTuple):
    """A map an image, and the summaries of its rows.

    Attributes:
        maps: `(B, C, H, W)`.
        summaries: `(B, C, H)`.
    """

    maps: Tensor
    summaries: Tensor


class BGatedSiamese(SiameseSystem):
    """One network for sketches and photos, and a matching gate between the two maps (Sain et al. 2020, slide 10).

    The gate follows Varior et al. (2016), see `MatchingGate`; the vector of an image depends on its partner.

    Args:
        backbone: network for sketches and photos.
        columns: columns that the gate's filter spans; the width of the backbone's maps, 17 for Inception-V3 at 299
            pixels.
        dim: channels to which maps are projected before the gate; `None` for the backbone's own. The filter has
            `dim x dim x columns` weights, and matching takes time and memory in proportion to `dim`.
        spread: initial width of the gate's Gaussians.
        pool: how gated maps become one vector.
        match_memory: memory limit for matching all pairs, in MiB. What does not fit is matched in parts, and training
            recomputes their activations for the gradient.
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.

    Raises:
        InputError: see `MatchingGate`.

    Deviations:
        No code of it was released. Where the gate stands, and that its maps are then pooled, is our reading. `dim` is
        ours.
    """

    name = "B-Gated-Siamese"
    paper = "Varior et al., ECCV 2016"

    def __init__(
        self,
        backbone: Backbone,
        columns: int = 17,
        dim: int | None = None,
        spread: float = 4.0,
        pool: Literal["max", "mean"] = "mean",
        match_memory: int = 256,
        loss: PairLoss | None = None,
        optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(loss, optimisation)
        self.backbone = backbone
        self.project = nn.Conv2d(backbone.channels, dim, 1) if dim else nn.Identity()
        self.gate = MatchingGate(dim or backbone.channels, columns, spread, pool)
        self.match_memory = match_memory

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> MapEncoding:
        """Maps and the summaries of their rows."""
        maps = self.project(self.backbone(batch.image))
        return MapEncoding(maps.float(), self.gate.summarise(maps).float())

    def match(self, sketches: MapEncoding, photos: MapEncoding) -> Tensor:
        """Squared Euclidean distances between the gated vectors, `(P,)`."""
        sketch, photo = self.gate(sketches.maps, photos.maps, sketches.summaries, photos.summaries)
        return _squared_distance(sketch, photo)

    def match_all(self, sketches: MapEncoding, photos: MapEncoding) -> Tensor:
        """Squared Euclidean distances between the gated vectors, `(Q, G)`."""
        channels, height, width = photos.maps.shape[1:]
        cells = height if self.gate.pool == "mean" else height * width
        limit = pairs_in_memory(self.match_memory, cells, channels)
        gallery = _parts(photos, limit)
        queries = _parts(sketches, max(1, limit // len(photos.maps)))
        if self.training and len(queries) * len(gallery) > 1:
            rows = [[checkpoint(self._block, q, g, use_reentrant=False) for g in gallery] for q in queries]
        else:
            rows = [[self._block(q, g) for g in gallery] for q in queries]
        return torch.cat([torch.cat(row, 1) for row in rows])

    def _block(self, sketches: MapEncoding, photos: MapEncoding) -> Tensor:
        sketch, photo = self.gate.all_pairs(sketches.maps, photos.maps, sketches.summaries, photos.summaries)
        return _squared_distance(sketch, photo)


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(-1)


def _parts(encoding: MapEncoding, size: int) -> list[MapEncoding]:
    """Encodings of `size` images at a time; the last part may have fewer."""
    return [MapEncoding(*part) for part in zip(*(torch.split(field, size) for field in encoding), strict=True)]
