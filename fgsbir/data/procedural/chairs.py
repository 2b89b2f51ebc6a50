"""Chairs: seat, back, arms and base built of simple solids, seen at three quarters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgsbir.data.procedural.parts import Array, Scene, ellipse, rectangle, spline
from fgsbir.data.procedural.solid import Workshop, view


def build_chair(rng: np.random.Generator) -> Scene:
    """One random chair. Sizes are in metres; the seat's plan is centred on x = 0, its front at y = 0."""
    scene = Scene([("chair", -1)])
    shop = Workshop(scene, view(rng.uniform(16, 42), rng.uniform(10, 26)))
    base = str(rng.choice(["legs", "sled", "pedestal", "star", "block"], p=[0.56, 0.12, 0.08, 0.12, 0.12]))
    tall = base in ("legs", "pedestal") and rng.random() < 0.2
    wide = rng.uniform(0.58, 0.8) if base == "block" else rng.uniform(0.38, 0.56)
    deep = wide * rng.uniform(0.8, 1.15)
    high = rng.uniform(0.62, 0.8) if tall else rng.uniform(0.36, 0.5)
    thick = rng.uniform(0.14, 0.24) if base == "block" else rng.uniform(0.03, 0.12)

    seat = scene.part("seat")
    plan = _seat_plan(rng, wide, deep, round_allowed=base != "block")
    shop.prism(seat, "seat", plan, high - thick, high)
    top = high
    if rng.random() < 0.3:
        cushion = scene.part("cushion", seat)
        top += rng.uniform(0.03, 0.07)
        shop.prism(cushion, "cushion", plan * rng.uniform(0.86, 0.95) + (0, 0.03 * deep), high, top)

    if base == "legs":
        _legs(rng, shop, wide, deep, high - thick)
    elif base == "sled":
        _sled(shop, wide, deep, high - thick, rng.uniform(0.009, 0.018))
    elif base == "block":
        _block(rng, shop, wide, deep, high - thick)
    else:
        _column(rng, shop, wide, deep, high - thick, castors=base == "star")
    if rng.random() < 0.9 or base == "block":
        _back(rng, shop, wide, deep, high, sofa=base == "block")
    if rng.random() < (0.8 if base == "block" else 0.35):
        _arms(rng, shop, wide, deep, top, base)
    return scene


def _seat_plan(rng: np.random.Generator, wide: float, deep: float, round_allowed: bool) -> Array:
    """Plan of the seat, `(n, 2)`."""
    kind = rng.choice(["square", "rounded", "trapezoid", "round"], p=[0.35, 0.3, 0.2, 0.15])
    if kind == "round" and round_allowed:
        return ellipse(0, deep / 2, wide / 2, deep / 2, 24)
    if kind == "rounded":
        return rectangle(-wide / 2, 0, wide / 2, deep, rng.uniform(0.06, 0.16))
    narrow = rng.uniform(0.72, 0.88) if kind == "trapezoid" and round_allowed else 1.0
    return np.array([[-wide, 0], [wide, 0], [wide * narrow, 2 * deep], [-wide * narrow, 2 * deep]]) / 2


def _legs(rng: np.random.Generator, shop: Workshop, wide: float, deep: float, top: float) -> None:
    """Four legs, upright or splayed, with or without stretchers."""
    legs = shop.part("legs")
    splay = rng.choice([0.0, rng.uniform(0.04, 0.13)])
    inset = rng.uniform(0.03, 0.09)
    radius = rng.uniform(0.011, 0.03)
    taper = rng.uniform(0.45, 1.0)
    x, front, back = wide / 2 - inset, inset, deep - inset

    def at(side: int, behind: bool, height: float) -> Array:
        """A point on a leg's middle line."""
        out = splay * (1 - height / top)
        return np.array([side * (x + out), back + out if behind else front - out, height])

    for name, side, behind in (("front", -1, False), ("front", 1, False), ("rear", -1, True), ("rear", 1, True)):
        leg = shop.part(f"{name} leg", legs)
        shop.bar(leg, "frame", np.array([at(side, behind, top), at(side, behind, 0)]), radius, radius * taper)
    layout = rng.choice(["none", "sides", "ring", "H"], p=[0.4, 0.2, 0.2, 0.2])
    if layout == "none":
        return
    height = top * rng.uniform(0.22, 0.6)
    front_height = height if layout == "H" else height + rng.uniform(-0.06, 0.06)
    stretchers = shop.part("stretchers", legs)
    ends = [(at(s, False, height), at(s, True, height)) for s in (-1, 1)]
    if layout == "ring":
        ends += [(at(-1, b, front_height), at(1, b, front_height)) for b in (False, True)]
    elif layout == "H":
        ends.append(((ends[0][0] + ends[0][1]) / 2, (ends[1][0] + ends[1][1]) / 2))
    for a, b in ends:
        shop.bar(shop.part("stretcher", stretchers), "frame", np.array([a, b]), 0.6 * radius)


