"""How photos are held out: fixed lists in this folder, and a hash of the id where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def unit_hash(photo_id: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the id and the seed alone, so adding photos moves no other photo."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{photo_id}".encode()).digest()[:8]) / 2**64


def lowest_tenth(photo_ids: Iterable[str]) -> frozenset[str]:
    """The tenth of the ids with the lowest `unit_hash`, rounded down, but at least one."""
    ranked = sorted(set(photo_ids), key=unit_hash)
    return frozenset(ranked[: max(1, len(ranked) // 10)])


def read_list(name: str) -> frozenset[str]:
    """The ids of `<name>.txt` in this folder, one a line; lines that begin with # are comments."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
