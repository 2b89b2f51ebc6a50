"""Sketch-photo pairs with true part trees, generated from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fgsbir.data.procedural.chairs import build_chair
from fgsbir.data.procedural.draw import draw
from fgsbir.data.procedural.parts import Part, Scene
from fgsbir.data.procedural.photo import take_photo
from fgsbir.data.procedural.screens import ANDROID_CLASS, build_screen
from fgsbir.data.procedural.shoes import build_shoe
from fgsbir.data.procedural.visibility import Visible, look_at
from fgsbir.data.processes import in_processes
from fgsbir.errors import InputError
from fgsbir.progress import progress
from fgsbir.sketch.strokes import VectorSketch

Category = Literal["chairs", "shoes", "screens"]
BUILDERS: dict[str, Callable[[np.random.Generator], Scene]] = {
    "chairs": build_chair,
    "shoes": build_shoe,
    "screens": build_screen,
}


@dataclass(frozen=True)
class Instance:
    """One photo, the sketches of it and the truth about its parts.

    Args:
        id: E.g. "chairs-0007".
        photo: `(size, size, 3)` uint8 RGB.
        parts: the part tree, the whole object first, parents before children.
        sketches: in the unit frame, ink from 0.13 to 0.87 of the longer extent.
        stroke_parts: for each sketch the part that each stroke draws, `(S,)` indices into `parts`.
    """

    id: str
    photo: npt.NDArray[np.uint8] = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)
    sketches: tuple[VectorSketch, ...] = field(repr=False)
    stroke_parts: tuple[npt.NDArray[np.int64], ...] = field(repr=False)


def generate(
    category: Category, count: int, sketches_per_photo: int = 3, seed: int = 0, size: int = 256
) -> list[Instance]:
    """Makes `count` instances of a category.

    Instance i depends on category, seed and i alone, so a longer list begins with the shorter one. Form, surface
    and each hand have random streams of their own: colour says nothing about form, and the sketches do not
    depend on `size` or on how many there are.

    Args:
        category: "chairs", "shoes" or "screens".
        count: number of photos.
        sketches_per_photo: number of sketches of each.
        seed: another seed gives other instances.
        size: side of the photos in pixels.

    Raises:
        InputError: if the category is unknown or a number is out of range.

    Example:
        >>> chair = generate("chairs", 1, sketches_per_photo=2, size=64)[0]
        >>> chair.id, chair.photo.shape, len(chair.sketches), chair.parts[0].name
        ('chairs-0000', (64, 64, 3), 2, 'chair')
    """
    if category not in BUILDERS:
        raise InputError("category", f"there is no '{category}'", f"choose one of {', '.join(BUILDERS)}")
    limits = {"count": (count, 0), "sketches_per_photo": (sketches_per_photo, 0), "seed": (seed, 0), "size": (size, 1)}
    for name, (value, least) in limits.items():
        if value < least:
            raise InputError(name, f"{value} is too small", f"give at least {least}")
    calls = [(category, index, sketches_per_photo, seed, size) for index in range(count)]
    made = in_processes(make_instance, calls, f"embedded {category}")
    return list(progress(made, f"Generating {category}", count, "photo"))


def make_instance(category: Category, index: int, sketches_per_photo: int, seed: int, size: int) -> Instance:
    """Instance number `index` of `generate`, whose other instances play no part in it."""
    scene, visible = visible_scene(category, index, seed)
    photo = take_photo(scene, visible, _stream(category, seed, index, 2), size)
    hands = [_stream(category, seed, index, 3 + hand) for hand in range(sketches_per_photo)]
    drawn = [draw(visible.contours, visible.parts, hand) for hand in hands]
    return Instance(
        f"{category}-{index:04d}", photo, visible.parts, tuple(s for s, _ in drawn), tuple(p for _, p in drawn)
    )


def view_hierarchy(instance: Instance) -> dict[str, Any]:
    """The screen as a semantic view hierarchy in the format of RICO (Liu et al. 2018).

    Returns:
        The root node, the whole screen. A node has "class", "ancestors", "bounds" `[x1, y1, x2, y2]` in a
        1440 x 2560 frame, "clickable", and "children" if it has any; all but the root have a "componentLabel".

    Raises:
        ValueError: if the instance is not a screen.
    """
    if instance.parts[0].name != "screen":
        raise ValueError(f"only screens have a view hierarchy, {instance.id} is a {instance.parts[0].name}")
    nodes: list[dict[str, Any]] = []
    for part in instance.parts:
        x1, y1, x2, y2 = part.box
        node: dict[str, Any] = {
            "ancestors": ["android.view.View", "java.lang.Object"],
            "class": ANDROID_CLASS.get(part.name, "android.widget.FrameLayout"),
            "bounds": [round(x1 * 1440), round(y1 * 2560), round(x2 * 1440), round(y2 * 2560)],
            "clickable": part.name in ("Text Button", "Icon", "List Item"),
        }
        nodes.append(node)
        if part.parent >= 0:
            node["componentLabel"] = part.name
            nodes[part.parent].setdefault("children", []).append(node)
    return nodes[0]


def visible_scene(category: Category, index: int, seed: int = 0) -> tuple[Scene, Visible]:
    """The object behind an instance: what it is built of and what of it is seen, without a photo or a hand."""
    scene = BUILDERS[category](_stream(category, seed, index, 0))
    return scene, look_at(scene, _stream(category, seed, index, 1))


def _stream(category: str, seed: int, index: int, purpose: int) -> np.random.Generator:
    """An independent random stream for one purpose of one instance."""
    return np.random.default_rng(np.random.SeedSequence([seed, list(BUILDERS).index(category), index, purpose]))
