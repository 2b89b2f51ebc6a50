"""Defaults of the classes that a configuration names, read from their source: importing them would import torch.

With them in the hash, a default that is spelt out names the same run as one that is not, and a default that changes
names another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fgsbir.errors import InputError

DATA = "fgsbir.data.datamodule.SketchPhotoDataModule"
"""Class of `data`."""

TRAINER = "lightning.pytorch.trainer.trainer.Trainer"
"""Class of `trainer`. Its defaults are Lightning's, and no part of a configuration."""

WANDB = "fgsbir.runs.wandb_logger.WandbOptions"
"""Class of `wandb`."""

TOP: Mapping[str, Any] = {
    "experiment": "custom",
    "recipe": "custom",
    "trained_as": None,
    "backbone_from": None,
    "runs_dir": "runs",
    "ckpt_path": None,
    "compile": False,
    "seed_everything": 0,
    "trainer": {},
    "model": None,
    "data": {},
}
"""Top-level settings that every configuration has, with their defaults."""

OPTIONAL = ("wandb", "optimizer", "lr_scheduler")
"""Top-level settings that are left out where they are not given."""

_SHORT = (
    "fgsbir.systems",
    "fgsbir.losses",
    "fgsbir.data.datasets",
    "fgsbir.models.backbone",
    "fgsbir.models.sketch_a_net",
    "fgsbir.models.stroke_transformer",
    "fgsbir.regions.selective_search",
    "fgsbir.regions.view_hierarchy",
    "fgsbir.regions.box_file",
)
"""Modules whose classes may go by their last name."""


@dataclass(frozen=True)
class Source:
    """The source of a class.

    Attributes:
        path: module and name, where it is defined.
        node: its definition.
        module: the module's syntax tree.
    """

    path: str
    node: ast.ClassDef
    module: ast.Module


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the defaults of all of fgsbir's classes in it, and of other classes with a source.

    Raises:
        InputError: if there is no system, or a setting does not exist.
    """
    for name in config:
        if name not in (*TOP, *OPTIONAL):
            raise InputError(name, "no such setting", f"use {_near(name, (*TOP, *OPTIONAL))}")
    out = {**TOP, **{name: value for name, value in config.items() if name in TOP or value is not None}}
    model = _value(out["model"], "model")
    if not isinstance(model, Mapping) or "class_path" not in model:
        raise InputError("model", "no system is named", "add --system NAME, e.g. proposed, or --config FILE")
    data, trainer, wandb = (dict(out.get(name) or {}) for name in ("data", "trainer", "wandb"))
    if data.pop("seed", seed := out["seed_everything"]) != seed:
        raise InputError("data.seed", f"the data has the seed of the run, {seed}", "use --seed")
    source = find_class(DATA)
    assert source is not None
    filled = _filled(source, data, "data")
    filled.pop("seed")
    if (wandb_options := find_class(WANDB)) is not None:
        _check(wandb_options, wandb, "wandb")
    if (lightning := find_class(TRAINER)) is not None:
        known = _check(lightning, trainer, "trainer")
        trainer = {name: value for name, value in trainer.items() if name not in known or value != known[name]}
    trainer = {name: _value(value, f"trainer.{name}") for name, value in trainer.items()}
    return {**out, "model": model, "data": filled, "trainer": trainer}


def _filled(source: Source, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The arguments of a class: defaults, and over them what is given."""
    known = _check(source, given, key)
    out = {}
    for name, default in known.items():
        value = given.get(name, default)
        if isinstance(default, Default) and isinstance(value, Default | Mapping):
            value = _filled(default.source, {} if isinstance(value, Default) else value, f"{key}.{name}")
        if value is not MISSING:
            out[name] = _value(value, f"{key}.{name}")
    return out | {name: value for name, value in given.items() if name not in known}


