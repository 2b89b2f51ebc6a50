"""From settings to a run: what the command line, a sweep or a notebook asks for becomes one `ResolvedRun`.

Nothing here imports torch, so a sweep of hundreds of runs is planned in a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import yaml

from fgsbir.errors import InputError
from fgsbir.runs.defaults import with_defaults
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.hashing import config_hash
from fgsbir.runs.shipped import shipped

Config = dict[str, Any]

SELECTORS = ("system", "dataset", "recipe", "variant", "experiment", "experiments", "seed")
"""Options that choose what is run; all others are settings."""

_TRANSIENT = ("config", "ckpt_path", "experiments", "weights_only", "return_predictions", "verbose")
"""Keys that are no part of a configuration, though the config.yaml of an earlier version may have them."""


@dataclass(frozen=True)
class Settings:
    """What was asked for.

    An experiment is a composition, `systems/<recipe>/<system>.yaml` over `datasets/<dataset>.yaml` and, for a variant,
    `variants/<variant>.yaml`, or one file that says more. With `files`, those are all there is, and `experiment` is the
    name of the run's folder.

    Args:
        files: experiment files, the later over the earlier.
        system: name of a file in `systems/<recipe>/`.
        dataset: name of a file in `datasets/`; "embedded" by default.
        recipe: "modern" by default, or "paper".
        variant: name of a file in `variants/`.
        experiment: name such as "proposed_coarse" or "chair_v2/proposed"; with `files` the name of the run's folder.
        experiments: folder of all experiments; the shipped ones by default.
        seed: of the run; 0 by default.
        values: dotted keys with their values, the later over the earlier. A key that ends in "+" appends to a list.
    """

    files: tuple[Path, ...] = ()
    system: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    variant: str | None = None
    experiment: str | None = None
    experiments: Path | None = None
    seed: int | None = None
    values: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Settings:
        """Reads options: `--name value` or `--name=value`, values as YAML.

        Raises:
            InputError: for a word that is no option, an option without a value, or a seed that is no whole number.

        Example:
            >>> Settings.parse(["--system", "proposed", "--model.nodes.dim=256"]).values
            (('model.nodes.dim', 256),)
        """
        pairs: list[tuple[str, str]] = []
        pending = iter(argv)
        for word in pending:
            option, equals, value = word.partition("=")
            if not option.startswith("-") or option in ("-", "--"):
                raise InputError(f"'{word}'", "it is no option", "write --name value or --name=value")
            if not equals and (value := next(pending, None)) is None:  # type: ignore[assignment]
                raise InputError(option, "it has no value", f"write {option} VALUE")
            pairs.append((option.lstrip("-"), value))
        return cls.of(pairs)

    @classmethod
    def of(cls, parameters: Sequence[tuple[str, Any]]) -> Settings:
        """Sorts names and values into selectors, files and settings; strings are read as YAML.

        Raises:
            InputError: for a seed that is no whole number.
        """
        chosen: dict[str, Any] = {}
        files, values = [], []
        for name, value in parameters:
            name = {"seed_everything": "seed", "c": "config"}.get(name, name)
            if name == "config":
                files.append(Path(value))
            elif name == "seed":
                chosen[name] = _seed("--seed", _read_value(value))
            elif name == "experiments":
                chosen[name] = Path(value)
            elif name in SELECTORS:
                chosen[name] = str(value)
            else:
                values.append((name, _read_value(value)))
        if chosen.get("experiment", "").endswith((".yaml", ".yml")):
            files.append(Path(chosen.pop("experiment")))
        return cls(files=tuple(files), values=tuple(values), **chosen)


@dataclass(frozen=True)
class ResolvedRun:
    """One run, told in full.

    Attributes:
        config: all settings, defaults of fgsbir's own classes included; plain containers, as in config.yaml.
        hash: of all in it that decides the result; see `config_hash`.
        folder: of the run.
        training: the run whose training this one shares, if it only tests otherwise (`trained_as`); else None.
        backbone: the run whose trained backbone this one takes over (`backbone_from`); else None.
    """

    config: Config
    hash: str
    folder: RunFolder
    training: ResolvedRun | None = None
    backbone: ResolvedRun | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ResolvedRun:
        """The run of a full configuration, such as the config.yaml of a run folder.

        Raises:
            InputError: for a seed, a name or a precision that cannot be used.
        """
        config = dict(config)
        seed = config["seed_everything"] = _seed("seed_everything", config.get("seed_everything", 0))
        precision = str(config["trainer"].get("precision", "32-true"))
        if precision.endswith("-true") and not precision.startswith(("32", "64")):
            problem = f"'{precision}' would rank photos by rounded distances"
            raise InputError("trainer.precision", problem, "use bf16-mixed or 16-mixed, which match in float32")
        backbone = config["backbone_from"]
        other = None if backbone is None else cls.of(backbone)
        if other is not None and other.backbone is not None:
            problem = f"{other.config['experiment']} takes over a backbone itself"
            raise InputError("backbone_from", problem, "name the experiment that trains it")
        named = {**config, "backbone_from": other and f"{other.config['experiment']}/{other.hash}"}
        for name in ("experiment", "trained_as"):
            path = Path(str(config[name]))
            if path.is_absolute() or ".." in path.parts:
                raise InputError(name, f"'{path}' leads out of the runs folder", "use e.g. chair_v2/proposed")
        hashed = config_hash(named)
        training = None
        if config["trained_as"] is not None:
            data = {**config["data"], "test_detail": "full"}
            training = cls.of({**config, "experiment": config["trained_as"], "trained_as": None, "data": data})
        folder = RunFolder(Path(config["runs_dir"]) / config["experiment"] / f"{hashed}-s{seed}")
        return cls(config, hashed, folder, training, other)

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config["seed_everything"])

    @property
    def trained(self) -> ResolvedRun:
        """The run that is trained: this one, or the one whose training it shares."""
        return self.training or self

    def report_done(self) -> bool:
        """Whether the run has a result; prints it."""
        if not self.folder.is_done:
            return False
        result = self.folder.read_result()
        print(
            f"{self.folder.path}: done, nothing to do: {result.system} acc@1 {result.acc1:.2f}, "
            f"acc@10 {result.acc10:.2f} on {result.n_test} sketches of {result.dataset}",
            flush=True,
        )
        return True


def resolve(settings: Settings) -> ResolvedRun:
    """Merges files and values, adds defaults, and finds the run's folder.

    Args:
        settings: what was asked for.

    Raises:
        InputError: if a file is missing or damaged, a name is unknown, or a setting of a class is misspelt.
    """
    config = _composed(settings)
    for key, value in settings.values:
        assign(config, key, value)
    if settings.recipe is not None and (settings.files or "recipe" not in config):
        config["recipe"] = settings.recipe
    if settings.seed is not None:
        config["seed_everything"] = settings.seed
    if "model" not in config:
        raise InputError("model", "no system is named", "add --system NAME, e.g. --system proposed, or --config FILE")
    config = with_defaults({key: value for key, value in config.items() if key not in _TRANSIENT})
    if isinstance(config["backbone_from"], str):
        config["backbone_from"] = _backbone(settings, config, config["backbone_from"]).config
    return ResolvedRun.of(config)


def _backbone(settings: Settings, config: Config, name: str) -> ResolvedRun:
    """The run that trains a backbone: all that was set for this one on the command line holds for it, but its model."""
    shared = replace(settings, values=tuple(pair for pair in settings.values if _is_shared(pair[0])), variant=None)
    if name.endswith((".yaml", ".yml")):
        own = replace(shared, files=(Path(name),), system=None, dataset=None, experiment=None)
    else:
        dataset = settings.dataset or str(config["experiment"]).partition("/")[0]
        recipe = settings.recipe or {"custom": "modern"}.get(config["recipe"], str(config["recipe"]))
        own = replace(shared, files=(), system=name, dataset=dataset, experiment=None, recipe=recipe)
    return resolve(replace(own, seed=int(config.get("seed_everything", 0))))


def _is_shared(key: str) -> bool:
    """Whether a setting of an experiment is also one of the experiment that trains its backbone."""
    if key.startswith("model"):
        return key.startswith(("model.backbone", "model.init_args.backbone"))
    return key not in ("trained_as", "backbone_from", "data.test_detail")


def _composed(settings: Settings) -> Config:
    """The merged files of an experiment, with its name."""
    if settings.files:
        for option in ("system", "dataset", "variant"):
            if getattr(settings, option) is not None:
                problem = f"{settings.files[0]} is a file, which has its own"
                raise InputError(f"--{option}", problem, f"leave --{option} out")
        config: Config = {}
        for file in settings.files:
            config = merged(config, load_experiment(file))
        if settings.experiment is not None:
            config["experiment"] = settings.experiment
        return {"experiment": "custom", "recipe": "custom", **config}
    dataset, name = settings.dataset, settings.system
    if name is None and settings.experiment is not None:
        path = PurePath(settings.experiment)
        dataset, name = dataset if path.parent == PurePath() else path.parent.as_posix(), path.name
    if name is None:
        if settings.dataset or settings.variant or settings.recipe:
            raise InputError("--system", "it is missing", "name one, e.g. --system proposed")
        return {"experiment": "custom", "recipe": "custom"}
    config = _named(settings.experiments, dataset or "embedded", name, settings.recipe or "modern", settings.variant)
    if settings.system is not None and settings.experiment is not None:
        config["experiment"] = settings.experiment
    return config


def _named(root: Path | None, dataset: str, name: str, recipe: str, variant: str | None) -> Config:
    """An experiment by its name: a file of its own, else a system with a dataset and perhaps a variant."""
    root = root or shipped("experiments")
    suffix = "" if recipe == "modern" else f"_{recipe}"
    known_systems, systems = system_names(root, recipe), root / "systems" / recipe
    if not (root / "datasets" / f"{dataset}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in (root / "datasets").glob("*.yaml")))
        raise InputError("--dataset", f"there is no '{dataset}' in {root}", f"use one of {known}, or --config FILE")
    own = root / dataset / f"{name}{suffix}.yaml"
    system = name
    if variant is None and not own.is_file() and name not in known_systems:
        endings = [path.stem for path in (root / "variants").glob("*.yaml") if name.endswith(f"_{path.stem}")]
        if endings:
            variant = max(endings, key=len)
            system = name.removesuffix(f"_{variant}")
    named = root / dataset / f"{system}{suffix}.yaml"
    if named.is_file():
        config = load_experiment(named)
    elif system in known_systems:
        files = (systems / f"{system}.yaml", root / "datasets" / f"{dataset}.yaml")
        config = merged(*map(load_experiment, files))
    else:
        fix = f"use one of {', '.join(known_systems)}, or a file"
        raise InputError(f"experiment '{dataset}/{name}{suffix}'", "there is none", fix)
    config["experiment"] = f"{dataset}/{system}{suffix}"
    if variant is not None:
        change = load_experiment(root / "variants" / f"{variant}.yaml")
        if "test_detail" in change.get("data", {}):
            config["trained_as"] = config["experiment"]
        config = merged(config, change)
        config["experiment"] = f"{dataset}/{system}_{variant}{suffix}"
    return config


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
        raise InputError("--recipe", f"there is no '{recipe}' in {systems}", f"use one of {known}")
    return sorted(path.stem for path in (systems / recipe).glob("[a-z]*.yaml"))


@cache
def _read_yaml(path: Path, _changed: int) -> Config:
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid YAML ({str(error).splitlines()[0]})", "fix the file") from None
    if not isinstance(config, dict):
        raise InputError(path, "not a configuration", "write keys and values")
    return config


def read_yaml(path: Path) -> Config:
    """The keys and values of a YAML file.

    Raises:
        InputError: if it is missing or not valid YAML.
    """
    try:
        return deepcopy(_read_yaml(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path of the config") from None


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
    whole: Config = {}
    for base in config.pop("base", []):
        whole = merged(whole, load_experiment(path.parent / base, (*inside, path.resolve())))
    whole = merged(whole, config)
    return whole


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


def assign(config: Config, key: str, value: Any) -> None:
    """Sets one dotted key, as jsonargparse's command line does.

    Arguments of a class may be named with or without `init_args`. "+" at the end of the key appends to a list, and
    later keys below that list are settings of its last item.

    Args:
        config: nested settings, changed in place.
        key: e.g. "model.backbone.name" or "trainer.callbacks+".
        value: the value, or the class path of a class.

    Example:
        >>> config = {"model": {"class_path": "BSiamese"}}
        >>> assign(config, "model.dim", 32)
        >>> config
        {'model': {'class_path': 'BSiamese', 'init_args': {'dim': 32}}}
    """
    *path, last = key.split(".")
    node = config
    for name in path:
        node = _child(node, name)
    node = _arguments(node, last)
    if last.endswith("+"):
        name = last.removesuffix("+")
        items = value if isinstance(value, list) else [value]
        node[name] = [*(node.get(name) or []), *({"class_path": i} if isinstance(i, str) else i for i in items)]
        return
    before = node.get(last)
    if isinstance(before, dict) and "class_path" in before and isinstance(value, str):
        value = {"class_path": value}
    node[last] = merged(before, value)


def _arguments(node: Config, name: str) -> Config:
    """Where a name below a node stands: among the arguments of a class, else in the node itself."""
    is_class = "class_path" in node or "init_args" in node
    if is_class and name not in ("class_path", "init_args", "dict_kwargs"):
        arguments: Config = node.setdefault("init_args", {})
        return arguments
    return node


def _child(node: Config, name: str) -> Config:
    """The settings below a name, made if there are none."""
    node = _arguments(node, name)
    below = node.get(name)
    if isinstance(below, list) and below:
        if isinstance(below[-1], str):
            below[-1] = {"class_path": below[-1]}
        below = below[-1]
    elif isinstance(below, str):
        below = node[name] = {"class_path": below}
    elif not isinstance(below, dict):
        below = node[name] = {}
    return below


def _read_value(value: Any) -> Any:
    """The value of an option, read as YAML; text that is no YAML stays text."""
    if not isinstance(value, str):
        return value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return value if read is None and value not in ("null", "~", "") else read


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(name, f"'{value}' is not a whole number", "use e.g. 0")
    return value
