"""A sweep file, which is one of Weights & Biases', becomes a list of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fgsbir.errors import InputError

Parameters = dict[str, Any]
"""Options of one run by name: `experiment`, `dataset`, `recipe`, `seed`, and settings by their dotted names."""


@dataclass(frozen=True)
class Sweep:
    """A sweep file with overrides.

    Attributes:
        name: name of the sweep and of its plan.
        config: the file in Weights & Biases' schema, overrides included.
        runs: the parameters of every run; no two are equal.
    """

    name: str
    config: dict[str, Any]
    runs: list[Parameters]


def load_sweep(path: Path, overrides: Mapping[str, Sequence[Any]] | None = None) -> Sweep:
    """Reads a sweep file and expands its grid: a run for every combination of values, the last parameter fastest.

    Args:
        path: the file.
        overrides: values that take the place of a parameter's own, or that a new parameter has.

    Raises:
        InputError: if the file is missing, is not a grid, or a parameter has no values.

    Example:
        >>> sweep = load_sweep(Path("sweeps/ablation.yaml"), {"seed": [3]})
        >>> sweep.runs[0]
        {'seed': 3, 'dataset': 'embedded', 'recipe': 'modern', 'experiment': 'explicit_hierarchy'}
    """
    try:
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig) or not isinstance(config.get("parameters"), DictConfig):
            raise InputError(path, "not a sweep", "write 'parameters', each with 'value' or 'values'")
        for name, values in (overrides or {}).items():
            config.parameters[name] = {"values": list(values)}
        parameters = OmegaConf.to_container(config.parameters, resolve=True)
        config.parameters = parameters
        plain = OmegaConf.to_container(config)  # of `command`, W&B resolves what looks like an interpolation
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path of the sweep") from None
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise InputError(path, f"not a sweep ({str(error).splitlines()[0]})", "fix the file") from None
    assert isinstance(plain, dict)
    if plain.get("method") != "grid":
        raise InputError(path, f"method '{plain.get('method')}' is not run here", "use 'method: grid'")
    if "experiment" not in plain["parameters"]:
        raise InputError(path, "no parameter 'experiment'", "name experiments, such as proposed or my/experiment.yaml")
    grid = {str(name): _values(path, str(name), entry) for name, entry in plain["parameters"].items()}
    runs = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    distinct = [run for place, run in enumerate(runs) if run not in runs[:place]]
    return Sweep(str(plain.get("name", path.stem)), {str(key): value for key, value in plain.items()}, distinct)


def _values(path: Path, name: str, entry: Any) -> list[Any]:
    """The values of a parameter."""
    match entry:
        case {"value": value}:
            return [value]
        case {"values": [*values]} if values:
            return values
    raise InputError(path, f"parameter '{name}' has no values", "write 'value: x' or 'values: [x, y]'")


def arguments(run: Parameters) -> list[str]:
    """The argv of `fgsbir run`, as an agent of Weights & Biases writes it; None is null.

    Example:
        >>> arguments({"experiment": "proposed", "seed": 0})
        ['--experiment=proposed', '--seed=0']
    """
    return [f"--{name}={'null' if value is None else value}" for name, value in run.items()]