def _check(source: Source, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The arguments of a class with their defaults; refuses what is given and is none of them."""
    known, takes_more = arguments(source)
    for name in given:
        if name not in known and not takes_more:
            raise InputError(f"{key}.{name}", f"{source.node.name} has no such setting", f"use {_near(name, known)}")
    return known


def _value(value: Any, key: str) -> Any:
    """A value as it is; of a class, with the defaults of its arguments."""
    if isinstance(value, list):
        return [_value(item, key) for item in value]
    if isinstance(value, str) and (value.startswith("fgsbir.") or value[:1].isupper()) and find_class(value):
        value = {"class_path": value}
    if not isinstance(value, Mapping) or "class_path" not in value:
        return value
    source = find_class(str(value["class_path"]))
    if source is None:
        return dict(value)
    given = value.get("init_args") or {}
    rest = {name: item for name, item in value.items() if name not in ("class_path", "init_args")}
    return {"class_path": source.path, "init_args": _filled(source, given, key), **rest}


def _near(name: str, known: Iterable[str]) -> str:
    """The settings that a misspelt one may mean; all where none is like it."""
    return ", ".join(get_close_matches(name, list(known), 3) or known)


class _Missing:
    """What stands for a default that does not exist, or cannot be told from the source."""


MISSING = _Missing()


@dataclass(frozen=True)
class Default:
    """A default that is made by calling a class without arguments, such as `Rendering()`."""

    source: Source


def arguments(source: Source) -> tuple[dict[str, Any], bool]:
    """The arguments of a class with their defaults, and whether it takes others, by `**`.

    The arguments of a dataclass are its fields; a class without a constructor has its base's arguments.
    """
    for item in source.node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            named, only = item.args.args[1:], item.args.kwonlyargs
            defaults: list[ast.expr | None] = [None] * (len(named) - len(item.args.defaults)) + [*item.args.defaults]
            pairs = [*zip(named, defaults, strict=True), *zip(only, item.args.kw_defaults, strict=True)]
            return {arg.arg: _default(node, source) for arg, node in pairs}, item.args.kwarg is not None
    if any("dataclass" in ast.unparse(decorator) for decorator in source.node.decorator_list):
        fields = [item for item in source.node.body if isinstance(item, ast.AnnAssign)]
        return {ast.unparse(field.target): _default(field.value, source) for field in fields}, False
    for base in source.node.bases:
        found = _look_up(ast.unparse(base), source.module, source.path.rpartition(".")[0])
        if found is not None:
            return arguments(found)
    return {}, bool(source.node.bases)


def _default(node: ast.expr | None, source: Source) -> Any:
    """The value of a default: a literal, arithmetic of literals, or the call of a class."""
    if node is None:
        return MISSING
    if isinstance(node, ast.Call) and not node.args and not node.keywords:
        found = _look_up(ast.unparse(node.func), source.module, source.path.rpartition(".")[0])
        return MISSING if found is None else Default(found)
    try:
        value = eval(compile(ast.Expression(node), source.path, "eval"), {"__builtins__": {}})
    except NameError:
        return MISSING
    return list(value) if isinstance(value, tuple) else value


@cache
def find_class(name: str) -> Source | None:
    """The source of a class by its path, or by its last name alone; None where there is none to read."""
    if "." in name:
        module, _, last = name.rpartition(".")
        tree = _module(module)
        return None if tree is None else _look_up(last, tree, module)
    return next((found for module in _SHORT if (found := find_class(f"{module}.{name}"))), None)


def _look_up(name: str, module: ast.Module, path: str) -> Source | None:
    """A class by the name that it has in a module, defined there or imported."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Source(f"{path}.{name}", node, module)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                target = f"{node.module}.{alias.name}"
                if (alias.asname or alias.name) == name and target != f"{path}.{name}":  # a module of its package
                    return find_class(target)
    return None


@cache
def _module(name: str) -> ast.Module | None:
    """The syntax tree of a module, found without importing it; None where there is no such file."""
    top, *below = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    path = folder.joinpath(*below)
    candidates = [path / "__init__.py", path.with_suffix(".py")] if below else [Path(spec.origin)]
    for file in candidates:
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    return None