def _sled(shop: Workshop, wide: float, deep: float, top: float, radius: float) -> None:
    """A bent bar on each side that runs along the floor."""
    legs = shop.part("legs")
    x = wide / 2 - 0.03
    for side in (-1, 1):
        path = np.array([[side * x, 0.05, top], [side * x, 0.02, 0.05], [side * x, 0.06, 0.01]])
        path = np.concatenate([path, path[::-1] * (1, -1, 1) + (0, deep, 0)])
        shop.bar(shop.part("sled leg", legs), "frame", path, radius)
    bar = np.array([[-x, deep - 0.06, 0.012], [x, deep - 0.06, 0.012]])
    shop.bar(shop.part("stretcher", legs), "frame", bar, radius)


def _block(rng: np.random.Generator, shop: Workshop, wide: float, deep: float, top: float) -> None:
    """Short feet under a heavy seat."""
    legs = shop.part("legs")
    foot = rng.uniform(0.05, 0.16)
    radius = rng.uniform(0.015, 0.035)
    if top - foot > 0.04:
        shop.box(shop.part("skirt", legs), "seat", (-wide / 2, 0, foot), (wide / 2, deep, top))
    for x in (-1, 1):
        for y in (0.06, deep - 0.06):
            path = np.array([[x * (wide / 2 - 0.05), y, foot], [x * (wide / 2 - 0.05), y, 0]])
            shop.bar(shop.part("foot", legs), "frame", path, radius, 0.7 * radius)


def _column(rng: np.random.Generator, shop: Workshop, wide: float, deep: float, top: float, castors: bool) -> None:
    """A column on a round plate, or on a star of arms with castors."""
    legs = shop.part("base")
    radius = rng.uniform(0.018, 0.04)
    reach = rng.uniform(0.2, 0.3)
    hub = 0.1 if castors else 0.03
    middle = (0.0, deep / 2)
    column = shop.part("column", legs)
    shop.prism(column, "frame", ellipse(*middle, radius, radius, 12), hub, top)
    if not castors:
        shop.prism(shop.part("plate", legs), "frame", ellipse(*middle, reach, reach, 28), 0, hub)
        return
    count = int(rng.choice([4, 5]))
    for angle in rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count:
        x, y = reach * np.cos(angle), deep / 2 + reach * np.sin(angle)
        arm = shop.part("star arm", legs)
        shop.bar(arm, "frame", np.array([[*middle, hub], [x, y, 0.065]]), 0.018, 0.012)
        shop.prism(shop.part("castor", arm), "dark", ellipse(x, y, 0.028, 0.028, 10), 0, 0.05)


