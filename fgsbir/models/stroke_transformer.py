"""A transformer over the path of the pen."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from fgsbir.errors import InputError
from fgsbir.models.backbone import load_weights
from fgsbir.models.recorded import Recorded

Coordinates = Literal["absolute", "normalised"]

FRAME = 256
"""Side of the frame of the authors' coordinates, in pixels."""


class StrokeTransformer(Recorded, nn.Module):
    """Points of a drawing to one vector: a dense layer, positions, a post-norm encoder, the maximum over the points.

    The defaults come from the authors' code for their SketchBERT and SketchFormer variants.

    Args:
        dim: size of the vectors of points and drawings.
        layers: layers of the encoder.
        heads: heads of each attention.
        feedforward: hidden size of each layer.
        dropout: dropout after the positional encoding and in each layer.
        coordinates: scale of x and y. "absolute": from 0 to 256, and the dense layer's output times the square root
            of `dim`, as in the authors' code; the positional encoding, between -1 and 1, is then lost beside values
            in the thousands. "normalised": from -1 to 1 about the middle of the frame, unscaled, so that both have the
            same size. Coordinates are never steps from point to point: where a line is decides a match, and the step
            after a hidden stroke would give away its end in pre-training.
        weights: "none", or a file that `fgsbir pretrain` wrote, looked for here and in `$FGSBIR_WEIGHTS`.

    Raises:
        InputError: if `dim` is odd or no multiple of `heads`, or the weights are missing or were trained with other
            settings.

    Deviations:
        The encoder's matrices are initialised as by Glorot and Bengio (2010), so that its layers do not start as
        copies of one another. Positions have no upper limit; the authors' end at 5,000.
    """

    file_arguments = ("weights",)

    def __init__(
        self,
        dim: int = 768,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 768,
        dropout: float = 0.1,
        coordinates: Coordinates = "absolute",
        weights: str = "none",
    ) -> None:
        super().__init__()
        if dim < 2 or dim % 2 or heads < 1 or dim % heads:
            problem = f"{dim} is odd, or no multiple of {heads} heads"
            raise InputError("strokes.dim", problem, "use e.g. 768 with 4 heads")
        if weights == "timm":
            raise InputError("weights 'timm'", "timm has no stroke transformer", "use a file, or none")
        self.dim = dim
        self.coordinates: Coordinates = coordinates
        self.lift = nn.Linear(3, dim)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(dim, heads, feedforward, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        for parameter in self.encoder.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        # Saved with the weights, because the shapes do not show them.
        settings = torch.tensor([heads, coordinates == "absolute"], dtype=torch.float32)
        self.settings: Tensor
        self.register_buffer("settings", settings.clone())
        self.origin = load_weights(self, "the stroke transformer", weights)
        if not torch.equal(self.settings, settings):
            problem = "they were trained with other heads or coordinates"
            raise InputError(f"weights '{weights}'", problem, "use the settings of their pre-training")

    def embed(self, points: Tensor) -> Tensor:
        """Vectors `(B, L, dim)` of single points `(B, L, 3)` as in `SketchBatch`, without positional encoding."""
        position, pen = points[..., :2], points[..., 2:]
        if self.coordinates == "absolute":
            lifted: Tensor = self.lift(torch.cat([position * FRAME, pen], 2)) * math.sqrt(self.dim)
        else:
            lifted = self.lift(torch.cat([position * 2 - 1, pen], 2))
        return lifted

    def attend(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Vectors `(B, L, dim)` of points that attend to each other; padding beyond `lengths (B,)` is masked."""
        x = self.dropout(embedded + sinusoids(embedded.shape[1], self.dim).to(embedded))
        attended: Tensor = self.encoder(x, src_key_padding_mask=_padding(embedded, lengths))
        return attended

    def forward(self, points: Tensor, lengths: Tensor) -> Tensor:
        """Vectors `(B, dim)` of drawings.

        Args:
            points: `(B, L, 3)`, as in `SketchBatch`.
            lengths: `(B,)`, number of real points, at least 1.

        Raises:
            InputError: if there are no points.
        """
        if not points.shape[1]:
            raise InputError("data.rendering.max_points", "0 leaves the system no points to read", "use e.g. 256")
        points = points[:, : int(lengths.max())]
        attended = self.attend(self.embed(points), lengths)
        return attended.masked_fill(_padding(attended, lengths)[..., None], -torch.inf).amax(1)


def sinusoids(length: int, dim: int) -> Tensor:
    """Sinusoidal encodings of the positions 0 to `length - 1`, `(length, dim)` (Vaswani et al. 2017)."""
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000) / dim))
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


def _padding(steps: Tensor, lengths: Tensor) -> Tensor:
    """Where `steps (B, L, dim)` hold no point, `(B, L)`."""
    return torch.arange(steps.shape[1], device=steps.device) >= lengths[:, None]
