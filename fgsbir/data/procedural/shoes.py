"""Shoes from the side, toe to the left: a sole, an upper, and what is sewn onto it."""

from __future__ import annotations

import numpy as np

from fgsbir.data.procedural.parts import Array, Scene, closed, ellipse, rectangle, resampled, spline

SPAN = 8  # points of a spline between two of its knots


class _Upper:
    """Coordinates on the upper: `at(t, s)` with t from heel to toe and s from the sole (0) to the rim (1).

    The same t is the same point of every shoe: 0 heel, 0.12 top of the heel, 0.5 front of the collar, 0.8
    begin of the toe box, 1 tip.

    Args:
        bottom: from heel to toe, `(n, 2)`.
        rim: from heel to toe, `(m, 2)`.
        marks: indices of top of the heel, front of the collar and toe box in `rim`.
    """

    def __init__(self, bottom: Array, rim: Array, marks: tuple[int, int, int]) -> None:
        self.bottom, self.rim, self.marks = bottom, rim, marks
        self._rim_t = np.interp(np.arange(len(rim)), [0, *marks, len(rim) - 1], [0.0, 0.12, 0.5, 0.8, 1.0])
        self._bottom_t = np.interp(-bottom[:, 0], [-0.98, -0.9, -0.48, -0.16, 0.0], [0.0, 0.12, 0.5, 0.8, 1.0])

    def at(self, t: Array, s: Array) -> Array:
        """Points `(n, 2)` for coordinates `(n,)` and `(n,)`."""
        low, high = (
            np.column_stack([np.interp(t, at, curve[:, i]) for i in (0, 1)])
            for at, curve in ((self._bottom_t, self.bottom), (self._rim_t, self.rim))
        )
        return low + s[:, None] * (high - low)

    def patch(self, corners: list[tuple[float, float]]) -> Array:
        """Polygon `(n, 2)` whose edges run straight in (t, s) and follow the upper's curves in the image."""
        path = resampled(closed(np.array(corners)), 0.02)[:-1]
        return self.at(path[:, 0], path[:, 1])

    def inward(self, t: Array, depth: Array) -> Array:
        """Points `(n, 2)` at a distance from the rim, at right angles to it."""
        rim, ahead = self.at(t, np.ones_like(t)), self.at(t + 0.01, np.ones_like(t))
        along = ahead - rim
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        return rim + depth[:, None] * np.column_stack([along[:, 1], -along[:, 0]])

    def band(self, t1: float, t2: float, depth: float) -> Array:
        """Polygon `(n, 2)` along the rim between two values of t."""
        t = np.linspace(t1, t2, 14)
        return np.concatenate([self.inward(t, np.zeros(14)), self.inward(t, np.full(14, depth))[::-1]])


def build_shoe(rng: np.random.Generator) -> Scene:
    """One random shoe; its length is about 1, y grows downwards, the floor is y = 0."""
    scene = Scene([("shoe", -1)])
    kind = str(rng.choice(["flat", "sneaker", "block", "stiletto", "wedge"], p=[0.2, 0.35, 0.2, 0.12, 0.13]))
    heights = {"flat": (0.0, 0.03), "sneaker": (0.0, 0.03), "stiletto": (0.2, 0.36)}
    heel = rng.uniform(*heights.get(kind, (0.07, 0.24)))
    sole = rng.uniform(0.06, 0.13) if kind == "sneaker" else rng.uniform(0.025, 0.06)
    if kind in ("block", "wedge") and rng.random() < 0.35:
        sole = rng.uniform(0.07, 0.13)  # platform
    toe = sole + rng.uniform(0.0, 0.05)
    knots = [[0.98, -heel], [0.8, -0.9 * heel], [0.5, -0.35 * heel], [0.3, 0.0], [0.12, 0.0], [0.0, sole - toe]]
    bottom = spline(np.array(knots), SPAN) - (0.0, sole)
    upper = _upper(rng, bottom, heel + sole, toe, boots=kind != "flat")
    body = scene.part("upper")
    scene.flat(body, "upper", np.concatenate([bottom, upper.rim[::-1]]), 2)
    _opening(scene, body, upper)
    _sole(rng, scene, bottom, kind, heel, sole)
    _trimmings(rng, scene, body, upper)
    return scene


