"""The hash that names a configuration."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

IGNORED_KEYS = frozenset(
    {
        "config",
        "seed_everything",  # in the folder's name
        "experiment",  # in the path
        "trained_as",
        "ckpt_path",
        "runs_dir",
        "wandb",
        "compile",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.strategy",
        "trainer.logger",
        "trainer.log_every_n_steps",
        "trainer.default_root_dir",
        "trainer.enable_progress_bar",
        "trainer.enable_model_summary",
        "trainer.profiler",
    }
)
"""Dotted keys, from the top of a configuration, that do not change a result."""

IGNORED_NAMES = frozenset(
    {"root", "cache_dir", "dirpath", "num_workers", "workers", "pin_memory", "persistent_workers", "prefetch_factor"}
)
"""Names that do not change a result wherever they stand."""

_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def config_hash(config: Mapping[str, Any]) -> str:
    """Short name of a configuration: equal for two that must give the same result, on any machine.

    Folders, devices, workers, logging and the seed are left out (`IGNORED_KEYS`, `IGNORED_NAMES`), of a
    weights file or an absolute path only the last name counts, and neither the order of keys nor the
    spelling of a number matters.

    Args:
        config: the resolved configuration, defaults included, as nested plain containers.

    Returns:
        8 hexadecimal digits.

    Raises:
        TypeError: for a value that is no plain container, string, number, path or None.

    Example:
        >>> config_hash({"lr": 1e-4, "steps": 2}) == config_hash({"steps": 2.0, "lr": 0.0001, "wandb": {"mode": "off"}})
        True
    """
    text = json.dumps(_canonical(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _canonical(value: Any, key: str = "") -> Any:
    """`value`, found at the dotted `key`, in the one form that is hashed."""
    name = key.rpartition(".")[2]
    match value:
        case Mapping():
            items = ((str(k), f"{key}.{k}" if key else str(k), v) for k, v in value.items())
            return {
                k: _canonical(v, full) for k, full, v in items if full not in IGNORED_KEYS and k not in IGNORED_NAMES
            }
        case list() | tuple():
            return [_canonical(item, key) for item in value]
        case os.PathLike() | str():
            text = os.fspath(value)
            if _SCIENTIFIC.fullmatch(text):  # YAML 1.1 reads 1e-4 as a string
                return _canonical(float(text))
            path = PurePath(text)
            return path.name if name.endswith("weights") or path.is_absolute() else text
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
