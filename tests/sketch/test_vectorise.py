"""Strokes that were drawn are found again."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fgsbir.errors import InputError
from fgsbir.sketch.formats import read_sketch
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.vectorise import vectorise

CROSS = [[(0.2, 0.2), (0.8, 0.75)], [(0.25, 0.8), (0.75, 0.15)]]
SHARP_CROSS = [[(0.1, 0.4), (0.9, 0.6)], [(0.1, 0.6), (0.9, 0.4)]]
TEE = [[(0.2, 0.3), (0.8, 0.3)], [(0.5, 0.3), (0.5, 0.8)]]
APART = [[(0.1, 0.1), (0.9, 0.15)], [(0.2, 0.3), (0.25, 0.9), (0.6, 0.9)], [(0.5, 0.4), (0.8, 0.7)]]
CIRCLE = [[(0.5 + 0.3 * np.cos(t), 0.5 + 0.3 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 60)]]
ZIGZAG = [[(0.1, 0.8), (0.3, 0.2), (0.5, 0.8), (0.7, 0.2), (0.9, 0.8)]]
DRAWINGS = {"cross": CROSS, "sharp": SHARP_CROSS, "tee": TEE, "apart": APART, "circle": CIRCLE, "zigzag": ZIGZAG}


def draw(strokes: list[list[tuple[float, float]]], size: int = 256, width: float = 2, ink: str = "dark") -> np.ndarray:
    return rasterise(VectorSketch.from_strokes(strokes), size, width, ink)  # type: ignore[arg-type]


def along(stroke: np.ndarray) -> np.ndarray:
    """Points on a stroke, no two next ones farther apart than 0.005."""
    steps = [np.asarray(stroke, float)[:1]]
    for a, b in pairwise(np.asarray(stroke, float)):
        steps.append(a + (b - a) * np.linspace(0, 1, 2 + int(np.hypot(*(b - a)) / 0.005))[1:, None])
    return np.concatenate(steps)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """The farthest that a point of one stroke is from the other, either way (Hausdorff)."""
    apart = np.linalg.norm(along(one)[:, None] - along(other), axis=2)
    return float(max(apart.min(0).max(), apart.min(1).max()))


def ink_length(stroke: object) -> float:
    return float(np.linalg.norm(np.diff(np.asarray(stroke, float), axis=0), axis=1).sum())


@pytest.mark.parametrize("size", [128, 256, 700])
@pytest.mark.parametrize("width", [1.5, 3, 8])
@pytest.mark.parametrize("name", DRAWINGS)
def test_each_stroke_is_found_where_it_was_drawn(name: str, width: float, size: int) -> None:
    drawn = sorted(DRAWINGS[name], key=ink_length, reverse=True)
    found = vectorise(draw(drawn, size, width))
    assert len(found) == len(drawn)
    tolerance = 0.009 + width / 256 * 0.7 + 0.5 / size  # corners and ends of a thick line are rounded
    for stroke in drawn:
        assert min(distance(np.array(stroke), other) for other in found.strokes) < tolerance


def test_the_longest_stroke_comes_first_and_nothing_is_random() -> None:
    found = vectorise(draw(APART))
    assert (np.diff(found.ink) <= 0).all()
    assert found == vectorise(draw(APART))


def test_a_circle_is_closed() -> None:
    (circle,) = vectorise(draw(CIRCLE)).strokes
    assert circle[0].tolist() == circle[-1].tolist()


def test_a_stem_ends_on_the_bar() -> None:
    bar, stem = vectorise(draw(TEE)).strokes
    ends = sorted(stem[[0, -1]].tolist(), key=lambda end: end[1])
    assert ends[0] == pytest.approx([0.5, 0.3], abs=0.008)
    assert np.abs(bar[:, 1] - 0.3).max() < 0.006  # not pulled towards the stem


def test_a_loop_with_a_tail_keeps_both() -> None:
    tail = [[(0.8, 0.5), (0.98, 0.5)]]
    found = vectorise(draw(CIRCLE + tail))
    assert len(found) == 2
    assert found.ink[0] == pytest.approx(2 * np.pi * 0.3, rel=0.05)
    assert found.ink[1] == pytest.approx(0.18, abs=0.02)


def test_a_dot_is_a_stroke_and_a_speck_is_not() -> None:
    picture = draw(CROSS, 512, 4)
    picture[400:402, 100:102] = 0
    picture[60, 256] = 0
    assert len(vectorise(picture)) == 2
    cv2.circle(picture, (100, 250), 4, 0, -1)
    found = vectorise(picture)
    assert len(found) == 3
    assert found.ink[2] < 0.01
    assert found.strokes[2].mean(0) == pytest.approx([100.5 / 512, 250.5 / 512], abs=0.004)
    assert len(vectorise(picture, speck=0.03)) == 2


def test_filled_spots_give_their_outlines() -> None:
    picture = np.full((300, 300), 255, dtype=np.uint8)
    cv2.circle(picture, (150, 150), 20, 0, -1)
    cv2.rectangle(picture, (20, 20), (50, 50), 0, -1)
    found = vectorise(picture)
    assert len(found) == 2
    assert (found.ink > 0.7 * np.array([2 * np.pi * 20, 4 * 30]) / 300).all()
    assert all(np.array_equal(stroke[0], stroke[-1]) for stroke in found.strokes)


def test_rough_borders_grow_no_spurs() -> None:
    picture = draw(APART, 512, 8)
    rng = np.random.default_rng(0)
    border = cv2.morphologyEx(picture, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 128
    picture[border & (rng.random(picture.shape) < 0.5)] = 0
    assert len(vectorise(picture)) == 3


@pytest.mark.parametrize("level", [5, 12])
def test_noise_shade_and_colour_of_the_paper_do_no_harm(level: float) -> None:
    rng = np.random.default_rng(1)
    clean = draw(APART, 512, 3).astype(float) / 255
    shade = np.linspace(120, 250, 512)[None, :, None] * np.array([1, 0.95, 0.8])  # yellow paper, dark on the left
    picture = (shade * (0.4 + 0.6 * clean[..., None]) + rng.normal(0, level, (512, 512, 3))).clip(0, 255)
    found = vectorise(picture.astype(np.uint8))
    assert len(found) == 3
    for stroke in APART:
        assert min(distance(np.array(stroke), other) for other in found.strokes) < 0.015


def test_ink_of_any_kind_gives_the_same_strokes() -> None:
    dark, light = draw(APART), draw(APART, ink="light")
    clear = np.zeros((*dark.shape, 4), dtype=np.uint8)
    clear[..., 3] = light  # black ink on nothing
    expected = vectorise(dark)
    for picture in (light, np.stack(3 * [dark], axis=-1), clear):
        found = vectorise(picture)
        assert len(found) == 3
        assert all(distance(a, b) < 0.004 for a, b in zip(found.strokes, expected.strokes, strict=True))
    red = np.stack([np.full_like(dark, 255), dark, dark], axis=-1)
    assert len(vectorise(red)) == 3


def test_a_fixed_threshold_leaves_faint_lines_out() -> None:
    picture = np.minimum(draw(APART[:1]), 255 - (255 - draw(APART[1:2])) // 4)
    assert len(vectorise(picture, threshold=20)) == 2
    assert len(vectorise(picture, threshold=120)) == 1


@pytest.mark.parametrize("shape", [(200, 400), (400, 200)])
def test_the_picture_keeps_its_shape_in_the_middle_of_the_frame(shape: tuple[int, int]) -> None:
    height, width = shape
    picture = np.full(shape, 255, dtype=np.uint8)
    cv2.line(picture, (20, 30), (width - 20, height - 30), 0, 3)
    (line,) = vectorise(picture).strokes
    offset = (400 - np.array([width, height])) / 2
    ends = (np.array([(20, 30), (width - 20, height - 30)]) + 0.5 + offset) / 400
    assert line[np.argsort(line[:, 0])][[0, -1]] == pytest.approx(ends, abs=0.009)


def test_lines_on_the_border_and_big_scans() -> None:
    picture = np.full((3000, 4000), 255, dtype=np.uint8)
    cv2.line(picture, (0, 0), (3999, 0), 0, 9)
    cv2.line(picture, (500, 500), (3500, 2500), 0, 9)
    found = vectorise(picture)
    assert len(found) == 2
    assert found.ink[0] == pytest.approx(1, abs=0.02)
    assert found.ink[1] == pytest.approx(np.hypot(0.75, 0.5), abs=0.02)


def random_drawing(seed: int) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes([rng.uniform(0.1, 0.9, (3, 2)) for _ in range(6)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("max_strokes", [4, 16, 99])
def test_the_strokes_cover_the_ink_and_no_more(seed: int, max_strokes: int) -> None:
    picture = rasterise(random_drawing(seed), 256)
    found = vectorise(picture, max_strokes)
    ink, drawn = picture < 128, rasterise(found, 256) < 128
    disc = np.ones((3, 3), np.uint8)
    assert (ink & (cv2.dilate(drawn.astype(np.uint8), disc) == 0)).sum() < 0.02 * ink.sum()
    assert (drawn & (cv2.dilate(ink.astype(np.uint8), disc) == 0)).sum() < 0.02 * drawn.sum()
    assert (ink & drawn).sum() / (ink | drawn).sum() > 0.6
    assert 1 <= len(found) <= max_strokes


def test_the_shortest_strokes_become_detours_of_their_nearest() -> None:
    frame = [[(0.1, 0.1), (0.9, 0.1)], [(0.1, 0.9), (0.8, 0.9)]]
    ticks = [[(x, 0.2), (x, 0.25)] for x in (0.2, 0.5)] + [[(0.4, 0.8), (0.45, 0.82)]]
    assert len(vectorise(draw(frame + ticks))) == 5
    top, bottom = vectorise(draw(frame + ticks), max_strokes=2).strokes
    assert top[:, 1].max() == pytest.approx(0.25, abs=0.01)
    assert bottom[:, 1].min() == pytest.approx(0.8, abs=0.01)
    for line, ends in ((top, [0.1, 0.9]), (bottom, [0.1, 0.8])):
        assert sorted(line[[0, -1], 0].tolist()) == pytest.approx(ends, abs=0.01)
    (all_in_one,) = vectorise(draw(frame + ticks), max_strokes=1).strokes
    assert np.ptp(all_in_one[:, 1]) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("raster", "problem"),
    [
        (np.full((100, 100), 255, np.uint8), "no line stands out"),
        (np.zeros((100, 100, 3), np.uint8), "no line stands out"),
        (np.full((100, 100), 200, np.uint8) + np.eye(100, dtype=np.uint8) * 9, "no line stands out"),
        (np.zeros((100, 100, 4), np.uint8), "no line stands out"),
        (np.random.default_rng(0).integers(0, 256, (100, 100)).astype(np.uint8), "no line stands out"),
        (np.zeros((15, 200), np.uint8), "200 x 15 pixels"),
        (np.zeros((100, 100), np.float32), "float32"),
        (np.zeros((100, 100, 2), np.uint8), "8 bits"),
        (np.zeros(100, np.uint8), r"\(100,\)"),
    ],
)
def test_what_is_no_drawing_is_refused(raster: np.ndarray, problem: str) -> None:
    with pytest.raises(InputError, match=rf"^paper\.png: .*{problem}"):
        vectorise(raster, where="paper.png")


def test_there_is_room_for_a_stroke() -> None:
    with pytest.raises(InputError, match="max_strokes: 0 is out of range"):
        vectorise(draw(CROSS), max_strokes=0)


def test_picture_files_are_sketches(tmp_path: Path) -> None:
    for name in ("a.png", "a.JPG"):
        Image.fromarray(draw(APART)).save(tmp_path / name)
        assert len(read_sketch(tmp_path / name)) == 3
    turned = Image.fromarray(draw(APART)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    turned.save(tmp_path / "b.png", exif=exif)
    assert distance(read_sketch(tmp_path / "b.png").strokes[0], vectorise(draw(APART)).strokes[0]) < 0.01


def test_broken_picture_files_are_named(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 255).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, problem in (("blank", "no line"), ("text", "not a readable image"), ("none", "no such sketch")):
        with pytest.raises(InputError, match=rf"{name}\.png: .*{problem}"):
            read_sketch(tmp_path / f"{name}.png")
