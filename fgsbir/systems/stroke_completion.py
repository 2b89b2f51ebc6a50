"""Self-supervised pre-training of the stroke transformer. It trains an encoder for systems, and is none itself."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from fgsbir.data.hidden_strokes import HiddenStrokes
from fgsbir.errors import InputError
from fgsbir.models.stroke_transformer import StrokeTransformer


class StrokeCompletion(LightningModule):
    """Reconstructs the points of hidden strokes from the visible ones.

    After the pre-training of SketchBERT (Lin et al. 2020), which masks and reconstructs parts of a sketch.

    Args:
        encoder: transformer that learns.
        lr: peak of the learning rate. It rises over a tenth of the steps, then falls along a cosine.
        seed: seed of dropout.
        settings: hash of the settings. A checkpoint with another hash is refused.

    Deviations:
        Whole strokes are hidden, so that no neighbouring point gives a hidden one away. Positions are reconstructed
        in place of offsets. The number of points of a hidden stroke, and when it was drawn, stays known.
    """

    def __init__(self, encoder: StrokeTransformer, lr: float, seed: int, settings: str) -> None:
        super().__init__()
        self.encoder, self.lr, self.seed, self.settings = encoder, lr, seed, settings
        self.hidden_point = nn.Parameter(torch.randn(encoder.dim) / encoder.dim**0.5)
        self.head = nn.Linear(encoder.dim, 3)

    def reconstruct(self, batch: HiddenStrokes) -> Tensor:
        """Position, from -1 to 1 in the frame, and pen logit of every point, `(B, L, 3)`."""
        embedded = torch.where(batch.hidden[..., None], self.hidden_point, self.encoder.embed(batch.points))
        points: Tensor = self.head(self.encoder.attend(embedded, batch.lengths))
        return points

    def losses(self, batch: HiddenStrokes) -> dict[str, Tensor]:
        """Means over the hidden points: "place", the distance along an axis, and "pen", the cross-entropy."""
        longest = int(batch.lengths.max())
        batch = HiddenStrokes(batch.points[:, :longest], batch.lengths, batch.hidden[:, :longest])
        found, true = self.reconstruct(batch)[batch.hidden], batch.points[batch.hidden]
        count = max(1, len(true))  # sketches of one stroke hide none
        place = F.l1_loss(found[:, :2], true[:, :2] * 2 - 1, reduction="sum") / (2 * count)
        pen = F.binary_cross_entropy_with_logits(found[:, 2], true[:, 2], reduction="sum") / count
        return {"place": place, "pen": pen}

    def training_step(self, batch: HiddenStrokes, batch_idx: int) -> Tensor:
        """The sum of the losses."""
        losses = self.losses(batch)
        self.log_dict(losses, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.lengths))
        return losses["place"] + losses["pen"]

    def on_train_batch_start(self, batch: HiddenStrokes, batch_idx: int) -> None:
        """Makes dropout a function of seed and step, as `System` does."""
        torch.manual_seed((self.seed + 7919 * (1 + self.global_step)) % 2**63)

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle schedule."""
        optimizer = AdamW(self.parameters(), self.lr, weight_decay=0.01)
        steps = max(int(self.trainer.estimated_stepping_batches), 2)
        cycle = OneCycleLR(optimizer, self.lr, total_steps=steps, pct_start=0.1, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the settings."""
        checkpoint["settings"] = self.settings

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of other settings.

        Raises:
            InputError: if they differ.
        """
        if checkpoint["settings"] != self.settings:
            problem = "another pre-training was interrupted here"
            raise InputError("fgsbir pretrain", problem, "choose another --out, or delete its checkpoint")
