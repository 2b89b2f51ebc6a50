"""Experiment files, and how they compose: a system in a recipe over a dataset, perhaps with a variant."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fgsbir.errors import InputError
from fgsbir.runs.shipped import shipped

Config = dict[str, Any]


def compose(
    system: str, dataset: str = "embedded", recipe: str = "modern", variant: str | None = None, root: Path | None = None
) -> Config:
    """The settings of an experiment, with its name `<dataset>/<system>[_<variant>][_<recipe>]`.

    `datasets/<dataset>.yaml` is merged over `systems/<recipe>/<system>.yaml`, and `variants/<variant>.yaml` over both.
    A file `<dataset>/<system>[_<recipe>].yaml`, which says more, takes the place of the first two.

    Args:
        system: system, or a file of the dataset's folder.
        dataset: dataset.
        recipe: recipe; "modern" is no part of the name.
        variant: variant.
        root: folder of all experiments; the shipped ones by default.

    Raises:
        InputError: if one of them is unknown, or its file is damaged.
    """
    root = root or shipped("experiments")
    suffix = "" if recipe == "modern" else f"_{recipe}"
    known = system_names(root, recipe)
    if dataset not in names(root, "datasets"):
        fix = f"use one of {', '.join(names(root, 'datasets'))}, or --config FILE"
        raise InputError("--dataset", f"there is no '{dataset}' in {root}", fix)
    own = root / dataset / f"{system}{suffix}.yaml"
    if own.is_file():
        config = load_experiment(own)
    elif system in known:
        files = (root / "systems" / recipe / f"{system}.yaml", root / "datasets" / f"{dataset}.yaml")
        config = merged(*map(load_experiment, files))
    else:
        fix = f"use one of {', '.join(known)}, or a file"
        raise InputError(f"experiment '{dataset}/{system}{suffix}'", "there is none", fix)
    if variant is not None:
        if variant not in names(root, "variants"):
            fix = f"use one of {', '.join(names(root, 'variants'))}"
            raise InputError("--variant", f"there is no '{variant}' in {root}", fix)
        change = load_experiment(root / "variants" / f"{variant}.yaml")
        if "test_detail" in change.get("data", {}):
            config["trained_as"] = f"{dataset}/{system}{suffix}"
        config = merged(config, change)
        system += f"_{variant}"
    return {"recipe": recipe, **config, "experiment": f"{dataset}/{system}{suffix}"}


def parts_of(name: str, dataset: str, recipe: str | None, root: Path | None = None) -> tuple[str, str, str | None]:
    """System, recipe and variant that the name of an experiment is composed of.

    Args:
        name: e.g. "proposed_coarse_paper".
        dataset: its dataset.
        recipe: its recipe, where the name does not end in it.
        root: folder of all experiments; the shipped ones by default.

    Raises:
        InputError: if there is no such recipe.

    Example:
        >>> parts_of("proposed_coarse_paper", "chair_v2", None)
        ('proposed', 'paper', 'coarse')
    """
    root = root or shipped("experiments")

    def exists(system: str) -> bool:
        return system in system_names(root, recipe or "modern") or (root / dataset / f"{system}.yaml").is_file()

    if recipe is None and not exists(name):
        recipe = _ending(name, sorted(path.name for path in (root / "systems").iterdir()))
        name = name.removesuffix(f"_{recipe}")
    variant = None if exists(name) else _ending(name, names(root, "variants"))
    return name.removesuffix(f"_{variant}"), recipe or "modern", variant


def _ending(name: str, endings: list[str]) -> str | None:
    """The longest of some words that a name ends in."""
    return max((ending for ending in endings if name.endswith(f"_{ending}")), key=len, default=None)


def names(root: Path, kind: str) -> list[str]:
    """The files of a kind, "datasets" or "variants", without their ending."""
    return sorted(path.stem for path in (root / kind).glob("[a-z]*.yaml"))


def system_names(root: Path | None, recipe: str) -> list[str]:
    """The systems that have a recipe.

    Args:
        root: folder of all experiments; the shipped ones by default.
        recipe: e.g. "modern".

    Raises:
        InputError: if there is no such recipe.
    """
    systems = (root or shipped("experiments")) / "systems"
    if not (systems / recipe).is_dir():
        known = ", ".join(sorted(path.name for path in systems.glob("*") if path.is_dir()))
        raise InputError("--recipe", f"there is no '{recipe}' in {systems}", f"use one of {known or 'none'}")
    return names(systems, recipe)


def load_experiment(path: Path, inside: tuple[Path, ...] = ()) -> Config:
    """An experiment file merged over its bases; later bases win, and the file itself wins over all.

    Args:
        path: the file; the paths under its `base` are relative to it.
        inside: files that are being merged, to find circles.

    Raises:
        InputError: if a file is missing, not valid YAML or its own base.
    """
    config = read_yaml(path)
    if path.resolve() in inside:
        raise InputError(path, "it names itself as its base", "remove one 'base'")
    bases = config.pop("base", None) or []
    whole: Config = {}
    for base in [bases] if isinstance(bases, str) else bases:
        whole = merged(whole, load_experiment(path.parent / base, (*inside, path.resolve())))
    whole = merged(whole, config)
    return whole


def read_yaml(path: Path) -> Config:
    """The keys and values of a YAML file.

    Raises:
        InputError: if it is missing or not valid YAML.
    """
    try:
        return deepcopy(_read_yaml(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path of the config") from None


@cache
def _read_yaml(path: Path, _changed: int) -> Config:
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid YAML ({str(error).splitlines()[0]})", "fix the file") from None
    if not isinstance(config, dict):
        raise InputError(path, "not a configuration", "write keys and values")
    return config


def merged(base: Any, over: Any) -> Any:
    """Nested merge; a class replaced by another takes none of its arguments."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    if "class_path" in base and over.get("class_path", base["class_path"]) != base["class_path"]:
        return over
    return {
        key: merged(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key))
        for key in base | over
    }