def _upper(rng: np.random.Generator, bottom: Array, heel: float, toe: float, boots: bool) -> _Upper:
    """The upper: collar, throat and toe box above the given bottom."""
    form = str(
        rng.choice(["pump", "low", "ankle", "boot"], p=[0.2, 0.4, 0.2, 0.2] if boots else [0.45, 0.4, 0.1, 0.05])
    )
    box = rng.uniform(0.13, 0.2)  # height of the toe box
    tip = str(rng.choice(["round", "pointed", "square"], p=[0.6, 0.2, 0.2]))
    nose = {
        "round": [[0.03, -toe - 0.8 * box], [-0.02, -toe - 0.35 * box], [0.0, -toe]],
        "pointed": [[0.04, -toe - 0.45 * box], [-0.07, -toe - 0.1 * box], [0.0, -toe]],
        "square": [[0.01, -toe - 0.92 * box], [-0.015, -toe - 0.5 * box], [0.0, -toe]],
    }[tip]
    bulge = rng.uniform(-0.01, 0.03)
    if form == "boot":
        top, width, flare = heel + rng.uniform(0.5, 0.95), rng.uniform(0.34, 0.44), rng.uniform(-0.02, 0.05)
        slope = rng.uniform(-0.03, 0.06)
        collar = [
            [0.97 + flare, -top],
            [0.97 - width / 2, -top + slope / 2 + 0.02],
            [0.97 - width - flare, -top + slope],
        ]
        throat = [[0.93 - width, -heel - 0.3], [0.42, -0.6 * heel - 0.27]]
    else:
        tall = {"pump": rng.uniform(0.2, 0.27), "low": rng.uniform(0.24, 0.34), "ankle": rng.uniform(0.4, 0.52)}[form]
        cut = {"pump": rng.uniform(0.2, 0.36), "low": rng.uniform(0.42, 0.56), "ankle": rng.uniform(0.52, 0.62)}[form]
        front = {"pump": box + 0.02, "low": rng.uniform(0.28, 0.38), "ankle": tall + rng.uniform(-0.08, 0.04)}[form]
        high = -toe - front - heel * max(0.0, cut - 0.3)
        dip = rng.uniform(0.02, 0.1)
        collar = [[0.97, -heel - tall], [0.5 * (0.97 + cut), 0.5 * (high - heel - tall) + dip], [cut, high]]
        throat = [[0.55 * cut + 0.07, 0.55 * high + 0.45 * (-toe - box) + rng.uniform(-0.02, 0.03)]]
    knots = [[0.98, -heel], [1.0 + bulge, 0.5 * (-heel + collar[0][1])], *collar, *throat, [0.14, -toe - box], *nose]
    marks = (2 * SPAN, 4 * SPAN, (len(knots) - 4) * SPAN)
    return _Upper(bottom, spline(np.array(knots), SPAN), marks)


def _opening(scene: Scene, body: int, upper: _Upper) -> None:
    """The inside of the far wall, seen above the rim of the near one."""
    heel, front, _ = upper.marks
    near = upper.rim[heel : front + 1]
    lift = 0.03 * np.sin(np.linspace(0, np.pi, len(near)))
    far = np.linspace(near[0], near[-1], len(near)) - np.column_stack([np.zeros(len(near)), lift])
    outline = np.concatenate([near, far[::-1]])
    scene.flat(scene.part("opening", body), "lining", outline, 1, lines=[far])


def _sole(rng: np.random.Generator, scene: Scene, bottom: Array, kind: str, heel: float, sole: float) -> None:
    """Sole and heel under the upper."""
    base = scene.part("sole")
    tip = bottom[-1]
    if kind in ("sneaker", "flat", "wedge"):
        lip = 0.03 if kind == "sneaker" else 0.005
        nose = [[0.2, 0.0], [0.08, 0.4 * (tip[1] + sole)], [tip[0] - 0.3 * lip, tip[1] + 0.75 * sole]]
        nose += [[tip[0] - lip, tip[1] + 0.3 * sole], [tip[0], tip[1]]]
        back = [[0.98 + lip, -heel - sole], [0.98 + lip, -0.4 * sole], [0.96, 0.0]]
        outline = np.concatenate([bottom[::-1], back, spline(np.array(nose), 5)])
        scene.flat(base, "sole", outline, 3)
        if kind == "sneaker" and rng.random() < 0.5:
            y = -rng.uniform(0.35, 0.6) * sole
            axis = np.array([[0.12, y], [0.97, y]])
            scene.flat(scene.part("groove", base), "dark", _strip(axis, 0.008), 4, axis=axis)
        return
    scene.flat(base, "sole", np.concatenate([bottom, bottom[::-1] + np.array([0.0, sole])]), 3)
    top = rng.uniform(0.17, 0.3) if kind == "block" else rng.uniform(0.12, 0.2)
    foot = top * rng.uniform(0.6, 1.0) if kind == "block" else rng.uniform(0.03, 0.055)
    slant = rng.uniform(-0.04, 0.05)
    front = float(np.interp(0.98 - top, bottom[::-1, 0], bottom[::-1, 1])) + 0.5 * sole
    post = [[0.98, -heel - 0.5 * sole], [0.98 - top, front], [0.96 - slant - foot, 0.0], [0.96 - slant, 0.0]]
    scene.flat(scene.part("heel", base), "heel", np.array(post), 2.5)


