"""The result of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Result:
    """Metrics of a finished run, and what they were measured on.

    Attributes:
        system: e.g. "proposed".
        dataset: e.g. "chair_v2".
        experiment: the experiment file's name, e.g. "chair_v2/proposed".
        recipe: "paper" or "modern".
        seed: seed of the run.
        n_test: number of test queries.
        n_gallery: number of test photos.
        split_hash: hash of the test split's ids; accuracies compare only where it is equal.
        acc1: percent, as acc5 and acc10.
        acc5: percent.
        acc10: percent.
        mean_rank: from 1.
        mrr: mean reciprocal rank, percent.
        val_acc1: acc@1 on val of the checkpoint tested, percent; None if it was not validated.
        best_epoch: epoch of the checkpoint tested, from 0; None if it was not trained here.
        train_seconds: wall time; None if it was not trained here.
        test_seconds: wall time.
        parameters: number of trainable parameters.
        commit: commit of fgsbir; None outside a checkout.
        config_hash: hash of the resolved configuration.
        hardware: one line, of the machine of the test.
        versions: versions of fgsbir and the packages that decide the result.
        finished: UTC, ISO 8601.
        all_parameters: frozen ones included. This and the next are None in a result of an earlier version.
        sketch_flops: to encode a sketch of 10 strokes; `photo_flops`: a photo with the experiment's number of regions.
        pair_flops: to match the two.
        query_ms: time a test query, in milliseconds: to encode it, and to match it with the whole gallery.
        peak_memory_mib: until the end of the test, of the GPU's tensors, else of the process.
        train_hardware: one line, of the machine of the training, of its last part if it was resumed; None where it is
            not known.
    """

    system: str
    dataset: str
    experiment: str
    recipe: str
    seed: int
    n_test: int
    n_gallery: int
    split_hash: str
    acc1: float
    acc5: float
    acc10: float
    mean_rank: float
    mrr: float
    val_acc1: float | None
    best_epoch: int | None
    train_seconds: float | None
    test_seconds: float
    parameters: int
    commit: str | None
    config_hash: str
    hardware: str
    versions: dict[str, str]
    finished: str
    all_parameters: int | None = None
    sketch_flops: int | None = None
    photo_flops: int | None = None
    pair_flops: int | None = None
    query_ms: float | None = None
    peak_memory_mib: float | None = None
    train_hardware: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, in the order above."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Builds a result from what `to_dict` gave, now or in an earlier version; names it does not know are left out.

        Raises:
            ValueError: naming the figure that is missing or of the wrong type.
        """
        if str(dict(data.get("versions") or {}).get("fgsbir")) == "0.1.0" and isinstance(data.get("mrr"), float):
            data = {**data, "mrr": 100 * data["mrr"]}  # it was in (0, 1] then
        hints = get_type_hints(cls)
        for field in fields(cls):
            if field.name not in data:
                if field.default is MISSING:
                    raise ValueError(f"'{field.name}' is missing")
            elif not _fits(data[field.name], hints[field.name]):
                raise ValueError(f"'{field.name}' is {data[field.name]!r}")
        return cls(**{name: data[name] for name in hints if name in data})


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type `hint`; an integer is a float, a truth value is no number."""
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    kind = get_origin(hint) or hint
    return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
