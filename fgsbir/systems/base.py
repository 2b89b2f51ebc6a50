"""Base of all systems: an encoder of single images and a matcher of encodings."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
import torch.distributed as dist
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.reading import AnyPhotos, AnySketch, Reader, photo_records, read_sketches
from fgsbir.data.sample import PairBatch, PhotoBatch, SketchBatch
from fgsbir.errors import InputError
from fgsbir.losses import InfoNCELoss, PairLoss
from fgsbir.metrics.cost import Stopwatch
from fgsbir.metrics.ranking import Ranking, rank_gallery
from fgsbir.metrics.retrieval import RetrievalMetrics
from fgsbir.models.recorded import Recorded
from fgsbir.progress import progress
from fgsbir.retrieval.distances import Hit, concat, nearest
from fgsbir.retrieval.gather import GatherRows
from fgsbir.systems.checkpoint import KEY, description, load_system, pretrained


@dataclass(frozen=True)
class Optimisation:
    """How a system is trained.

    Args:
        optimizer: "adam", "adamw" or "sgd" (momentum 0.9).
        lr: learning rate; its peak with the schedule "one_cycle".
        backbone_lr_factor: learning rate of the backbone, relative to `lr`; 0 freezes it.
        matcher_lr_factor: learning-rate multiplier for co-attention and fusion. The hierarchy reuses these layers at
            every level, so at the base rate they overfit.
        weight_decay: weight decay of matrices; biases and norms have none.
        schedule: "constant", or "one_cycle", which rises for `warmup` and then falls along a cosine.
        warmup: share of the steps in which "one_cycle" rises, in [0, 1].
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    backbone_lr_factor: float = 1.0
    matcher_lr_factor: float = 1.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle"] = "one_cycle"
    warmup: float = 0.2

    def __post_init__(self) -> None:
        for name in ("lr", "backbone_lr_factor", "matcher_lr_factor", "weight_decay", "warmup"):
            # NumPy's numbers would enter the optimiser's state and make checkpoints unreadable.
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.lr <= 0:
            raise InputError("optimisation.lr", f"{self.lr} is not positive", "use e.g. 1.0e-4")


class Encoded(NamedTuple):
    """Sketches or photos, encoded.

    Attributes:
        names: their names, in order; see `System.rank`.
        encodings: a named tuple of tensors whose first axis counts them.
        kind: what they are.
        model: which system has encoded them, in which state.
    """

    names: list[str]
    encodings: Any
    kind: Literal["sketches", "photos"]
    model: str


