"""Sketches of less detail: coarse and coarse++."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch

DetailLevel = Literal["full", "coarse", "coarse++"]

DETAIL_FRACTIONS: Mapping[str, float] = MappingProxyType({"coarse": 0.7, "coarse++": 0.5})


def detail(sketch: VectorSketch, level: str, fractions: Mapping[str, float] = DETAIL_FRACTIONS) -> VectorSketch:
    """The first strokes of a sketch, up to a part of its ink.

    Whole strokes are kept in drawing order, up to and including the one at which the length drawn
    reaches the level's fraction of the total; at least one stroke.

    Deviations: the paper (Sain et al. 2020, tables 2 and 3) evaluates "coarse" and "coarse++" sketches
    without stating how they were made. This rule and its fractions are our protocol, so report the
    numbers as such.

    Args:
        sketch: the full drawing.
        level: "full", "coarse" or "coarse++".
        fractions: part of the total ink a level keeps, in (0, 1].

    Raises:
        InputError: if the level is unknown or its fraction is out of range.
    """
    if level == "full":
        return sketch
    if level not in fractions:
        raise InputError("detail level", f"'{level}' is unknown", f"use one of full, {', '.join(fractions)}")
    fraction = fractions[level]
    if not 0 < fraction <= 1:
        raise InputError(f"detail fraction of '{level}'", f"{fraction} is not in (0, 1]", "give a part of the ink")
    drawn = np.cumsum(sketch.ink, dtype=np.float64)
    last = int(np.searchsorted(drawn, fraction * drawn[-1]))
    return sketch.select(range(last + 1))
