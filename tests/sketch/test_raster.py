from itertools import pairwise

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch


def ink(sketch: VectorSketch, size: int = 64, **options: object) -> np.ndarray:
    """Coverage of each pixel, 0 to 1."""
    return rasterise(sketch, size, ink="light", **options).astype(float) / 255  # type: ignore[arg-type]


def line(*points: tuple[float, float]) -> VectorSketch:
    return VectorSketch.from_strokes([points])


def random_sketch(seed: int) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes([rng.uniform(0.1, 0.9, (4, 2)) for _ in range(5)])


def distance_to_segments(sketch: VectorSketch, size: int) -> np.ndarray:
    """Distance of each pixel's centre to the nearest segment, in pixels, by a plain loop."""
    distances = np.full((size, size), np.inf)
    for stroke in sketch.strokes:
        for a, b in pairwise(stroke * size):
            for y in range(size):
                for x in range(size):
                    p = np.array([x + 0.5, y + 0.5])
                    t = np.clip(np.dot(p - a, b - a) / np.dot(b - a, b - a), 0, 1)
                    distances[y, x] = min(distances[y, x], np.hypot(*(a + t * (b - a) - p)))
    return distances


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("width", [1.0, 4.0, 8.0, 12.0, 16.0])  # 1 (at least), 1, 2, 3 and 4 pixels
def test_ink_lies_along_the_strokes_and_nowhere_else(width: float, antialias: bool) -> None:
    size = 64
    sketch = VectorSketch.from_strokes([[(0.2, 0.3), (0.7, 0.8)], [(0.1, 0.5), (0.9, 0.45)], [(0.8, 0.1), (0.82, 0.6)]])
    distance = distance_to_segments(sketch, size)
    drawn = ink(sketch, size, width=width, antialias=antialias)
    half = max(1, round(width * size / 256)) / 2
    within = half - (0.5 if antialias else 1)
    assert drawn[distance < within].min(initial=1) > 0.4
    assert drawn[distance > half + 1.2].max() < 0.1


@pytest.mark.parametrize("width", [2.0, 4.0, 6.0, 8.0])
def test_lines_are_centred_and_as_wide_as_asked_for(width: float) -> None:
    size, x = 128, 0.503
    profile = ink(line((x, 0.1), (x, 0.9)), size, width=width)[size // 4 : -size // 4].mean(0)
    centre = (profile * (np.arange(size) + 0.5)).sum() / profile.sum()
    assert centre == pytest.approx(x * size, abs=0.15)
    assert profile.sum() == pytest.approx(max(1, round(width / 2)), abs=0.5)
    across = ink(line((0.1, x), (0.9, x)), size, width=width)[:, size // 4 : -size // 4].mean(1)
    np.testing.assert_allclose(across, profile, atol=0.02)  # x and y are drawn alike


@pytest.mark.parametrize("size", [128, 512])
def test_the_look_does_not_depend_on_the_size(size: int) -> None:
    sketch = line((0.2, 0.2), (0.8, 0.7))
    cells = [ink(sketch, n, width=8).reshape(32, n // 32, 32, n // 32).mean((1, 3)) for n in (size, 256)]
    np.testing.assert_allclose(*cells, atol=0.15)


def test_x_is_right_and_y_is_down() -> None:
    drawn = ink(line((0.8, 0.1), (0.9, 0.1)), 100)
    y, x = np.argwhere(drawn > 0.5).mean(0)
    assert (x, y) == pytest.approx((84.5, 9.5), abs=1)


def test_ink_colours_are_each_others_negative() -> None:
    sketch = random_sketch(0)
    dark, light = rasterise(sketch, 96, ink="dark"), rasterise(sketch, 96, ink="light")
    assert dark.shape == (96, 96)
    assert dark.dtype == np.uint8
    assert np.array_equal(dark, 255 - light)
    assert dark[0, 0] == 255
    assert dark.min() < 40
    assert dark.flags.c_contiguous
    assert light.flags.c_contiguous


def test_antialiasing_is_an_option() -> None:
    sketch = random_sketch(1)
    assert set(np.unique(rasterise(sketch, antialias=False))) == {0, 255}
    assert len(np.unique(rasterise(sketch))) > 20


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("width", [1.0, 8.0])
@pytest.mark.parametrize("where", [(0.5, 0.5), (0.503, 0.611), (0.25, 0.3), (0.004, 0.004), (0.996, 0.996)])
@pytest.mark.parametrize("points", [1, 2, 5])
def test_a_dot_leaves_ink_where_it_is(where: tuple[float, float], points: int, width: float, antialias: bool) -> None:
    drawn = ink(line(*[where] * points), 64, width=width, antialias=antialias)
    assert drawn.max() > 0.3
    y, x = np.argwhere(drawn > 0.1).mean(0) + 0.5
    assert (x, y) == pytest.approx((where[0] * 64, where[1] * 64), abs=1.1)
    assert (drawn > 0.1).sum() <= 16


def test_a_dot_does_not_hide_other_strokes() -> None:
    strokes = [[(0.2, 0.2)], [(0.6, 0.2), (0.6, 0.8)], [(0.3, 0.7)]]
    together = ink(VectorSketch.from_strokes(strokes))
    apart = np.max([ink(VectorSketch.from_strokes([stroke])) for stroke in strokes], axis=0)
    np.testing.assert_array_equal(together, apart)


def test_strokes_are_not_joined() -> None:
    drawn = ink(VectorSketch.from_strokes([[(0.1, 0.2), (0.3, 0.2)], [(0.7, 0.2), (0.9, 0.2)]]))
    assert drawn[:, 24:40].max() == 0


def test_a_line_that_leaves_the_frame_is_cut_at_it() -> None:
    inside = ink(line((0.0, 0.5), (1.0, 0.5)))
    for far in (2.0, 1e3, 1e6):
        drawn = ink(line((-far, 0.5), (1 + far, 0.5)))
        np.testing.assert_allclose(drawn[:, 4:-4], inside[:, 4:-4], atol=0.02)
    assert not ink(line((1.5, 0.2), (1.5, 0.8))).any()
    assert not ink(line((-0.5, -0.5))).any()


@pytest.mark.parametrize("width", [4.0, 8.0, 12.0])
def test_lines_on_the_border_reach_into_the_picture_alike(width: float) -> None:
    left, right = ink(line((0, 0.1), (0, 0.9)), width=width), ink(line((1, 0.1), (1, 0.9)), width=width)
    inner = ink(line((0.5, 0.1), (0.5, 0.9)), width=width)
    np.testing.assert_allclose(left[:, :32], inner[:, 32:], atol=0.02)
    np.testing.assert_allclose(right[:, 32:], inner[:, :32], atol=0.02)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"size": 0}, "size"), ({"width": 0}, "width"), ({"width": float("nan")}, "width"), ({"ink": "red"}, "ink")],
)
def test_bad_arguments_are_named(options: dict[str, object], name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: "):
        rasterise(random_sketch(0), **options)  # type: ignore[arg-type]
