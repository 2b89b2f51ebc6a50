"""`fgsbir pretrain`: trains a stroke transformer to fill in hidden strokes, from training sketches alone."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import OpenUnitInterval, PositiveFloat, PositiveInt, restricted_number_type
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.utils.data import DataLoader

from fgsbir.commands.source import refusal, source_parser
from fgsbir.data.dataset import EpochSampler
from fgsbir.data.hidden_strokes import HiddenStrokeDataset
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.runs.hashing import config_hash
from fgsbir.runs.terminal import EpochLines
from fgsbir.systems.stroke_completion import StrokeCompletion

PointCapacity = restricted_number_type("PointCapacity", int, (">=", 4))
"""Hiding one of two strokes takes at least four points."""


def run(argv: list[str]) -> None:
    """Runs the command; resumes an interrupted one.

    Args:
        argv: its options.

    Raises:
        InputError: if an option, or a file that it names, is wrong.
    """
    parser = _parser()
    try:
        options = parser.parse_args(argv)
        config = yaml.safe_load(parser.dump(options, skip_none=False))
        for key in ("config", "out", "accelerator"):
            config.pop(key, None)
        torch.manual_seed(options.seed)
        options = parser.instantiate_classes(options)
    except ArgumentError as error:
        raise refusal("fgsbir pretrain", error) from None
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
    unfinished = out.with_name(f"{out.stem}-unfinished.ckpt")
    trainer = Trainer(
        max_epochs=options.epochs,
        accelerator=options.accelerator,
        devices=1,
        gradient_clip_val=1.0,
        callbacks=[
            EpochLines(),
            ModelCheckpoint(out.parent, unfinished.stem, save_on_train_epoch_end=True, enable_version_counter=False),
        ],
        enable_progress_bar=sys.stdout.isatty(),
        logger=False,
        enable_model_summary=False,
    )
    lr = float(options.lr)  # a checkpoint may hold plain types only
    model = StrokeCompletion(options.encoder, lr, options.seed, settings)
    trainer.fit(model, loader, ckpt_path=str(unfinished) if unfinished.exists() else None)
    metadata = {"settings": settings, "config": yaml.safe_dump(config, sort_keys=False)}
    with atomic_write(out) as file:
        file.write(save({k: v.cpu().contiguous() for k, v in options.encoder.state_dict().items()}, metadata))
    unfinished.unlink()
    losses = ", ".join(f"{name} {float(value):.3f}" for name, value in sorted(trainer.callback_metrics.items()))
    print(f"Encoder: {out} ({len(sketches)} sketches of {data.name}, {losses})")


def _settings_of(path: Path) -> str | None:
    """The hash of the settings that an encoder was made with; None if another program wrote the file."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("settings")
    except (OSError, SafetensorError):
        return None


def _parser() -> ArgumentParser:
    parser = source_parser(__doc__, "fgsbir pretrain", required=True)
    parser.add_argument("--config", action="config", help="YAML file with these options")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("encoder.safetensors"),
        help="file for the `weights` of a StrokeTransformer; its name, not its folder, tells runs apart",
    )
    parser.add_class_arguments(StrokeTransformer, "encoder", help="settings as in the system that will use it")
    parser.add_class_arguments(Augmentation, "augmentation")
    parser.add_argument("--max_points", type=PointCapacity, default=256, help="points a sketch, as in data.rendering")
    parser.add_argument("--hide", type=OpenUnitInterval, default=0.3, help="share of strokes to hide, in (0, 1)")
    parser.add_argument("--epochs", type=PositiveInt, default=100, help="number of epochs")
    parser.add_argument("--batch_size", type=PositiveInt, default=32, help="sketches a batch")
    parser.add_argument("--lr", type=PositiveFloat, default=5e-4, help="peak of the learning rate")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, hidden strokes, augmentation and dropout")
    parser.add_argument("--accelerator", type=str, default="auto", help="Lightning accelerator: auto, cpu, gpu, ...")
    return parser
