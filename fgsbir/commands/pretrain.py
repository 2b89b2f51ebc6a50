"""`fgsbir pretrain`: a stroke transformer learns to fill in hidden strokes, from training sketches alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import OpenUnitInterval, PositiveFloat, PositiveInt, restricted_number_type
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset

from fgsbir.data.dataset import EpochSampler, point_sequence
from fgsbir.data.datasets import DataSource
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.runs.hashing import config_hash
from fgsbir.sketch.strokes import VectorSketch

PointRoom = restricted_number_type("PointRoom", int, (">=", 4))
"""Two strokes of two points are the least of which one can be hidden."""


class HiddenStrokes(NamedTuple):
    """Drawings and what of them is to be guessed.

    Attributes:
        points: `(B, L, 3)`, as in `SketchBatch`.
        lengths: `(B,)`, number of real points.
        hidden: `(B, L)`, True for every point of a hidden stroke.
    """

    points: Tensor
    lengths: Tensor
    hidden: Tensor


class HiddenStrokeDataset(Dataset[HiddenStrokes]):
    """Drawings, randomly changed, each with some of its strokes hidden.

    Change and choice depend on the seed, the epoch and the index alone; see `PairDataset`.

    Args:
        sketches: the drawings.
        max_points: room for points.
        hide: share of the strokes that are hidden, rounded, but at least one; one always stays in sight.
        augmentation: random changes; those of photos are not used.
        seed: of both.
    """

    def __init__(
        self, sketches: Sequence[VectorSketch], max_points: int, hide: float, augmentation: Augmentation, seed: int
    ) -> None:
        self.sketches, self.max_points, self.hide = sketches, max_points, hide
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: int) -> HiddenStrokes:
        epoch, index = divmod(index, len(self))
        rng = np.random.default_rng([self.seed, epoch, index])
        affine, _ = self.augmentation.affines(rng)
        sketch = self.augmentation.strokes(affine.sketch(self.sketches[index]), rng).thinned(self.max_points)
        count = min(max(1, round(self.hide * len(sketch))), len(sketch) - 1)
        chosen = rng.permutation(len(sketch))[:count]
        owner = np.repeat(np.arange(len(sketch)), np.diff(sketch.offsets))
        hidden = torch.zeros(self.max_points, dtype=torch.bool)
        hidden[: len(owner)] = torch.from_numpy(np.isin(owner, chosen))
        return HiddenStrokes(*point_sequence(sketch, self.max_points), hidden)


class StrokeCompletion(LightningModule):
    """Reconstructs the points of hidden strokes from the strokes in sight.

    After the idea of SketchBERT's pre-training (Lin et al. 2020), which masks and reconstructs parts of a sketch.

    Args:
        encoder: the transformer that learns.
        lr: peak of the learning rate, which goes up for a tenth of the steps and then down along a cosine.
        seed: of dropout.
        settings: hash of the settings; a checkpoint of others is refused.

    Deviations:
        Whole strokes are hidden, so that no neighbouring point gives a hidden one away, and places are reconstructed,
        not steps. How many points a hidden stroke has, and when it was drawn, stays known.
    """

    def __init__(self, encoder: StrokeTransformer, lr: float, seed: int, settings: str) -> None:
        super().__init__()
        self.encoder, self.lr, self.seed, self.settings = encoder, lr, seed, settings
        self.hidden_point = nn.Parameter(torch.randn(encoder.dim) / encoder.dim**0.5)
        self.head = nn.Linear(encoder.dim, 3)

    def reconstruct(self, batch: HiddenStrokes) -> Tensor:
        """For every point its place, from -1 to 1 in the frame, and the logit of its pen, `(B, L, 3)`."""
        embedded = torch.where(batch.hidden[..., None], self.hidden_point, self.encoder.embed(batch.points))
        points: Tensor = self.head(self.encoder.attend(embedded, batch.lengths))
        return points

    def losses(self, batch: HiddenStrokes) -> dict[str, Tensor]:
        """Over the hidden points: "place", the mean distance along an axis, and "pen", the cross-entropy."""
        longest = int(batch.lengths.max())
        batch = HiddenStrokes(batch.points[:, :longest], batch.lengths, batch.hidden[:, :longest])
        found, true = self.reconstruct(batch)[batch.hidden], batch.points[batch.hidden]
        count = max(1, len(true))  # drawings of one stroke hide none
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
        """AdamW along one cycle."""
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
            raise InputError(
                "fgsbir pretrain", "another pre-training was interrupted here", "choose another --out, or delete it"
            )


def run(words: list[str]) -> None:
    """Runs the command; goes on where it was interrupted.

    Args:
        words: its options.

    Raises:
        InputError: for anything wrong with the options or the files that they name.
    """
    parser = _parser()
    try:
        options = parser.parse_args(words)
        config = yaml.safe_load(parser.dump(options, skip_none=False))
        for key in ("config", "out", "accelerator"):
            config.pop(key, None)
        torch.manual_seed(options.seed)
        options = parser.instantiate_classes(options)
    except ArgumentError as error:
        problem = " ".join(str(error).split())
        raise InputError("fgsbir pretrain", problem, "see fgsbir pretrain --help") from None
    out, settings = Path(options.out), config_hash(config)
    if out.exists():
        if _settings_of(out) != settings:
            raise InputError(out, "it is there already, made with other settings", "choose another --out, or delete it")
        print(f"{out}: done, nothing to do")
        return
    data = options.source.load()
    sketches = [record.sketch for record in data.split_sketches("train")]
    if not sketches:
        raise InputError(data.name, "it has no training sketches", "choose another split or source")

    dataset = HiddenStrokeDataset(sketches, options.max_points, options.hide, options.augmentation, options.seed)
    loader = DataLoader(dataset, options.batch_size, sampler=EpochSampler(dataset, 1, 0, seed=options.seed))
    checkpoint = ModelCheckpoint(
        out.parent, f"{out.stem}-unfinished", save_on_train_epoch_end=True, enable_version_counter=False
    )
    trainer = Trainer(
        max_epochs=options.epochs,
        accelerator=options.accelerator,
        devices=1,
        gradient_clip_val=1.0,
        callbacks=[checkpoint],
        logger=False,
        enable_model_summary=False,
    )
    lr = float(options.lr)  # of a plain type: a checkpoint may hold no other
    model = StrokeCompletion(options.encoder, lr, options.seed, settings)
    unfinished = out.parent / f"{out.stem}-unfinished.ckpt"
    trainer.fit(model, loader, ckpt_path=str(unfinished) if unfinished.exists() else None)
    metadata = {"settings": settings, "config": yaml.safe_dump(config, sort_keys=False)}
    with atomic_write(out) as file:
        file.write(save({k: v.cpu().contiguous() for k, v in options.encoder.state_dict().items()}, metadata))
    unfinished.unlink()
    figures = ", ".join(f"{name} {float(value):.3f}" for name, value in sorted(trainer.callback_metrics.items()))
    print(f"Encoder: {out} ({len(sketches)} sketches of {data.name}, {figures})")


def _settings_of(path: Path) -> str | None:
    """The hash of the settings that a file was made with; None if the file is none of ours."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("settings")
    except (OSError, SafetensorError):
        return None


def _parser() -> ArgumentParser:
    parser = ArgumentParser("fgsbir pretrain", description=__doc__, exit_on_error=False)
    parser.add_argument("--config", action="config", help="a file with these options")
    parser.add_argument(
        "--source", type=DataSource, required=True, help="the dataset, e.g. ChairV2, ShoeV2, Folder or Embedded"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("encoder.safetensors"),
        help="the file for the `weights` of a StrokeTransformer; runs are told apart by its name, not its folder",
    )
    parser.add_class_arguments(StrokeTransformer, "encoder", help="must be as in the system that will use it")
    parser.add_class_arguments(Augmentation, "augmentation")
    parser.add_argument("--max_points", type=PointRoom, default=256, help="room for points, as in data.rendering")
    parser.add_argument("--hide", type=OpenUnitInterval, default=0.3, help="share of the strokes that are hidden")
    parser.add_argument("--epochs", type=PositiveInt, default=100)
    parser.add_argument("--batch_size", type=PositiveInt, default=32)
    parser.add_argument("--lr", type=PositiveFloat, default=5e-4, help="peak of the learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accelerator", type=str, default="auto", help="as Lightning names them: auto, cpu, gpu")
    return parser
