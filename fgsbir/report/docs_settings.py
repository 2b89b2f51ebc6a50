"""Tables of settings in the documentation, made from signatures, docstrings and recipes.

A page holds each table between two markers, and the name in the first one says which table it is:

    <!-- settings: b_siamese -->        a system: defaults, modern recipe, paper recipe
    <!-- settings: recipes -->          what each recipe gives to all systems
    <!-- settings: data.rendering -->   a group of settings that every run has: defaults
    <!-- /settings -->
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.files import atomic_write, read_bytes
from fgsbir.models.backbone import Backbone
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.runs.experiments import load_experiment
from fgsbir.runs.shipped import shipped
from fgsbir.runs.wandb_logger import WandbOptions
from fgsbir.systems import SYSTEMS
from fgsbir.systems.base import Optimisation

Settings = dict[str, Any]
"""Values by dotted name, as on the command line but without `model.`."""

RECIPES = ("modern", "paper")

BLOCK = re.compile(r"(<!-- settings: (?P<name>[\w.]+) -->\n).*?(<!-- /settings -->)", re.DOTALL)

GROUPS: dict[str, Callable[..., Any]] = {
    "optimisation": Optimisation,
    "data": SketchPhotoDataModule,
    "data.rendering": Rendering,
    "data.augmentation": Augmentation,
    "backbone": Backbone,
    "strokes": StrokeTransformer,
    "wandb": WandbOptions,
}
"""Classes of the groups of settings, where a configuration names no other."""

MISSING = inspect.Parameter.empty


def refresh_settings(docs: Path, experiments: Path | None = None) -> None:
    """Rewrites every table of settings in the pages below a folder; all else in them stays as it is.

    Args:
        docs: folder of the pages.
        experiments: folder of the recipes; those that come with fgsbir by default.

    Raises:
        InputError: if a page or a recipe cannot be read, or a marker names no table; then no page is written.
    """
    pages = {page: read_bytes(page).decode() for page in sorted(docs.rglob("*.md"))}
    experiments = experiments or shipped("experiments")
    fresh = {page: refreshed_settings(page, text, experiments) for page, text in pages.items()}
    for page, text in fresh.items():
        if text != pages[page]:
            with atomic_write(page, "w") as file:
                file.write(text)


def refreshed_settings(page: Path, text: str, experiments: Path) -> str:
    """The text of a page with its tables of settings made anew.

    Raises:
        InputError: if a marker names no table.
    """

    def table(name: str) -> str:
        if name == "recipes":
            return recipes_table(experiments)
        if name in SYSTEMS:
            return system_table(name, experiments)
        if name in GROUPS:
            return group_table(name)
        known = ", ".join(["recipes", *GROUPS, *SYSTEMS])
        raise InputError(page, f"there are no settings '{name}'", f"use one of {known}")

    return BLOCK.sub(lambda block: block[1] + table(block["name"]) + block[3], text)


def system_table(name: str, experiments: Path) -> str:
    """All settings of a system, and those beyond in which its recipes differ from the common ones."""
    system = SYSTEMS[name]
    parameters = inspect.signature(system).parameters
    nested = {key: type(p.default) for key, p in parameters.items() if is_dataclass(p.default)}
    groups = GROUPS | nested
    own = [
        f"{key}.{field}" if key in nested else key
        for key in parameters
        if key not in ("backbone", "loss", "optimisation")
        for field in (inspect.signature(nested[key]).parameters if key in nested else (key,))
    ]
    recipes, changed = [], set()
    for recipe in RECIPES:
        settings = _recipe(experiments / "systems" / recipe / f"{name}.yaml")
        common = _recipe(experiments / "recipes" / f"{recipe}.yaml")
        recipes.append(settings)
        for key in settings:
            group = key.rpartition(".")[0]
            other_class = settings.get(group) != common.get(group)
            if key not in own and (other_class or settings[key] != common.get(key, ...)):
                changed.add(key)
    rows = []
    for key in [*own, *sorted(changed)]:
        group, _, last = key.rpartition(".")
        kinds = [_class(group, settings, groups) if group else system for settings in recipes]
        known = [inspect.signature(k).parameters if k else {} for k in kinds]
        default = next((p[last].default for p in known if last in p), MISSING)
        values = [
            settings.get(key, p[last].default if last in p else MISSING)
            for settings, p in zip(recipes, known, strict=True)
        ]
        text = next((_meaning(k, last) for k, p in zip(kinds, known, strict=True) if k and last in p), "")
        rows.append((f"`{key}`", *map(_shown, [default, *values]), text))
    return _table(("Setting", "Default", "Modern recipe", "Paper recipe", "Meaning"), rows)


def recipes_table(experiments: Path) -> str:
    """What the recipes give to all systems."""
    recipes = [_recipe(experiments / "recipes" / f"{name}.yaml") for name in RECIPES]
    keys = sorted({key for settings in recipes for key in settings})
    rows = [(f"`{key}`", *(_shown(settings.get(key, MISSING)) for settings in recipes)) for key in keys]
    return _table(("Setting", "Modern recipe", "Paper recipe"), rows)


def group_table(name: str) -> str:
    """The settings of a group that is not a system's, e.g. `data.rendering`; a group inside it has its own table."""
    kind = GROUPS[name]
    rows = [
        (f"`{name}.{key}`", _shown(parameter.default), _meaning(kind, key))
        for key, parameter in inspect.signature(kind).parameters.items()
        if not is_dataclass(parameter.default)
    ]
    return _table(("Setting", "Default", "Meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *rows))


def _recipe(path: Path) -> Settings:
    """The settings of a file of a system or a recipe, the callbacks left out."""
    config = load_experiment(path)
    trainer = {key: value for key, value in config.get("trainer", {}).items() if key != "callbacks"}
    model = config.get("model", {}).get("init_args", {})
    return _flat({"data": config.get("data", {}), "trainer": trainer}) | _flat(model)


def _flat(config: Mapping[str, Any], group: str = "") -> Settings:
    """Settings by dotted name, without `init_args`; a class stands under the name of its group.

    Example:
        >>> _flat({"loss": {"class_path": "Hinge", "init_args": {"margin": 0.2}}})
        {'loss': 'Hinge', 'loss.margin': 0.2}
    """
    settings: Settings = {}
    for key, value in config.items():
        name = f"{group}.{key}" if group else key
        if isinstance(value, dict):
            settings |= _flat(value, group if key == "init_args" else name)
        else:
            settings[group if key == "class_path" else name] = value
    return settings


def _class(group: str, settings: Settings, groups: Mapping[str, Callable[..., Any]]) -> Callable[..., Any] | None:
    """The class that a group of settings makes; None for Lightning's trainer."""
    if group not in settings:
        return groups.get(group)
    module, _, name = settings[group].rpartition(".")
    kind: Callable[..., Any] = getattr(import_module(module), name)
    return kind


def _meaning(kind: Callable[..., Any], name: str) -> str:
    """The first sentence on an argument in the docstring of a class or of its bases."""
    for base in inspect.getmro(kind):  # type: ignore[arg-type]
        arguments = (inspect.getdoc(base) or "").partition("Args:\n")[2]
        if text := re.search(rf"^    {name}: (.*(?:\n     .*)*)", arguments, re.MULTILINE):
            return re.split(r"(?<=\w)\.(?=\s|$)", " ".join(text[1].split()))[0].removesuffix(".").replace("|", "\\|")
    return ""


def _shown(value: Any) -> str:
    """A value as YAML has it; classes by their short names, and a dash where there is none."""
    if value is MISSING:
        return "–"
    if isinstance(value, str) and value.startswith("fgsbir."):
        return f"`{value.rpartition('.')[2]}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    plain = {True: "true", False: "false", None: "null"}
    return f"`{plain.get(value, value) if isinstance(value, bool | None) else value}`"
