"""A visible scene as a photo: surfaces, light, soft shadows, grain. Nothing here depends on the object's form."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.data.procedural.parts import Array, Scene
from fgsbir.data.procedural.visibility import SIDE, Visible

Raster = npt.NDArray[np.float32]  # (SIDE, SIDE, 3), RGB in [0, 1]


def take_photo(scene: Scene, visible: Visible, rng: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    """Renders the photo, `(size, size, 3)` uint8 RGB. All colours, patterns and the light come from `rng`."""
    background = rng.uniform(0.78, 1.0) * (1 + rng.uniform(-0.03, 0.03, 3))
    materials = sorted({shape.material for shape in scene.shapes})  # another name may be another colour
    surfaces = _screen_surfaces(rng, materials) if scene.framed else _surfaces(rng, materials)
    if scene.framed:
        background = surfaces[materials.index("page")][0, 0]
    image = np.full((SIDE, SIDE, 3), background, dtype=np.float32)
    across, down = rng.uniform(-0.12, 0.12, 2)
    middle = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    light_field = (1 + across * middle + down * middle[:, None])[:, :, None].astype(np.float32)
    if not scene.framed:
        image *= (1 - _ground_shadow(visible, rng))[:, :, None]
        image *= light_field

    material_of_shape = np.array([materials.index(shape.material) for shape in scene.shapes])
    material = material_of_shape[visible.shape_map]  # the background's is never used
    colour = np.zeros_like(image)
    for index, surface in enumerate(surfaces):
        cv2.copyTo(surface, (material == index).astype(np.uint8), colour)
    if not scene.framed:
        light = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-1.2, -0.6), -1.0])
        light /= np.linalg.norm(light)
        shade = 0.62 + 0.42 * (visible.normals @ light).clip(0)
        colour *= shade[visible.face_map][:, :, None].astype(np.float32)
        colour *= light_field
        colour *= (1 - 0.3 * _crevices(visible.shape_map))[:, :, None]
    cv2.copyTo(colour, (visible.shape_map >= 0).astype(np.uint8), image)

    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.1))  # the lens
    if size != SIDE:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if size < SIDE else cv2.INTER_CUBIC)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + np.float32(rng.uniform(0.003, 0.012)) * grain
    return np.asarray((image * 255).clip(0, 255).round(), dtype=np.uint8)


def _surfaces(rng: np.random.Generator, materials: list[str]) -> list[Raster]:
    """An image of each material; some share one."""
    surfaces: list[Raster] = []
    for _ in materials:
        if surfaces and rng.random() < 0.35:
            surfaces.append(surfaces[int(rng.integers(len(surfaces)))])
        else:
            surfaces.append(_textured(rng, _colour(rng)))
    return surfaces


def _screen_surfaces(rng: np.random.Generator, materials: list[str]) -> list[Raster]:
    """Surfaces of a screen's theme: light or dark, one lead colour, images that are smooth mixtures."""
    dark = rng.random() < 0.4
    page = rng.uniform(0.08, 0.2) if dark else rng.uniform(0.9, 1.0)
    lead, accent = _hue(rng, 0.8), _hue(rng, 0.85)
    lift = 0.09 if dark else -0.06
    ink = np.full(3, rng.uniform(0.75, 0.9) if dark else rng.uniform(0.1, 0.35))
    theme = {
        "page": np.full(3, page),
        "surface": np.full(3, page + lift * rng.uniform(0.4, 1.2)),
        "bar": lead if rng.random() < 0.6 else np.full(3, page + lift),
        "lead": lead,
        "accent": accent,
        "text": ink,
        "faint": 0.55 * ink + 0.45 * page,
        "on lead": np.full(3, 0.95),
    }
    return [
        _picture(rng) if material == "picture" else np.full((SIDE, SIDE, 3), theme[material], dtype=np.float32)
        for material in materials
    ]


def _hue(rng: np.random.Generator, value: float) -> Array:
    """A strong colour."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.45, 0.9), value * rng.uniform(0.6, 1.0)))


def _colour(rng: np.random.Generator) -> Array:
    """A colour that things have: grey, wood or strong."""
    kind = rng.random()
    if kind < 0.35:
        return rng.uniform(0.12, 0.85) * (1 + rng.uniform(-0.04, 0.04, 3))
    if kind < 0.65:
        hsv = (rng.uniform(0.05, 0.12), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.85))
        return np.array(colorsys.hsv_to_rgb(*hsv))
    return _hue(rng, 0.85)


def _textured(rng: np.random.Generator, colour: Array) -> Raster:
    """The colour with grain, stripes, checks, mottling or none."""
    ys, xs = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))  # a numpy scalar would turn the image into float64
    along, across = xs * cos + ys * sin, ys * cos - xs * sin
    pitch = rng.uniform(10, 30)
    kind = rng.choice(["plain", "wood", "stripes", "checks", "mottled"], p=[0.4, 0.2, 0.12, 0.1, 0.18])
    strength = rng.uniform(0.08, 0.25)
    if kind == "wood":
        pattern = np.sin(across / pitch * 4 + 2.5 * np.sin(along / 90) + np.sin(along / 37 + across / 11))
    elif kind == "stripes":
        pattern = np.sign(np.sin(along * 2 * np.pi / pitch))
    elif kind == "checks":
        pattern = np.sign(np.sin(along * 2 * np.pi / pitch) * np.sin(across * 2 * np.pi / pitch))
    elif kind == "mottled":
        noise = rng.normal(size=(SIDE // 4, SIDE // 4)).astype(np.float32)
        pattern = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 1.2), (SIDE, SIDE)) * 2
    else:
        pattern = np.zeros_like(xs)
    pattern = (1 + 0.7 * strength * pattern).astype(np.float32)
    return np.asarray(colour.astype(np.float32) * pattern[:, :, None])


def _picture(rng: np.random.Generator) -> Raster:
    """Smooth mixture of strong colours: what an app shows where it shows an image."""
    colours = np.array([_colour(rng) for _ in range(3)])
    patches = rng.dirichlet(np.full(3, 0.5), (6, 6)) @ colours
    return np.asarray(cv2.resize(patches.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _crevices(shape_map: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Darkness `(SIDE, SIDE)` in [0, 1] near the borders between shapes, where light hardly falls."""
    border = np.zeros(shape_map.shape, dtype=np.uint8)
    border[:, 1:] |= shape_map[:, 1:] != shape_map[:, :-1]
    border[1:] |= shape_map[1:] != shape_map[:-1]
    distance = cv2.distanceTransform(1 - border, cv2.DIST_L2, 3)
    return np.asarray(np.exp(-distance / 4), dtype=np.float32)


def _ground_shadow(visible: Visible, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Darkness `(SIDE, SIDE)` of a soft shadow under the object."""
    x1, _, x2, y2 = (v * SIDE for v in visible.parts[0].box)
    shadow = np.zeros((SIDE // 4, SIDE // 4), dtype=np.float32)
    width = (x2 - x1) * rng.uniform(0.42, 0.55)
    centre = (int((x1 + x2) / 8), int((y2 - 8) / 4))
    cv2.ellipse(shadow, centre, (int(width / 4), int(0.2 * width / 4)), 0, 0, 360, (1,), -1)
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(3, 7))
    return np.asarray(cv2.resize(shadow, (SIDE, SIDE)) * rng.uniform(0.08, 0.3), dtype=np.float32)
