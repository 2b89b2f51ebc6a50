"""From settings to a run: what the command line, a sweep or a notebook asks for becomes one `ResolvedRun`.

Nothing here imports torch, so a sweep of hundreds of runs is planned in a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import yaml

from fgsbir.errors import InputError
from fgsbir.runs.defaults import find_class, with_defaults
from fgsbir.runs.experiments import Config, compose, load_experiment, merged, parts_of
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.hashing import config_hash

SELECTORS = ("system", "dataset", "recipe", "variant", "experiment", "experiments", "seed")
"""Options that choose what is run; all others are settings."""

_TEXT = ("runs_dir", "ckpt_path", "trained_as", "wandb.mode", "wandb.project", "wandb.entity", "wandb.group")
"""Settings that are text, whatever it looks like."""

_CLASSES = ("trainer.logger", "trainer.callbacks", "optimizer", "lr_scheduler")
"""Settings whose text is the name of a class."""


@dataclass(frozen=True)
class Settings:
    """What was asked for: an experiment, by files or by names, and settings over it.

    Args:
        files: experiment files, the later over the earlier; with them, no other name but `experiment` is given.
        system: name of a system.
        dataset: name of a dataset; "embedded" by default.
        recipe: "modern" by default, or "paper".
        variant: name of a variant.
        experiment: name such as "proposed_coarse" or "chair_v2/proposed" in place of system, recipe and variant. Beside
            `files` or `system`, name of the run's folder.
        experiments: folder of all experiments; the shipped ones by default.
        seed: seed of the run; 0 by default.
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
                values.append((name, value if name in _TEXT and value != "null" else _read_value(value)))
        if chosen.get("experiment", "").endswith((".yaml", ".yml")):
            files.append(Path(chosen.pop("experiment")))
        return cls(files=tuple(files), values=tuple(values), **chosen)

    def normalised(self) -> Settings:
        """The same settings with system, dataset, recipe and variant apart, where no files are given.

        Raises:
            InputError: if names contradict each other, or none is given.
        """
        if self.files:
            for option in ("system", "dataset", "recipe", "variant"):
                if getattr(self, option) is not None:
                    problem = f"{self.files[0]} is a file, which has its own"
                    raise InputError(f"--{option}", problem, f"leave --{option} out")
            return self
        if self.system is not None:
            return replace(self, dataset=self.dataset or "embedded", recipe=self.recipe or "modern")
        if self.experiment is None:
            raise InputError("--system", "no system is named", "add --system NAME, e.g. proposed, or --config FILE")
        path = PurePath(self.experiment)
        folder = None if path.parent == PurePath() else path.parent.as_posix()
        if folder is not None and self.dataset not in (None, folder):
            raise InputError("--dataset", f"{path} is an experiment on another one", "leave --dataset out")
        dataset = folder or self.dataset or "embedded"
        system, recipe, variant = parts_of(path.name, dataset, self.recipe, self.experiments)
        variant = self.variant or variant
        return replace(self, system=system, dataset=dataset, recipe=recipe, variant=variant, experiment=None)


@dataclass(frozen=True)
class ResolvedRun:
    """One run, told in full.

    Attributes:
        config: all settings, defaults of fgsbir's own classes included; plain containers, as in config.yaml.
        hash: hash of all in it that decides the result; see `config_hash`.
        folder: folder of the run.
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
    chosen = settings.normalised()
    if chosen.files:
        config: Config = {"experiment": "custom", "recipe": "custom"}
        for file in chosen.files:
            config = merged(config, load_experiment(file))
    else:
        config = compose(
            str(chosen.system), str(chosen.dataset), str(chosen.recipe), chosen.variant, chosen.experiments
        )
    if chosen.experiment is not None:
        config["experiment"] = chosen.experiment
    for key, value in chosen.values:
        assign(config, key, value)
    if chosen.seed is not None:
        config["seed_everything"] = chosen.seed
    config = with_defaults(config)
    if isinstance(config["backbone_from"], str):
        config["backbone_from"] = _backbone(chosen, config, config["backbone_from"]).config
    return ResolvedRun.of(config)


def _backbone(chosen: Settings, config: Config, name: str) -> ResolvedRun:
    """The run that trains a backbone: all that was set for this one on the command line holds for it, but its model."""
    shared = Settings(
        experiments=chosen.experiments,
        seed=int(config["seed_everything"]),
        values=tuple(pair for pair in chosen.values if _is_shared(pair[0])),
    )
    if name.endswith((".yaml", ".yml")):
        return resolve(replace(shared, files=(Path(name),)))
    # A file tells its dataset and recipe by its names alone.
    dataset = chosen.dataset or str(config["experiment"]).partition("/")[0]
    recipe = chosen.recipe or {"custom": "modern"}.get(config["recipe"], str(config["recipe"]))
    return resolve(replace(shared, system=name, dataset=dataset, recipe=recipe))


def _is_shared(key: str) -> bool:
    """Whether a setting of an experiment is also one of the experiment that trains its backbone."""
    if key.startswith("model"):
        return key.startswith(("model.backbone", "model.init_args.backbone"))
    return key not in ("trained_as", "backbone_from", "ckpt_path", "data.test_detail")


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
    name = last.removesuffix("+")
    before = node.get(name)
    if key.removesuffix("+") in _CLASSES:
        value = [_as_class(item) for item in value] if isinstance(value, list) else _as_class(value)
    elif isinstance(before, dict) and isinstance(value, str) and {"class_path", "init_args"} & before.keys():
        value = _as_class(value)
    if last.endswith("+"):
        old = [] if before in (None, False) else before if isinstance(before, list) else [_as_class(before)]
        node[name] = [*old, *(value if isinstance(value, list) else [value])]
    else:
        node[name] = merged(_same_class(before, value), value)


def _as_class(value: Any) -> Any:
    """The settings of a class that is given by its name."""
    return {"class_path": value} if isinstance(value, str) else value


def _same_class(before: Any, value: Any) -> Any:
    """Settings before, called by the name that a class has in `value` where it is the same one."""
    if not isinstance(before, dict) or not isinstance(value, dict) or "class_path" not in before | value:
        return before
    old, new = before.get("class_path"), value.get("class_path")
    if old is None or new is None or old == new:
        return before
    sources = find_class(str(old)), find_class(str(new))
    return {**before, "class_path": new} if None not in sources and sources[0] == sources[1] else before


def _arguments(node: Config, name: str) -> Config:
    """Where a name below a node stands: among the arguments of a class, else in the node itself."""
    if {"class_path", "init_args"} & node.keys() and name not in ("class_path", "init_args", "dict_kwargs"):
        arguments: Config = node.setdefault("init_args", {})
        return arguments
    return node


def _child(node: Config, name: str) -> Config:
    """The settings below a name, made if there are none."""
    node = _arguments(node, name)
    below = node.get(name)
    if isinstance(below, list) and below:
        last = below[-1] = _as_class(below[-1])
        below = last
    elif isinstance(below, str):
        below = node[name] = _as_class(below)
    elif not isinstance(below, dict):
        below = node[name] = {}
    return below


class _Values(yaml.SafeLoader):
    """YAML whose dates are text."""


_Values.yaml_implicit_resolvers = {
    letter: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_value(value: Any) -> Any:
    """The value of an option, read as YAML; text that is no YAML stays text."""
    if not isinstance(value, str):
        return value
    try:
        read = yaml.load(value, Loader=_Values)
    except yaml.YAMLError:
        return value
    return value if read is None and value not in ("null", "~", "") else read


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(name, f"'{value}' is not a whole number", "use e.g. 0")
    return value