def _back(rng: np.random.Generator, shop: Workshop, wide: float, deep: float, seat: float, sofa: bool) -> None:
    """The back: a panel of some outline, or a frame filled with slats, spindles, rails or a cross."""
    back = shop.part("back")
    height = rng.uniform(0.3, 0.5) if sofa else rng.uniform(0.26, 0.62)
    lean = np.tan(np.radians(rng.uniform(2, 15)))
    thick = rng.uniform(0.12, 0.2) if sofa else rng.uniform(0.02, 0.07)
    half = wide / 2 * rng.uniform(0.8, 1.0)

    def upright(outline: Array, behind: float) -> Array:
        """A plan in (x, height above the seat) as points in the world, on the leaning plane of the back."""
        return np.column_stack([outline[:, 0], deep - thick + behind + lean * outline[:, 1], seat + outline[:, 1]])

    kinds = ["panel", "arch", "oval", "winged", "slats", "rails", "cross"]
    chances = [0.4, 0.25, 0.0, 0.35, 0, 0, 0] if sofa else [0.16, 0.15, 0.12, 0.07, 0.22, 0.18, 0.1]
    kind = str(rng.choice(kinds, p=chances))
    if kind in ("panel", "arch", "oval", "winged"):
        gap = 0.0 if sofa or kind == "winged" else float(rng.choice([0.0, rng.uniform(0.06, 0.14)]))
        if kind == "oval":
            outline = ellipse(0, gap + height / 2, half, height / 2, 24)
        elif kind == "arch":
            crown = ellipse(0, height - 0.6 * half, half, 0.6 * half, 28)[:15][::-1]
            outline = np.concatenate([[[-half, gap]], crown, [[half, gap]]])
        else:
            outline = rectangle(-half, gap, half, height, float(rng.choice([0.0, rng.uniform(0.02, 0.09)])))
        panel = shop.part("back panel", back)
        shop.loft(panel, "back", upright(outline, 0), upright(outline, thick))
        if gap:
            for x in (-0.5 * half, 0.5 * half):
                stay = upright(np.array([[x, -0.02], [x, gap + 0.04]]), thick / 2)
                shop.bar(shop.part("stay", back), "frame", stay, 0.012)
        if kind == "winged":
            low, reach = 0.2 * height, rng.uniform(0.1, 0.2)
            for side in (-1, 1):
                wing = upright(np.array([[side * half, low], [side * half, height]]), 0.3 * thick)
                wing = np.array([wing[0] - (0, 0.6 * reach, 0), wing[0], wing[1], wing[1] - (0, reach, 0.02)])
                shop.loft(shop.part("wing", back), "back", wing, wing + np.array([side * 0.04, 0, 0]))
        _trim(rng, shop, panel, upright, half, gap, height)
        return

    radius = rng.uniform(0.011, 0.022)
    bow = height + (rng.uniform(0.02, 0.09) if rng.random() < 0.5 else 0.0)
    for x in (-half, half):
        shop.bar(shop.part("post", back), "frame", upright(np.array([[x, 0], [x, height]]), 0), radius)
    rail = upright(spline(np.array([[-half, height], [0, bow], [half, height]]), 4), 0)
    shop.bar(shop.part("top rail", back), "frame", rail, radius * rng.uniform(1.0, 1.9))
    filling = shop.part("filling", back)
    low = rng.uniform(0.02, 0.3) * height
    if low > 0.06:
        shop.bar(
            shop.part("lower rail", back), "frame", upright(np.array([[-half, low], [half, low]]), 0), 0.8 * radius
        )
    if kind == "slats":
        count = int(rng.integers(1, 8))
        slat = min(rng.choice([0.007, rng.uniform(0.012, 0.03)]), 0.35 * half / count)
        bottom = low if low > 0.06 else 0.0
        for x in (np.arange(count) + 1) * 2 * half / (count + 1) - half:
            strip = rectangle(x - slat, bottom, x + slat, height)
            shop.loft(shop.part("slat", filling), "filling", upright(strip, 0), upright(strip, 0.012))
    elif kind == "rails":
        count = int(rng.integers(1, 5))
        width = rng.uniform(0.01, 0.3 * (height - low) / (count + 1))
        for z in low + (np.arange(count) + 1) * (height - low) / (count + 1):
            strip = rectangle(-half, z - width, half, z + width)
            shop.loft(shop.part("rail", filling), "filling", upright(strip, 0), upright(strip, 0.012))
    else:
        for side in (-1, 1):
            bar = upright(np.array([[-side * half, low], [side * half, height]]), 0)
            shop.bar(shop.part("cross bar", filling), "filling", bar, 0.8 * radius)


def _trim(
    rng: np.random.Generator,
    shop: Workshop,
    panel: int,
    upright: Callable[[Array, float], Array],
    half: float,
    gap: float,
    height: float,
) -> None:
    """Buttons in a grid, or upright channels, on the front of a back panel."""
    kind = rng.choice(["none", "buttons", "channels"], p=[0.45, 0.3, 0.25])
    tall = height - gap
    if kind == "buttons":
        for z in gap + tall * np.linspace(0.3, 0.7, int(rng.integers(1, 4))):
            for x in half * np.linspace(-0.5, 0.5, int(rng.integers(2, 4))):
                spot = ellipse(x, z, 0.014, 0.014, 8)
                shop.loft(shop.part("button", panel), "dark", upright(spot, -0.012), upright(spot, 0))
    elif kind == "channels":
        count = int(rng.integers(1, 5))
        for x in half * (2 * (np.arange(count) + 1) / (count + 1) - 1):
            seam = upright(np.array([[x, gap + 0.08 * tall], [x, gap + 0.8 * tall]]), -0.004)
            shop.bar(shop.part("channel", panel), "dark", seam, 0.004)


def _arms(rng: np.random.Generator, shop: Workshop, wide: float, deep: float, seat: float, base: str) -> None:
    """An armrest on each side: a bent bar, a board on a post, or a solid block."""
    arms = shop.part("arms")
    height = seat + rng.uniform(0.14, 0.26)
    front = rng.uniform(0.0, 0.3) * deep
    kind = "block" if base == "block" and rng.random() < 0.75 else str(rng.choice(["bar", "board"]))
    width, radius = rng.uniform(0.08, 0.14), rng.uniform(0.01, 0.018)
    for side in (-1, 1):
        arm = shop.part("arm", arms)
        x = side * wide / 2
        if kind == "block":
            inner, outer = sorted((x, x + side * width))
            shop.box(arm, "back", (inner, 0.0, 0.14), (outer, deep, height))
        elif kind == "bar":
            bend = np.array(
                [[x, front, seat - 0.05], [x * 1.05, front, height - 0.03], [x * 1.05, front + 0.03, height]]
            )
            shop.bar(arm, "frame", np.concatenate([bend, [[x, deep, height]]]), radius)
        else:
            shop.box(arm, "frame", (x - 0.03, front - 0.04, height), (x + 0.03, deep, height + 0.025))
            post = np.array([[x, front + 0.05, seat - 0.04], [x, front + 0.05, height]])
            shop.bar(shop.part("arm post", arm), "frame", post, radius)
