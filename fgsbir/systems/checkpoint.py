"""Checkpoints that say which system they hold, so that a file is enough to load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fgsbir.data.reading import Reader
from fgsbir.errors import InputError
from fgsbir.models.recorded import FIX, found_class, plain, rebuilt

if TYPE_CHECKING:
    from fgsbir.systems.base import System

KEY = "system"
"""Where a checkpoint says how its system is made."""


def read_checkpoint(checkpoint: Path, fix: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint, its weights under `state_dict`.

    Args:
        checkpoint: the file.
        fix: what to do if it is missing or damaged; to train again by default.

    Raises:
        InputError: if it is.
    """
    fix = fix or retrain(checkpoint)
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(checkpoint, "no such file", fix) from None
    except Exception as error:  # the reader of damaged bytes raises nearly anything
        problem = f"not a checkpoint, or damaged ({' '.join(str(error).split())[:100]})"
        raise InputError(checkpoint, problem, fix) from None
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise InputError(checkpoint, "not a checkpoint, or damaged (no weights in it)", fix)
    return found


def retrain(checkpoint: Path) -> str:
    """What to do about a bad checkpoint of a run: what is trained already is not trained again."""
    return f"copy it here, or delete {checkpoint.parent} and train again"


def description(system: System) -> dict[str, Any] | None:
    """How a system is made, as plain types; None if an argument of its constructor is not plain."""
    if system.recorded is None:
        return None
    origins = {name: dict(module.origin) for name, module in pretrained(system).items()}
    return {**system.recorded, "origins": origins, "reader": plain(system.reader and system.reader.settings())}


def pretrained(system: nn.Module) -> dict[str, Any]:
    """The modules that know the origin of their weights, by name."""
    return {
        name: module for name, module in system.named_modules() if isinstance(getattr(module, "origin", None), dict)
    }


class NotDescribed(InputError):
    """A checkpoint does not say how its system is made, or says it of classes that are not here."""


def load_system(checkpoint: Path, base: type[System], strict: bool = True) -> System:
    """The system of a checkpoint, new, with its weights, on the CPU.

    Args:
        checkpoint: the file.
        base: base class of all systems.
        strict: whether the weights must be exactly the system's, none missing and none left over.

    Raises:
        NotDescribed: if its system cannot be made from what it says.
        InputError: if the file is missing or damaged, or its weights do not fit.
    """
    fix = "name a checkpoint that this version of fgsbir has written"
    found = read_checkpoint(checkpoint, fix)
    made = found.get(KEY)
    if not isinstance(made, dict):
        problem = "it does not say how its system is made"
        raise NotDescribed(checkpoint, problem, f"{fix}, or build the system yourself")
    try:
        if not issubclass(found_class(made.get("class_path"), checkpoint), base):
            raise InputError(checkpoint, f"its class '{made['class_path']}' is no system", FIX)
        system: System = rebuilt({"class_path": made["class_path"], "init_args": made.get("init_args")}, checkpoint)
    except InputError as error:
        raise NotDescribed(str(error)) from None
    restore(system, found, checkpoint, fix, strict)
    return system


def restore(
    system: System, found: Mapping[str, Any], checkpoint: Path, fix: str | None = None, strict: bool = True
) -> None:
    """Takes weights, their origins and the reader of a checkpoint.

    Args:
        system: an equal system.
        found: the content of the checkpoint.
        checkpoint: its file, for errors.
        fix: what to do if it does not fit; to train again by default.
        strict: whether the weights must be exactly the system's, none missing and none left over.

    Raises:
        InputError: if the checkpoint does not fit.
    """
    made = found.get(KEY) or {}
    try:
        system.load_state_dict(found["state_dict"], strict=strict)
        for name, origin in made.get("origins", {}).items():
            system.get_submodule(name).origin = origin
        if made.get("reader") is not None:
            system.reader = Reader.from_settings(made["reader"])
    except (TypeError, KeyError, AttributeError, RuntimeError) as error:
        problem = f"it does not fit the configuration ({str(error).splitlines()[0]})"
        raise InputError(checkpoint, problem, fix or retrain(checkpoint)) from None
