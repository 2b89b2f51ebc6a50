"""The Lightning callback that fills a run folder."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import PhotoDataset, SketchDataset
from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.metrics.cost import STROKES, measure, peak_memory, reset_peak_memory
from fgsbir.metrics.ranking import Ranking, summarise
from fgsbir.runs.config import ResolvedRun
from fgsbir.runs.environment import git_commit, hardware, versions
from fgsbir.runs.folder import THUMBNAIL_SIZE
from fgsbir.runs.result import Result
from fgsbir.systems.base import System
from fgsbir.systems.checkpoint import read_checkpoint
from fgsbir.systems.explanation import Explainable

EXPLAINED = 12
"""Queries whose merge trees are kept."""


class RunRecorder(Callback):
    """Writes configuration and environment at the start, metrics at every epoch, and the result after the test.

    Args:
        resolved: the run.
    """

    def __init__(self, resolved: ResolvedRun) -> None:
        self.resolved, self.run = resolved, resolved.folder
        self.train_seconds = 0.0
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Training time so far; it goes on counting in a resumed run."""
        return {"train_seconds": self.train_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the training time of an interrupted run."""
        self.train_seconds = state_dict["train_seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves what was asked for."""
        if trainer.is_global_zero:
            self._save_config()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves what it runs on, unless there is nothing left to train."""
        if trainer.is_global_zero:
            assert isinstance(pl_module, System)
            self.run.write_env(pl_module.weights_origin())

    def _save_config(self) -> None:
        if not self.run.config.exists():
            self.run.write_config({**self.resolved.config, "ckpt_path": None})  # what goes on from here has its own

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the epoch's metrics to metrics.csv; they replace rows of epochs that a resumed run repeats."""
        self.train_seconds += time.perf_counter() - self._since
        if not trainer.is_global_zero:
            return
        rows = self.run.read_metrics() if self.run.metrics.exists() else []
        rows = [row for row in rows if row["epoch"] < trainer.current_epoch]
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step, **metrics})
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(self.run.metrics) as file:
            file.write(text.getvalue().encode())

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, and forgets the memory that a training took before."""
        self._since = time.perf_counter()
        reset_peak_memory(pl_module.device)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves ranking, thumbnails and merge trees, and last the result."""
        if not trainer.is_global_zero:
            return
        data = getattr(trainer, "datamodule", None)
        assert isinstance(pl_module, System)
        assert isinstance(data, SketchPhotoDataModule)
        assert pl_module.test_ranking is not None
        seconds, memory = time.perf_counter() - self._since, peak_memory(pl_module.device)
        queries, gallery = data.queries("test"), data.gallery("test")
        places = pl_module.test_ranking
        order = [int(i) for i in places.query_ids]
        ranking = places._replace(
            query_ids=np.array([queries.sketches[i].id for i in order]),
            gallery_ids=np.array([photo.id for photo in gallery.photos]),
        )
        self._save_config()
        trained = self._trained()
        if not self.run.env.exists():  # a system without training
            self.run.write_env(pl_module.weights_origin())
        self.run.write_ranking(ranking)
        self.run.write_thumbnails(_thumbnails(gallery), _thumbnails(queries)[order])
        if isinstance(pl_module, Explainable):
            self.run.write_hierarchy(_explanations(pl_module, pl_module.device, queries, gallery, ranking, order))
        cost = measure(pl_module, data.rendering, STROKES, data.rendering.num_regions)
        metrics: dict[str, Any] = summarise(ranking.ranks)
        self.run.write_result(
            Result(
                system=pl_module.name,
                dataset=data.records.name,
                experiment=str(self.resolved.config["experiment"]),
                recipe=str(self.resolved.config["recipe"]),
                seed=self.resolved.seed,
                n_test=len(ranking.query_ids),
                n_gallery=len(ranking.gallery_ids),
                split_hash=data.records.split_hash("test"),
                **metrics,
                **trained,
                test_seconds=round(seconds, 3),
                parameters=sum(p.numel() for p in pl_module.parameters() if p.requires_grad),
                commit=git_commit(),
                config_hash=self.resolved.hash,
                hardware=hardware(),
                versions=versions(),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                all_parameters=cost.parameters,
                sketch_flops=cost.sketch,
                photo_flops=cost.photo,
                pair_flops=cost.pair,
                query_ms=None if pl_module.query_seconds is None else round(1000 * pl_module.query_seconds, 4),
                peak_memory_mib=round(memory, 1),
            )
        )

    def _trained(self) -> dict[str, Any]:
        """What the training of the tested checkpoint left: its epoch and validation figure, its time and machine."""
        if not self.run.best_checkpoint.exists():
            return dict.fromkeys(("val_acc1", "best_epoch", "train_seconds", "train_hardware"))
        epoch = int(read_checkpoint(self.run.best_checkpoint)["epoch"])
        logged = {row["epoch"]: row for row in self.run.read_metrics()}
        try:
            last = read_checkpoint(self.run.last_checkpoint)
        except InputError:  # the test needs nothing of it
            seconds = None
        else:
            seconds = last["callbacks"].get(type(self).__qualname__, {}).get("train_seconds")
        return {
            "val_acc1": logged[epoch]["val/acc1"],
            "best_epoch": epoch,
            "train_seconds": seconds,
            "train_hardware": hardware(self.run.read_env()) if self.run.env.exists() else None,
        }


def _thumbnails(dataset: SketchDataset | PhotoDataset) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Small images of a whole split, `(N, 96, 96, 3)`."""
    images = (dataset.image(i).permute(1, 2, 0).contiguous().numpy() for i in range(len(dataset)))
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])


def _explanations(
    system: Explainable,
    device: torch.device,
    queries: SketchDataset,
    gallery: PhotoDataset,
    ranking: Ranking,
    order: list[int],
) -> list[dict[str, Any]]:
    """Merge trees and attention of some queries with their true photos, spread over the ranks."""
    by_rank = np.argsort(ranking.ranks, kind="stable")
    chosen = np.unique(by_rank[np.linspace(0, len(by_rank) - 1, min(EXPLAINED, len(by_rank))).astype(int)])
    out = []
    with torch.no_grad():
        for q in chosen:
            record, target = queries.sketches[order[q]], int(ranking.target[q])
            sketch, photo = queries[order[q]], gallery[target]
            explanation = system.explain_images(_batch_of_one(sketch, device), _batch_of_one(photo, device))[0]
            shown = record.sketch.grouped(queries.rendering.max_strokes)
            out.append(
                {
                    "query": record.id,
                    "photo": str(ranking.gallery_ids[target]),
                    "rank": int(ranking.ranks[q]),
                    "strokes": [stroke.round(4).tolist() for stroke in shown.strokes],
                    "stroke_boxes": sketch.boxes[sketch.mask].tolist(),
                    "region_boxes": photo.boxes[photo.mask].tolist(),
                    **explanation._asdict(),
                }
            )
    return out


def _batch_of_one(sample: Any, device: torch.device) -> Any:
    return type(sample)(*(field[None].to(device) for field in sample))
