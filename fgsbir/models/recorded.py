"""Objects that remember how they were made, so that a checkpoint alone can make them again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from fgsbir.errors import InputError

OBJECT = {"class_path", "init_args"}
"""Keys of a dictionary that describes an object."""

FIX = "use the version of fgsbir that has written it, or build the system yourself"


class Recorded:
    """Base of the classes that remember the arguments of their constructor, as plain types.

    Attributes:
        file_arguments: names of the arguments that may name a file of weights. They are recorded as "none", because
            the weights are in the checkpoint.
        recorded: `{"class_path": ..., "init_args": ...}`, from which `rebuilt` makes an equal object, defaults
            included; None if an argument is not plain, or has no name (`*args`).

    Example:
        >>> class Layer(Recorded):
        ...     file_arguments = ("weights",)
        ...     def __init__(self, size: int, weights: str = "none") -> None:
        ...         self.size = size
        >>> Layer(3, weights="a.pth").recorded["init_args"]
        {'size': 3, 'weights': 'none'}
    """

    file_arguments: ClassVar[tuple[str, ...]] = ()
    recorded: dict[str, Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Makes the object and notes its arguments."""
        self = super().__new__(cls)
        try:
            recorded = _description(cls, _arguments(self, args, kwargs))
        except TypeError:  # not plain, or wrong arguments, of which the constructor complains
            recorded = None
        self.__dict__["recorded"] = recorded  # past the attributes of torch modules, which do not exist yet
        return self


def plain(value: Any) -> Any:
    """An argument as plain types, which `torch.load` reads without trust.

    NumPy's numbers, enums of numbers or text, and paths become numbers and text. Objects of `Recorded` classes and
    dataclasses become `{"class_path": ..., "init_args": ...}`.

    Raises:
        TypeError: if it holds anything else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, Enum) and isinstance(value, int | float | str):
        value = value.value
    elif isinstance(value, Path):
        value = str(value)
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Recorded) and value.recorded is not None:
        return value.recorded
    if is_dataclass(value) and not isinstance(value, type):
        return _description(type(value), {f.name: getattr(value, f.name) for f in fields(value) if f.init})
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, Mapping) and value.keys() != OBJECT:
        return {plain(key): plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no plain type")


def rebuilt(value: Any, where: object) -> Any:
    """What `plain` has described, made anew.

    Only `Recorded` classes and dataclasses are called, because a checkpoint may come from anywhere.

    Args:
        value: what `plain` returned.
        where: the checkpoint, for errors.

    Raises:
        InputError: if a class cannot be imported, may not be called, or refuses its arguments.
    """
    if isinstance(value, list | tuple):
        return type(value)(rebuilt(item, where) for item in value)
    if not isinstance(value, dict):
        return value
    if value.keys() != OBJECT:
        return {key: rebuilt(item, where) for key, item in value.items()}
    cls = found_class(value["class_path"], where)
    init_args = rebuilt(value["init_args"], where)
    try:
        return cls(**init_args)
    except InputError:
        raise
    except Exception as error:  # constructors of another version may raise anything
        problem = f"not a configuration of this {cls.__name__} ({' '.join(str(error).split())[:100]})"
        raise InputError(where, problem, FIX) from None


def found_class(class_path: Any, where: object) -> type[Any]:
    """The class of a description, which may be nested in another one.

    Raises:
        InputError: if it cannot be imported, or is neither a `Recorded` class nor a dataclass.
    """
    *parents, _ = parts = str(class_path).split(".")
    cls: Any = None
    for end in range(len(parents), 0, -1):
        try:
            cls = import_module(".".join(parts[:end]))
            for name in parts[end:]:
                cls = getattr(cls, name)
            break
        except Exception:  # a module may raise anything while it is imported
            cls = None
    if cls is None:
        fix = "install its package, or start where its module is found"
        raise InputError(where, f"its class '{class_path}' cannot be imported", fix)
    if not isinstance(cls, type) or not (issubclass(cls, Recorded) or is_dataclass(cls)):
        raise InputError(where, f"'{class_path}' is no class that a checkpoint may make", FIX)
    return cls


def _description(cls: type[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Class and arguments as plain types."""
    init_args = {name: plain(value) for name, value in arguments.items()}
    for name in getattr(cls, "file_arguments", ()):
        if isinstance(init_args.get(name), str):
            init_args[name] = "none"
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": init_args}


def _arguments(new: Recorded, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor by name, defaults included.

    Raises:
        TypeError: if they do not fit it, or one has no name.
    """
    signature = inspect.signature(type(new).__init__)
    # Partial, because copies and unpickled objects are made without arguments; they bring their own record.
    bound = signature.bind_partial(new, *args, **kwargs)
    bound.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= value
        elif kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            if value:
                raise TypeError(f"{name} has no name to be recorded under")
        else:
            arguments[name] = value
    return arguments