class System(Recorded, LightningModule, ABC):
    """Base of all systems.

    A subclass says how a sketch and a photo are encoded, and how far apart encodings are: row by row
    for training, all with all for ranking. Training, evaluation and search are written once, on these.

    Args:
        loss: loss over the pairs of a batch.
        optimisation: optimiser and schedule.
    """

    name: str
    """Name in tables, e.g. "B-Siamese"."""
    paper: str
    """Authors, venue and year, e.g. "Yu et al., CVPR 2016"; "–" without a paper."""
    indexable: bool = False
    """Whether a photo is a vector that depends on no partner, so that a query is a search among stored vectors."""

    def __init__(self, loss: PairLoss | None = None, optimisation: Optimisation = Optimisation()) -> None:
        super().__init__()
        self.loss, self.optimisation = loss or InfoNCELoss(), optimisation
        self.metrics = RetrievalMetrics()
        self.test_ranking: Ranking | None = None
        """The ranking of the last test."""
        self.query_seconds: float | None = None
        """Seconds a query in the last evaluation, to encode it and to match it with the encoded gallery."""
        self.reader: Reader | None = None
        """Reads new sketches and photos as the training data was read; known once there was a data module."""
        self._clock = Stopwatch()
        self._encodings: dict[type, list[tuple[Any, Any]]] = {SketchBatch: [], PhotoBatch: []}
        self._seed = 0

    @abstractmethod
    def encode_sketch(self, batch: SketchBatch) -> Any:
        """Encodings of B sketches."""

    @abstractmethod
    def encode_photo(self, batch: PhotoBatch) -> Any:
        """Encodings of B photos."""

    @abstractmethod
    def match(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of P sketches to P photos, row by row, `(P,)` float32."""

    @abstractmethod
    def match_all(self, sketches: Any, photos: Any) -> Tensor:
        """Distances of Q sketches to G photos, `(Q, G)` float32."""

    def compile_encoders(self) -> None:
        """Compiles the encoders. Matching stays eager because tensor shapes change at every level.

        Raises:
            InputError: if there is no C++ compiler.
        """
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            problem = f"there is no C++ compiler '{compiler}'"
            raise InputError("compile", problem, "install it, name another in CXX, or use --compile false")
        for name in ("encode_sketch", "encode_photo"):
            setattr(self, name, torch.compile(getattr(self, name)))

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of the backbone, which has a learning rate of its own."""
        backbone = getattr(self, "backbone", None)
        return list(backbone.parameters()) if isinstance(backbone, nn.Module) else []

    def matcher_parameters(self) -> list[nn.Parameter]:
        """Parameters of co-attention and fusion, which have a learning rate of their own."""
        matcher = getattr(self, "matcher", None)
        return list(matcher.parameters()) if isinstance(matcher, nn.Module) else []

    def weights_origin(self) -> list[dict[str, str]]:
        """Where pretrained weights came from: `{"source": ..., "sha256": ...}` each."""
        return [module.origin for module in pretrained(self).values()]

    def setup(self, stage: str) -> None:
        """Freezes a backbone that does not learn, and takes from the data how new images are read."""
        if not self.optimisation.backbone_lr_factor:
            for parameter in self.backbone_parameters():
                parameter.requires_grad_(False)
        if (stage == "fit" or self.reader is None) and (data := self._data()) is not None:
            self.reader = Reader.of(data)

    def _data(self) -> SketchPhotoDataModule | None:
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, SketchPhotoDataModule) else None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds how the system is made, so that `load_from_checkpoint` needs the file alone."""
        if (made := description(self)) is not None:
            checkpoint[KEY] = made

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: str | torch.device | None = None,
        *,
        strict: bool | None = None,
        **others: Any,
    ) -> Self:
        """The system of a checkpoint, in evaluation mode.

        Files of pretrained weights and the dataset are not needed. `System.load_from_checkpoint` loads any system.

        Args:
            checkpoint_path: a file that Lightning wrote.
            map_location: device of the system; the CPU by default.
            strict: whether the weights must be exactly the system's, none missing and none left over; True by default.
            others: none; Lightning's other arguments are refused, because the checkpoint says how its system is made.

        Raises:
            InputError: if the file is missing, damaged, or of another version, or holds a system of another class, or
                an argument is not as described.
        """
        if others:
            fix = "leave it out: the checkpoint says how its system is made"
            raise InputError("load_from_checkpoint", f"it takes no '{next(iter(others))}'", fix)
        if not isinstance(map_location, str | torch.device | None):
            raise InputError(
                "map_location", f"a {type(map_location).__name__} is no device", "use e.g. 'cpu' or 'cuda'"
            )
        path = Path(checkpoint_path)
        system = load_system(path, System, strict is not False)  # type: ignore[type-abstract]
        if not isinstance(system, cls):
            kind = type(system).__name__
            raise InputError(path, f"it holds a {kind}, not a {cls.__name__}", f"use {kind}.load_from_checkpoint")
        return system.to(map_location or "cpu").eval()

    def configure_optimizers(self) -> Any:
        """Parameter groups by decay and learning rate, and the schedule."""
        o = self.optimisation
        factors = {id(p): o.backbone_lr_factor for p in self.backbone_parameters()}
        factors |= {id(p): o.matcher_lr_factor for p in self.matcher_parameters()}
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            if parameter.requires_grad:
                groups.setdefault((factors.get(id(parameter), 1.0), parameter.ndim > 1), []).append(parameter)
        rates = [o.lr * factor for factor, _ in groups]
        parameters = [
            {"params": group, "lr": lr, "weight_decay": o.weight_decay if matrix else 0.0}
            for ((_, matrix), group), lr in zip(groups.items(), rates, strict=True)
        ]
        optimizer: Optimizer
        if o.optimizer == "sgd":
            optimizer = SGD(parameters, momentum=0.9)
        else:
            optimizer = (AdamW if o.optimizer == "adamw" else Adam)(parameters)
        if o.schedule == "constant":
            return optimizer
        steps = max(int(self.trainer.estimated_stepping_batches), 2)
        rise = o.warmup if o.warmup * steps > 1 else 0.0  # torch divides by zero where it is just one step
        cycle = OneCycleLR(optimizer, rates, total_steps=steps, pct_start=rise, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the gradients of the backbone and of all else apart, so that a steep matcher does not slow it.

        A backbone that learns from global embeddings alone then learns in every system what it learns in `BSiamese`.
        """
        if not gradient_clip_val or gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        backbone = self.backbone_parameters()
        inside = {id(p) for p in backbone}
        for part in (backbone, [p for p in self.parameters() if id(p) not in inside]):
            nn.utils.clip_grad_norm_(part, gradient_clip_val)

    def on_fit_start(self) -> None:
        """Remembers the seed of the run, and lets the loss see the data."""
        self._seed = torch.initial_seed()
        if (data := self._data()) is not None:
            self.loss.prepare(data.records)

    def on_train_batch_start(self, batch: PairBatch, batch_idx: int) -> None:
        """Makes noise a function of seed and step, so that a resumed run repeats an uninterrupted one."""
        torch.manual_seed((self._seed + 7919 * (1 + self.global_step) + 104729 * self.global_rank) % 2**63)

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss, pairs = self.batch_loss(batch), len(batch.photo.position)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True, batch_size=pairs)
        return loss

    def batch_loss(self, batch: PairBatch) -> Tensor:
        """The loss over the pairs of a batch and of the batches of all other processes.

        Mixed precision ends with the encodings: distances, choices and noise are float32.
        """
        encoded = self.encode_batch(batch.sketch), self.encode_batch(batch.photo), batch.photo.position
        with torch.autocast(self.device.type, enabled=False):
            return self.pair_loss(*(self.gather(*encoded) if dist.is_initialized() else encoded)) + self.regulariser()

    def encode_batch(self, batch: SketchBatch | PhotoBatch) -> Any:
        """Encodings of a batch, in float32 or better whatever the precision of the trainer."""
        encoded = self.encode_sketch(batch) if isinstance(batch, SketchBatch) else self.encode_photo(batch)
        return type(encoded)(
            *(f.to(torch.promote_types(f.dtype, torch.float32)) if f.is_floating_point() else f for f in encoded)
        )

    def pair_loss(self, sketches: Any, photos: Any, photo_ids: Tensor) -> Tensor:
        """The loss over the pairs of encodings; see `PairLoss`."""
        loss: Tensor = self.loss(self, sketches, photos, photo_ids)
        return loss

    def regulariser(self) -> Tensor | float:
        """Term added to the loss of each batch, after its pairs were matched."""
        return 0.0

    def gather(self, sketches: Any, photos: Any, photo_ids: Tensor) -> tuple[Any, Any, Tensor]:
        """Encodings and photo ids of all processes, with gradient.

        Every process then has the loss of the whole batch, and the mean of their gradients, which is what
        distributed training takes, equals the gradient of one process with the whole batch.
        """

        def gathered(field: Tensor) -> Tensor:
            rows: Tensor = GatherRows.apply(field)
            return rows

        sketches, photos = (type(encoding)(*map(gathered, encoding)) for encoding in (sketches, photos))
        return sketches, photos, gathered(photo_ids)

    def forward(self, sketches: SketchBatch, photos: PhotoBatch) -> Tensor:
        """Distances of Q sketches to G photos, `(Q, G)` float32."""
        return self.match_all(self.encode_batch(sketches), self.encode_batch(photos))

    def predict_step(self, batch: SketchBatch | PhotoBatch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encodings of a batch of queries, then of the gallery."""
        return self.encode_batch(batch)

    def encode(
        self,
        *,
        sketches: AnySketch | Iterable[AnySketch] | None = None,
        photos: AnyPhotos | None = None,
        batch_size: int = 64,
    ) -> Encoded:
        """Encodes sketches or photos of any origin, read as the training data was read.

        Regions of photos are found by selective search. Those that training took from files (`BoxFile`,
        `ViewHierarchy`) exist for its own photos alone, so a system trained with them searches too, and says so on
        stderr.

        Args:
            sketches: one or several, files or `VectorSketch` objects.
            photos: a folder, or one or several photos: files, PIL images, arrays `(H, W, 3)` uint8 RGB or
                `PhotoRecord` objects.
            batch_size: images an encoding step.

        Raises:
            InputError: if not just one of the two is given, something is no image or cannot be read, the batch size is
                not positive, or the system has seen no data.
        """
        if (sketches is None) == (photos is None):
            raise InputError("encode", "it takes sketches or photos", "give one of the two")
        if batch_size < 1:
            raise InputError("batch_size", f"{batch_size} is not positive", "use 1 or more")
        if self.reader is None:
            problem = f"{self.name} does not know yet how images are read"
            raise InputError("reader", problem, "train it with a data module, or set `reader`")
        batches: Iterator[SketchBatch] | Iterator[PhotoBatch]
        if photos is not None:
            records = photo_records(photos)
            if self.reader.replaced:
                used = f"training took them from {self.reader.replaced}, these photos get selective search"
                print(f"regions: {used}", file=sys.stderr, flush=True)
            names, batches = [record.id for record in records], self.reader.photos(records, batch_size)
        else:
            assert sketches is not None
            names, drawn = read_sketches(sketches)
            batches = self.reader.sketches(drawn, batch_size)
        shown = progress(batches, "Encoding", len(names), "image", lambda batch: len(batch.position))
        with self._evaluating():
            parts = [self.encode_batch(self._here(batch)) for batch in shown]
        return Encoded(names, concat(parts), "sketches" if photos is None else "photos", self._fingerprint())

    def rank(self, sketch: AnySketch, photos: AnyPhotos | Encoded, top: int | None = None) -> list[Hit]:
        """The photos nearest to a sketch, nearest first; equally near ones keep their order.

        Photos are named by their paths in a folder, paths as given, ids of records, or indices. Their regions are
        found as in `encode`.

        Args:
            sketch: a file or a `VectorSketch`.
            photos: as for `encode`, or what it returned, so that several sketches share one encoding of a gallery.
            top: number of photos, 1 or more; all by default.

        Raises:
            InputError: see `encode`; or if there are several sketches, `top` is less than 1, the encodings are not
                encodings of photos by this system as it is now, or a distance is not finite.
        """
        if top is not None and top < 1:
            raise InputError("top", f"{top} is less than 1", "use e.g. 10, or None for all")
        query = self.encode(sketches=sketch)
        if len(query.names) > 1:
            raise InputError("sketch", f"there are {len(query.names)}", "rank one at a time; `encode` the photos once")
        gallery = photos if isinstance(photos, Encoded) else self.encode(photos=photos)
        if gallery.kind != "photos":
            raise InputError("photos", "these are encodings of sketches", "give encode(photos=...)")
        if gallery.model != query.model:
            problem = "these are encodings by another model, or by this one before it was trained further"
            raise InputError("photos", problem, "encode them with this model")
        with self._evaluating():
            (distances,) = self.match_all(query.encodings, self._here(gallery.encodings))
        if not distances.isfinite().all():
            raise InputError(self.name, "the model gives distances that are not finite", "train it again")
        return nearest(distances, gallery.names, top)

    def _here(self, fields: Any) -> Any:
        """A named tuple of tensors on the device of the system."""
        return type(fields)(*(field.to(self.device) for field in fields))

    def _fingerprint(self) -> str:
        """Tells systems and states of training apart: how the system is made, and the first number of each weight."""
        firsts = [value[(0,) * value.ndim].float() for value in self.state_dict().values() if value.numel()]
        numbers = torch.stack(firsts).tolist() if firsts else []
        return hashlib.sha256(repr((type(self), self.recorded, numbers)).encode()).hexdigest()

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients, then the mode that each module had."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, training in modes.items():
                module.training = training

    def validation_step(self, batch: SketchBatch | PhotoBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Encodes queries, then the gallery."""
        if isinstance(batch, SketchBatch):
            with self._clock:
                encoded = self.encode_batch(batch)
        else:
            encoded = self.encode_batch(batch)
        self._encodings[type(batch)].append((encoded, batch))

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Ranks the gallery for every query and logs the metrics."""
        split = self._collect()
        if self.trainer.sanity_checking:
            return
        self.metrics.update(split.distances, split.target, split.queries)
        self.log_dict({f"val/{k}": v for k, v in self.metrics.compute().items()}, prog_bar=True, sync_dist=True)
        self.metrics.reset()

    def on_test_epoch_end(self) -> None:
        """Ranks and logs as in validation, and keeps `test_ranking`, whose ids are indices in the split."""
        split = self._collect()
        self.metrics.update(split.distances, split.target, split.queries)
        self.log_dict({f"test/{k}": v for k, v in self.metrics.compute().items()}, sync_dist=True)
        self.metrics.reset()
        queries, gallery = ([str(int(i)) for i in indices] for indices in (split.queries, split.gallery))
        self.test_ranking = rank_gallery(split.distances, split.target, queries, gallery)

    def _collect(self) -> _Split:
        """The distances of a whole split, in every process; each matches its own queries with the whole gallery."""
        sketches, queries = zip(*self._encodings[SketchBatch], strict=True)
        photos, gallery = zip(*self._encodings[PhotoBatch], strict=True)
        self._encodings = {SketchBatch: [], PhotoBatch: []}
        indices, *encoded = self._gathered(torch.cat([g.position for g in gallery]), *concat(photos))
        with self._clock:
            distances = self.match_all(concat(sketches), type(photos[0])(*encoded))
        self.query_seconds, self._clock = self._clock.seconds / len(distances), Stopwatch()
        position, target = (torch.cat([getattr(q, name) for q in queries]) for name in ("position", "photo"))
        position, target, distances = self._gathered(position, target, distances)
        return _Split(distances, target, position, indices)

    def _gathered(self, position: Tensor, *fields: Tensor) -> list[Tensor]:
        """The rows of all processes in the order of `position`, each once; a distributed sampler repeats some."""
        rows = [position, *fields]
        if self.trainer.world_size > 1:
            rows = [row.flatten(0, 1) for row in self.all_gather(rows)]
        ordered, order = rows[0].sort(stable=True)
        first = order[ordered.diff(prepend=ordered[:1] - 1) != 0]
        return [row[first] for row in rows]


class _Split(NamedTuple):
    """The evaluation of a split.

    Attributes:
        distances: distances of queries to gallery photos, `(Q, G)`.
        target: gallery index of each query's photo, `(Q,)`.
        queries: indices of the queries in the split, `(Q,)`.
        gallery: indices of the photos in the split's gallery, `(G,)`.
    """

    distances: Tensor
    target: Tensor
    queries: Tensor
    gallery: Tensor
