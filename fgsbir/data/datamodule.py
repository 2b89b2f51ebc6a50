"""The generic LightningDataModule; what a dataset is comes from its `DataSource`."""

from __future__ import annotations

import torch
import torch.distributed as dist
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from fgsbir.data.dataset import EpochSampler, PairDataset, PhotoDataset, Rendering, SketchDataset
from fgsbir.data.datasets import DataSource
from fgsbir.data.features import SplitFeatures
from fgsbir.data.records import PairedData
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.regions.selective_search import SelectiveSearch
from fgsbir.regions.source import RegionSource
from fgsbir.sketch.detail import DetailLevel
from fgsbir.sketch.strokes import FloatArray


class SketchPhotoDataModule(LightningDataModule):
    """Sketch-photo pairs for training, and queries and gallery apart for evaluation.

    Training batches are `PairBatch`. Evaluation has two loaders, sketches and photos, so that each image
    is encoded once however many partners it meets.

    Args:
        source: the dataset.
        regions: source of photo regions; `SelectiveSearch` if not given.
        rendering: how records become tensors.
        augmentation: random changes of training pairs.
        batch_size: pairs of a training step.
        eval_batch_size: images of an encoding step.
        num_workers: number of loader processes; 0 loads in the training process.
        train_detail: level of detail of training sketches.
        test_detail: level of detail of validation and test sketches.
        seed: seed of shuffling and augmentation.

    Raises:
        InputError: if a batch size is not positive.
    """

    def __init__(
        self,
        source: DataSource,
        regions: RegionSource | None = None,
        rendering: Rendering = Rendering(),  # noqa: B008 (frozen)
        augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
        batch_size: int = 32,
        eval_batch_size: int = 64,
        num_workers: int = 1,
        train_detail: DetailLevel = "full",
        test_detail: DetailLevel = "full",
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise InputError(f"data.{name}", f"{value} is not positive", "use 1 or more")
        self.source, self.regions = source, regions or SelectiveSearch()
        self.rendering, self.augmentation = rendering, augmentation
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers
        self.train_detail: DetailLevel = train_detail
        self.test_detail: DetailLevel = test_detail
        self.seed = seed
        self.features: dict[str, SplitFeatures] = {}
        """Features that replace images, by split."""
        self._records: PairedData | None = None
        self._boxes: dict[str, FloatArray] = {}

    @property
    def records(self) -> PairedData:
        """The dataset's records, read once."""
        if self._records is None:
            self._records = self.source.load()
        return self._records

    def prepare_data(self) -> None:
        """Finds the regions of all photos and caches them, in one process."""
        self.regions.regions(list(self.records.photos.values()))

    def setup(self, stage: str) -> None:
        """Reads regions, from the cache by now."""
        if not self._boxes:
            self._boxes = self.regions.regions(list(self.records.photos.values()))

    def queries(self, split: str) -> SketchDataset:
        """The sketches of a split."""
        detail = self.train_detail if split == "train" else self.test_detail
        features = self.features[split].sketches if split in self.features else None
        sketches, photos = self.records.split_sketches(split), self.records.split_photos(split)
        return SketchDataset(sketches, photos, self.rendering, detail, features)

    def gallery(self, split: str) -> PhotoDataset:
        """The photos of a split."""
        features = self.features[split].photos if split in self.features else None
        return PhotoDataset(self.records.split_photos(split), self._boxes, self.rendering, features)

    def pairs(self) -> PairDataset:
        """The training pairs."""
        return PairDataset(
            self.records.split_sketches("train"),
            self.records.split_photos("train"),
            self._boxes,
            self.rendering,
            self.augmentation,
            self.train_detail,
            self.seed,
            self.features.get("train"),
        )

    def train_dataloader(self) -> DataLoader[object]:
        """Shuffled pairs; an incomplete last batch is left out, unless it is the only one."""
        pairs = self.pairs()
        world = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        sampler = EpochSampler(pairs, *world, shuffle=True, seed=self.seed)
        return self._loader(pairs, self.batch_size, sampler, drop_last=len(sampler) >= self.batch_size)

    def val_dataloader(self) -> list[DataLoader[object]]:
        """Queries and gallery of `val`."""
        return self._evaluation("val")

    def test_dataloader(self) -> list[DataLoader[object]]:
        """Queries and gallery of `test`."""
        return self._evaluation("test")

    def predict_dataloader(self) -> list[DataLoader[object]]:
        """Queries and gallery of `test`."""
        return self._evaluation("test")

    def _evaluation(self, split: str) -> list[DataLoader[object]]:
        return [self._loader(d, self.eval_batch_size) for d in (self.queries(split), self.gallery(split))]

    def _loader(
        self, dataset: Dataset[object], batch_size: int, sampler: EpochSampler | None = None, drop_last: bool = False
    ) -> DataLoader[object]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0 and sampler is not None,
            pin_memory=torch.cuda.is_available(),
        )
