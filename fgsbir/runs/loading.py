"""The system and the data of a configuration, and of a finished run as they were."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentError, ArgumentParser

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.reading import Reader
from fgsbir.errors import InputError
from fgsbir.files import file_digest
from fgsbir.models.backbone import Backbone
from fgsbir.runs.folder import RunFolder
from fgsbir.systems.base import System
from fgsbir.systems.checkpoint import NotDescribed, read_checkpoint, restore, retrain


def load_run(run: RunFolder) -> tuple[System, SketchPhotoDataModule]:
    """Builds what a run's configuration says and loads its best checkpoint, ready for evaluation.

    A system with nothing to train has no checkpoint and needs none.

    Raises:
        InputError: if the configuration is not one of this version, or the checkpoint is missing or does not fit.
    """
    system, data = build(run.read_config(), run.config, "train again")
    if any(p.requires_grad for p in system.parameters()):
        restore(system, read_checkpoint(run.best_checkpoint), run.best_checkpoint)
    return system.eval(), data


def load_model(path: str | Path) -> System:
    """The system of a finished run or of a checkpoint, in evaluation mode on the CPU.

    Neither the dataset nor files of pretrained weights are needed if the checkpoint says how its system is made. A run
    folder whose checkpoint does not say it is loaded by its `config.yaml`.

    Args:
        path: a run folder, whose best checkpoint is loaded, or a checkpoint.

    Raises:
        InputError: if there is no such folder or file, it is damaged, or its system is not of this version.

    Example:
        `load_model("runs/chair_v2/proposed/0123abcd-s0").rank("drawing.svg", "photos/")`
    """
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        return System.load_from_checkpoint(folder.path)  # type: ignore[type-abstract]
    with suppress(NotDescribed):
        if folder.best_checkpoint.exists():  # a system that needs no training has none
            return System.load_from_checkpoint(folder.best_checkpoint)  # type: ignore[type-abstract]
    system, data = load_run(folder)
    system.reader = system.reader or Reader.of(data)
    return system


def load_backbone(system: System, run: RunFolder) -> None:
    """Loads the backbone of a run's best checkpoint into a system, and says so in its `origin`.

    Raises:
        InputError: if the checkpoint is missing or has no such backbone, or the system has none.
    """
    backbone = getattr(system, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise InputError("backbone_from", f"{system.name} has no backbone of this kind", "use null")
    state, prefix = read_checkpoint(run.best_checkpoint)["state_dict"], "backbone."
    try:
        backbone.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (TypeError, RuntimeError) as error:
        problem = f"it does not fit the configuration ({str(error).splitlines()[0]})"
        raise InputError(run.best_checkpoint, problem, retrain(run.best_checkpoint)) from None
    source = f"{run.path.parent.name}/{run.path.name}"
    backbone.origin = {"source": source, "sha256": file_digest(run.best_checkpoint)}


def build(config: Mapping[str, Any], where: object, fix: str) -> tuple[System, SketchPhotoDataModule]:
    """The system and the data that a configuration describes, new.

    Args:
        config: with `model` and `data`; the rest is not read.
        where: origin of the configuration, for errors.
        fix: what to do about a bad one, for errors.

    Raises:
        InputError: if it is not a configuration of this version.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(System, "model")
    parser.add_class_arguments(SketchPhotoDataModule, "data")
    try:
        parsed = parser.parse_object({name: config[name] for name in ("model", "data") if name in config})
        objects = parser.instantiate_classes(parsed)
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, InputError):  # jsonargparse wraps what a class says of its arguments
            raise cause from None
        problem = f"not a configuration of this version ({' '.join(str(error).split())})"
        raise InputError(where, problem, fix) from None
    return cast(System, objects.model), cast(SketchPhotoDataModule, objects.data)
