"""Experiment files: YAML that names the files it is merged over, and how a system and a recipe go with a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from fgsbir.errors import InputError


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        InputError: if it is missing or not valid YAML.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path of the config") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid YAML ({str(error).splitlines()[0]})", "mend the file") from None
    if not isinstance(config, dict):
        raise InputError(path, "not a configuration", "write keys and values")
    return config


def load_experiment(path: Path, inside: tuple[Path, ...] = ()) -> dict[str, Any]:
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
    merged: dict[str, Any] = {}
    for base in config.pop("base", []):
        merged = _merge(merged, load_experiment(path.parent / base, (*inside, path.resolve())))
    merged = _merge(merged, config)
    return merged


def _merge(base: Any, over: Any) -> Any:
    """Nested merge; a class replaced by another takes none of its arguments."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    if "class_path" in base and over.get("class_path", base["class_path"]) != base["class_path"]:
        return over
    return {
        key: _merge(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key))
        for key in base | over
    }


def experiment_words(root: Path, dataset: str, name: str, recipe: str = "modern") -> list[str]:
    """The options of `fgsbir fit` that name an experiment on a dataset in a recipe.

    They name its file, `<dataset>/<name>.yaml` or `<dataset>/<name>_<recipe>.yaml`, where there is one. Otherwise they
    name the files that the modern experiment is made of, with the system's recipe exchanged, or those of system and
    dataset, and repeat what the experiment changes, other than the model, whose settings belong to a recipe.

    Args:
        root: the folder of experiments.
        dataset: a folder in it.
        name: of a file in that, or of a system.
        recipe: "modern" or the end of the name of a file in `_systems`, such as "paper".

    Raises:
        InputError: if there are no such files, or one is damaged.
    """
    suffix = "" if recipe == "modern" else f"_{recipe}"
    path, modern = root / dataset / f"{name}{suffix}.yaml", root / dataset / f"{name}.yaml"
    if path.is_file():
        return ["--config", str(path)]
    if not (root / dataset / "_data.yaml").is_file():
        raise InputError(root / dataset, "no dataset of that name", "see the folders of experiments")
    own: dict[str, Any] = (
        read_yaml(modern) if modern.is_file() else {"base": [f"../_systems/{name}.yaml", "_data.yaml"]}
    )
    words: list[str] = []
    for base in own.pop("base"):
        part = Path(base)
        if part.parent.name == "_systems":
            part = part.with_name(f"{part.stem}{suffix}.yaml")
        file = Path(os.path.normpath(root / dataset / part))
        if not file.is_file():
            raise InputError(path, "no such experiment", f"write it, or {file}")
        words += ["--config", str(file)]
    own |= {"experiment": f"{dataset}/{name}{suffix}"}
    if suffix:
        own.pop("model", None)
    if "trained_as" in own:
        own["trained_as"] += suffix
    return words + [word for key, value in _leaves(own) for word in (f"--{key}", value)]


def backbone_words(words: Sequence[str]) -> list[str] | None:
    """The options of `fgsbir fit` that train the backbone that an experiment takes over; None if it trains its own.

    They are those of the experiment that `backbone_from` names, and all that was said of this one on the command line
    but for its model, of which the backbone's settings are kept.

    Args:
        words: options of `fgsbir fit` for the experiment that takes it over.

    Raises:
        InputError: if a file is missing or damaged, or the other experiment takes over a backbone too.
    """
    files, said = _options(words)
    config: dict[str, Any] = {}
    for file in files:
        config = _merge(config, load_experiment(Path(file)))
    config |= {name: value for name, value in said if name in ("backbone_from", "experiment", "recipe", "experiments")}
    name = config.get("backbone_from")
    if name in (None, "null"):
        return None
    if str(name).endswith((".yaml", ".yml")):
        other = ["--config", str(name)]
    else:
        dataset = str(config.get("experiment", "custom")).partition("/")[0]
        root = Path(config.get("experiments", "experiments"))
        other = experiment_words(root, dataset, str(name), str(config.get("recipe", "modern")))
    other += [f"--{key}={value}" for key, value in said if _is_shared(key)]
    if backbone_words(other) is not None:
        raise InputError("backbone_from", f"{name} takes over a backbone itself", "name the experiment that trains it")
    return other


def _options(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The configuration files among options, and the others as names and values."""
    files, said = [], []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        value = value if equals else next(pending, "")
        if option in ("--config", "-c"):
            files.append(value)
        else:
            said.append((option.lstrip("-"), value))
    return files, said


def _is_shared(key: str) -> bool:
    """Whether a setting of an experiment is also one of the experiment that trains its backbone."""
    if key.startswith("model"):
        return key.startswith(("model.backbone", "model.init_args.backbone"))
    return key not in ("experiment", "recipe", "trained_as", "backbone_from", "ckpt_path", "data.test_detail")


def _leaves(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested settings as options: dotted keys and YAML."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _leaves(value, f"{key}.{name}" if key else name)
    else:
        text = yaml.safe_dump(config, default_flow_style=True, width=10**6)
        yield key, text.removesuffix("...\n").strip()
