"""The Lightning callback that computes the features of a frozen trunk once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import PhotoDataset, SketchDataset
from fgsbir.data.features import ImageFeatures, SplitFeatures, is_whole, write_features
from fgsbir.errors import InputError
from fgsbir.files import cache_root, require_writable
from fgsbir.models.backbone import Backbone, state_digest
from fgsbir.progress import progress
from fgsbir.sketch.strokes import VectorSketch

BATCH = 32
"""Images that go through the trunk at once."""

_SPLITS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class TrunkCache(Callback):
    """Keeps the features of the backbone's frozen trunk on disk, so that only what is above it is computed in training.

    Files are keyed by the trunk, the rendering and the images, so no entry is ever stale. They hold float16,
    which changes losses by about a thousandth.

    Args:
        cache_dir: folder that keeps them, in its subfolder `trunk`; `$FGSBIR_CACHE`, or `~/.cache/fgsbir`, when
            it is not given.
    """

    def __init__(self, cache_dir: str | None = None) -> None:
        self.root = (Path(cache_dir).expanduser() if cache_dir else cache_root()) / "trunk"
        self._trunk: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Computes what the stage needs and is not there yet, and lets data and backbone use it.

        Raises:
            InputError: if the trunk is empty, the augmentation changes more than the side, or the cache cannot be
                written.
        """
        backbone, data = getattr(pl_module, "backbone", None), getattr(trainer, "datamodule", None)
        assert isinstance(data, SketchPhotoDataModule)
        if not isinstance(backbone, Backbone) or not len(backbone.trunk):
            raise InputError(
                "backbone.frozen_levels", "no level is frozen, nothing to cache", "freeze some, or remove TrunkCache"
            )
        for name, strength in asdict(data.augmentation).items():
            if name != "flip" and strength:
                problem = f"{strength} changes images whose features are cached"
                raise InputError(f"data.augmentation.{name}", problem, "use 0, or remove TrunkCache")
        self._trunk = {key: value.detach().cpu().clone() for key, value in backbone.trunk.state_dict().items()}
        data.features = {split: self._features(trainer, backbone, data, split) for split in _SPLITS[stage]}
        backbone.reads_trunk_features = True

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint whose trunk is not the one that made the features.

        Raises:
            InputError: if its trunk differs.
        """
        prefix = "backbone.trunk."
        trunk = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        # Averaging the weights rounds even those that never change.
        if trunk.keys() != self._trunk.keys() or not all(
            torch.allclose(value.cpu(), self._trunk[key], rtol=1e-3, atol=1e-5) for key, value in trunk.items()
        ):
            raise InputError(
                "checkpoint", "its frozen trunk differs from the configuration's", "use the weights it was trained from"
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Data and backbone exchange images again."""
        backbone, data = getattr(pl_module, "backbone", None), getattr(trainer, "datamodule", None)
        if isinstance(backbone, Backbone) and isinstance(data, SketchPhotoDataModule):
            data.features = {}
            backbone.reads_trunk_features = False

    def _features(self, trainer: Trainer, backbone: Backbone, data: SketchPhotoDataModule, split: str) -> SplitFeatures:
        """The features of one split, from the cache or computed and kept there."""
        queries, gallery = data.queries(split), data.gallery(split)
        content = [[sketch.id, _sketch_digest(sketch.sketch)] for sketch in queries.sketches]
        content += [[photo.id, photo.digest()] for photo in gallery.photos]
        settings = (
            state_digest(self._trunk),
            str(backbone.trunk),
            backbone.mean.tolist(),
            backbone.std.tolist(),
            asdict(data.rendering),
            queries.detail,
            content,
        )
        folder = self.root / hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

        def kept(kind: str, items: SketchDataset | PhotoDataset) -> ImageFeatures:
            plain, flipped = folder / f"{kind}-{split}.npy", folder / f"{kind}-{split}-flipped.npy"
            self._keep(trainer, backbone, items, plain, mirror=False)
            if split != "train" or not data.augmentation.flip:
                return ImageFeatures(plain)
            self._keep(trainer, backbone, items, flipped, mirror=True)
            return ImageFeatures(plain, flipped)

        return SplitFeatures(kept("sketch", queries), kept("photo", gallery))

    def _keep(
        self, trainer: Trainer, backbone: Backbone, items: SketchDataset | PhotoDataset, path: Path, mirror: bool
    ) -> None:
        """Writes the features of all images, if `path` does not hold them; one process a machine does it."""
        if trainer.local_rank == 0 and not is_whole(path):
            require_writable(path.parent)
            starts = progress(range(0, len(items), BATCH), f"Features of {path.stem}", unit="batch")
            write_features(path, _batches(backbone.to(trainer.strategy.root_device), items, mirror, starts), len(items))
        trainer.strategy.barrier("trunk_cache")


@torch.no_grad()
def _batches(
    backbone: Backbone, items: SketchDataset | PhotoDataset, mirror: bool, starts: Iterable[int]
) -> Iterator[npt.NDArray[np.float32]]:
    """The trunk's maps of images, batch by batch."""
    for start in starts:
        indices = range(start, min(start + BATCH, len(items)))
        images = torch.stack([items.image(i, mirror) for i in indices])
        yield backbone.trunk_features(images.to(backbone.mean.device)).float().cpu().numpy()


def _sketch_digest(sketch: VectorSketch) -> str:
    return hashlib.sha256(sketch.points.tobytes() + sketch.offsets.tobytes()).hexdigest()
