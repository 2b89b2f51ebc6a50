"""A finished run's system and data, as they were."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import cast

import torch
from jsonargparse import ArgumentError, ArgumentParser

from fgsbir.data.datamodule import SketchPhotoData
from fgsbir.errors import InputError
from fgsbir.runs.folder import RunFolder
from fgsbir.systems.base import System


def load_run(run: RunFolder) -> tuple[System, SketchPhotoData]:
    """Builds what a run's configuration says and loads its best checkpoint, ready for evaluation.

    Raises:
        InputError: if the configuration is not one of this version, or the checkpoint is missing or does not fit.
    """
    config = run.read_config()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(System, "model")
    parser.add_class_arguments(SketchPhotoData, "data")
    try:
        objects = parser.instantiate_classes(parser.parse_object({name: config[name] for name in ("model", "data")}))
    except (ArgumentError, KeyError, ValueError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, InputError):  # jsonargparse wraps what a class says of its arguments
            raise cause from None
        problem = f"not a configuration of this version ({' '.join(str(error).split())})"
        raise InputError(run.config, problem, "train again") from None
    system = cast(System, objects.model)
    try:
        state = torch.load(run.best_checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        system.load_state_dict(state)
    except FileNotFoundError:
        raise InputError(run.best_checkpoint, "no such file", "train again or copy it here") from None
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, UnpicklingError) as error:
        problem = f"it does not fit the configuration ({str(error).splitlines()[0]})"
        raise InputError(run.best_checkpoint, problem, "train again") from None
    return system.eval(), cast(SketchPhotoData, objects.data)
