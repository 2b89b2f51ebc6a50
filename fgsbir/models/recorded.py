"""Objects that remember how they were made, so that a checkpoint alone can make them again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Self


class Recorded:
    """Base of the classes that remember the arguments of their constructor, as plain types.

    Attributes:
        recorded: `{"class_path": ..., "init_args": ...}`, what jsonargparse needs to make an equal object, defaults
            included; None if an argument is not plain. Files of pretrained `weights` are left out ("none"), because
            the weights are in the checkpoint.

    Example:
        >>> class Layer(Recorded):
        ...     def __init__(self, size: int, weights: str = "none") -> None:
        ...         self.size = size
        >>> Layer(3, weights="a.pth").recorded["init_args"]
        {'size': 3, 'weights': 'none'}
    """

    recorded: dict[str, Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Makes the object and notes its arguments."""
        self = super().__new__(cls)
        # Partial, because copies and unpickled objects are made without arguments; they bring their own record.
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        try:
            init_args = {name: plain(value) for name, value in arguments}
        except TypeError:
            recorded = None
        else:
            if isinstance(init_args.get("weights"), str):
                init_args["weights"] = "none"
            recorded = {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": init_args}
        self.__dict__["recorded"] = recorded  # past the attributes of torch modules, which do not exist yet
        return self


def plain(value: Any) -> Any:
    """An argument as plain types: numbers, text, lists and dictionaries.

    Raises:
        TypeError: if it holds anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Recorded) and value.recorded is not None:
        return value.recorded
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no plain type")