def _trimmings(rng: np.random.Generator, scene: Scene, body: int, upper: _Upper) -> None:
    """Seams, laces, straps, stripes and the like, each placed on the upper."""
    chances = (0.45, 0.35, 0.5, 0.3, 0.35, 0.35, 0.25)
    toe_cap, counter, laces, straps, stripes, collar, badge = rng.random(7) < chances
    if toe_cap:
        start = rng.uniform(0.76, 0.86)
        cap = upper.patch([(1.0, 0.0), (1.0, 1.0), (start, 1.0), (start + rng.uniform(-0.06, 0.05), 0.0)])
        scene.flat(scene.part("toe cap", body), "panel", cap, 3)
    if counter:
        end, height = rng.uniform(0.16, 0.28), rng.uniform(0.4, 0.85)
        patch = upper.patch([(0.0, 0.0), (end, 0.0), (0.7 * end, height), (0.0, height)])
        scene.flat(scene.part("heel counter", body), "panel", patch, 3)
    if collar:
        scene.flat(scene.part("collar", body), "panel", upper.band(0.12, 0.48, rng.uniform(0.03, 0.07)), 4)
    if laces:
        _lacing(rng, scene, body, upper)
    if straps:
        count, width, low = int(rng.integers(1, 4)), rng.uniform(0.018, 0.035), rng.uniform(0.05, 0.3)
        for t in rng.uniform(0.4, 0.56) + 0.1 * np.arange(count):
            strap = scene.part("strap", body)
            band = upper.patch([(t - width, 1.0), (t + width, 1.0), (t + width, low), (t - width, low)])
            scene.flat(strap, "strap", band, 6)
            if rng.random() < 0.6:
                x, y = upper.at(np.array([t]), np.array([0.5 * (1 + low)]))[0]
                scene.flat(scene.part("buckle", strap), "metal", rectangle(x - 0.03, y - 0.025, x + 0.03, y + 0.025), 7)
    if stripes:
        count, width = int(rng.integers(1, 5)), rng.uniform(0.01, 0.018)
        start, slant, high = rng.uniform(0.2, 0.34), rng.uniform(-0.08, 0.14), rng.uniform(0.45, 0.75)
        for t in start + 0.065 * np.arange(count):
            corners = [(t, 0.08), (t + 2 * width, 0.08), (t + slant + 2 * width, high), (t + slant, high)]
            axis = upper.at(np.array([t + width, t + slant + width]), np.array([0.08, high]))
            scene.flat(scene.part("stripe", body), "accent", upper.patch(corners), 3.5, axis=axis)
    if badge:
        x, y = upper.at(rng.uniform(0.14, 0.26, 1), rng.uniform(0.4, 0.7, 1))[0]
        radius = rng.uniform(0.025, 0.045)
        scene.flat(scene.part("badge", body), "accent", ellipse(x, y, radius, radius), 5)


def _lacing(rng: np.random.Generator, scene: Scene, body: int, upper: _Upper) -> None:
    """Laces across a panel along the throat, with or without a tongue that stands out of it."""
    throat = scene.part("lacing", body)
    first, last = 0.5, rng.uniform(0.68, 0.78)
    depth = rng.uniform(0.06, 0.12)
    scene.flat(throat, "panel", upper.band(first, last, depth), 4)
    if rng.random() < 0.6:
        root, below = upper.at(np.array([first, first + 0.06]), np.ones(2))
        up = (root - below) / np.linalg.norm(root - below) * rng.uniform(0.05, 0.11)
        knots = np.array([below, root + 0.9 * up, root + up + (0.03, 0.0), root + np.array([0.07, 0.03])])
        scene.flat(scene.part("tongue", throat), "lining", spline(knots, 5), 1.5)
    for t in np.linspace(first + 0.02, last - 0.03, int(rng.integers(3, 8))):
        ends = upper.inward(np.array([t, t + 0.012]), np.array([-0.012, 0.9 * depth]))
        scene.flat(scene.part("lace", throat), "lace", _strip(ends, 0.009), 5, axis=ends)


def _strip(ends: Array, half: float) -> Array:
    """Rectangle `(4, 2)` about the segment between two points."""
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    across = half * np.array([-along[1], along[0]])
    return np.array([ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across])
