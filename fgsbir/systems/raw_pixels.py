"""Raw pixels: what a system must beat to have learned anything."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.retrieval.distances import VectorEncoding
from fgsbir.systems.siamese import SiameseSystem
from fgsbir.systems.vector_system import VectorSystem


class RawPixels(SiameseSystem, VectorSystem):
    """Compares small grey images, centred and scaled to unit length. It has no parameters and is not trained.

    Args:
        side: images are averaged down to `side x side` pixels.
    """

    name = "Raw pixels"
    paper = "–"

    def __init__(self, side: int = 32) -> None:
        super().__init__()
        self.side = side

    def encode_image(self, batch: SketchBatch | PhotoBatch) -> VectorEncoding:
        """Unit vectors `(B, side * side)`."""
        grey = F.adaptive_avg_pool2d(batch.image.float().mean(1, keepdim=True), self.side).flatten(1)
        return VectorEncoding(F.normalize(grey - grey.mean(1, keepdim=True), dim=1))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Nothing to train."""
        return []
