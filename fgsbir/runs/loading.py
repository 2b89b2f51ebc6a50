"""The system and the data of a configuration, and of a finished run as they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.errors import InputError
from fgsbir.files import file_digest
from fgsbir.models.backbone import Backbone
from fgsbir.runs.folder import RunFolder
from fgsbir.systems.base import System


def load_run(run: RunFolder) -> tuple[System, SketchPhotoDataModule]:
    """Builds what a run's configuration says and loads its best checkpoint, ready for evaluation.

    A system with nothing to train has no checkpoint and needs none.

    Raises:
        InputError: if the configuration is not one of this version, or the checkpoint is missing or does not fit.
    """
    system, data = build(run.read_config(), run.config, "train again")
    if any(p.requires_grad for p in system.parameters()):
        _load(system, run.best_checkpoint)
    return system.eval(), data


def load_backbone(system: System, run: RunFolder) -> None:
    """Loads the backbone of a run's best checkpoint into a system, and says so in its `origin`.

    Raises:
        InputError: if the checkpoint is missing or has no such backbone, or the system has none.
    """
    backbone = getattr(system, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise InputError("backbone_from", f"{system.name} has no backbone of this kind", "use null")
    _load(backbone, run.best_checkpoint, "backbone.")
    source = f"{run.path.parent.name}/{run.path.name}"
    backbone.origin = {"source": source, "sha256": file_digest(run.best_checkpoint)}


def _load(module: nn.Module, checkpoint: Path, prefix: str = "") -> None:
    """Loads what a checkpoint has under a prefix."""
    state = read_checkpoint(checkpoint)["state_dict"]
    try:
        module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (TypeError, RuntimeError) as error:
        problem = f"it does not fit the configuration ({str(error).splitlines()[0]})"
        raise InputError(checkpoint, problem, _mend(checkpoint)) from None


def _mend(checkpoint: Path) -> str:
    # What is trained already is not trained again, so the folder has to go first.
    return f"copy it here, or delete {checkpoint.parent} and train again"


def read_checkpoint(checkpoint: Path, mend: str | None = None) -> dict[str, Any]:
    """What a checkpoint holds, the weights under `state_dict`.

    Args:
        checkpoint: the file.
        mend: what to do where it is missing or damaged; to train again by default.

    Raises:
        InputError: if it is.
    """
    mend = mend or _mend(checkpoint)
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(checkpoint, "no such file", mend) from None
    except Exception as error:  # the reader of damaged bytes raises nearly anything
        problem = f"not a checkpoint, or damaged ({' '.join(str(error).split())[:100]})"
        raise InputError(checkpoint, problem, mend) from None
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise InputError(checkpoint, "not a checkpoint, or damaged (no weights in it)", mend)
    return found


def build(config: Mapping[str, Any], where: object, mend: str) -> tuple[System, SketchPhotoDataModule]:
    """The system and the data that a configuration describes, new.

    Args:
        config: with `model` and `data`; the rest is not read.
        where: the configuration came from, for errors.
        mend: what to do about a bad one, likewise.

    Raises:
        InputError: if it is not a configuration of this version.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(System, "model")
    parser.add_class_arguments(SketchPhotoDataModule, "data")
    try:
        objects = parser.instantiate_classes(parser.parse_object({name: config[name] for name in ("model", "data")}))
    except (ArgumentError, KeyError, ValueError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, InputError):  # jsonargparse wraps what a class says of its arguments
            raise cause from None
        problem = f"not a configuration of this version ({' '.join(str(error).split())})"
        raise InputError(where, problem, mend) from None
    return cast(System, objects.model), cast(SketchPhotoDataModule, objects.data)
