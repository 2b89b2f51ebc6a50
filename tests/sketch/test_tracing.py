"""Tracing in parts that are easily lost: loops, filled areas, dots, and drawings of many strokes."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.sketch.tracing.detours import absorbed
from fgsbir.sketch.vectorise import vectorise
from tests.sketch.photographs import CREAM, GREY, photograph, shares

SIZE = 512


def page(shade: int = 255) -> np.ndarray:
    return np.full((SIZE, SIZE), shade, dtype=np.uint8)


def is_enclosed(sketch: VectorSketch, inside: tuple[int, int], pen: int) -> bool:
    """Whether the strokes, drawn with a pen, keep a pixel apart from the corner of the page."""
    drawn = np.zeros((SIZE + 2, SIZE + 2), dtype=np.uint8)
    for stroke in sketch.strokes:
        cv2.polylines(drawn, [np.rint(stroke * SIZE + 1).astype(np.int32)], False, 1, pen)
    assert not drawn[inside[1] + 1, inside[0] + 1]
    labels = cv2.connectedComponents(1 - drawn, connectivity=4)[1]
    return bool(labels[inside[1] + 1, inside[0] + 1] != labels[0, 0])


def ink_length(stroke: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum())


@pytest.mark.parametrize("pen", [2, 4, 6])
@pytest.mark.parametrize("angle", [0, 30, 75])
@pytest.mark.parametrize("where", ["on", "under", "across", "end"])
def test_a_small_loop_that_touches_a_line_stays(where: str, angle: int, pen: int) -> None:
    picture = page()
    cv2.line(picture, (80, 250), (260 if where == "end" else 430, 250), 0, pen, cv2.LINE_AA)
    half_height = np.hypot(14 * np.sin(np.deg2rad(angle)), 10 * np.cos(np.deg2rad(angle)))
    half_width = np.hypot(14 * np.cos(np.deg2rad(angle)), 10 * np.sin(np.deg2rad(angle)))
    x, y = {
        "on": (250, 250 - round(half_height)),
        "under": (250, 250 + round(half_height)),
        "across": (250, 250),
        "end": (260 + round(half_width), 250),
    }[where]
    cv2.ellipse(picture, (x, y), (14, 10), angle, 0, 360, 0, pen, cv2.LINE_AA)
    found = vectorise(picture)
    assert is_enclosed(found, (x, y - 5 if where == "across" else y), max(pen, 2))
    assert len(found) <= 6


def test_all_cells_of_a_net_stay() -> None:
    picture = page()
    for at in range(100, 420, 40):
        cv2.line(picture, (100, at), (380, at), 0, 3)
        cv2.line(picture, (at, 100), (at, 380), 0, 3)
    found = vectorise(picture, max_strokes=100)
    assert len(found) == 13  # the outermost four are one
    assert all(is_enclosed(found, (x, y), 3) for x in range(120, 380, 40) for y in range(120, 380, 40))


def test_a_filled_area_gives_its_outline_and_a_thick_line_its_middle() -> None:
    picture = page()
    cv2.circle(picture, (150, 200), 40, 0, -1, cv2.LINE_AA)
    cv2.line(picture, (186, 200), (400, 200), 0, 3, cv2.LINE_AA)
    cv2.rectangle(picture, (250, 300), (400, 380), 0, -1)
    strokes = sorted(vectorise(picture).strokes, key=ink_length)
    assert len(strokes) == 3
    line, circle, square = strokes
    assert np.ptp(line[:, 1]) < 0.01
    radius = np.linalg.norm(circle * SIZE - (150.5, 200.5), axis=1)
    assert radius.min() > 33
    assert radius.max() < 41
    assert ink_length(square) * SIZE == pytest.approx(2 * (150 + 80), rel=0.08)

    thick = page()
    cv2.polylines(thick, [np.array([(60, 100), (300, 140), (420, 400)])], False, 0, 22, cv2.LINE_AA)
    (stroke,) = vectorise(thick).strokes
    assert np.ptp(stroke, axis=0) * SIZE == pytest.approx([360, 300], abs=14)
    assert ink_length(stroke) * SIZE == pytest.approx(530, rel=0.06)


def test_a_lone_black_disc_is_a_circle() -> None:
    picture = page()
    cv2.circle(picture, (250, 250), 120, 0, -1)
    (circle,) = vectorise(picture).strokes
    assert np.linalg.norm(circle * SIZE - 250.5, axis=1) == pytest.approx(np.full(len(circle), 117), abs=6)


def test_a_filled_area_at_the_frame_is_ink_and_a_dark_table_is_not() -> None:
    hill = page()
    cv2.ellipse(hill, (256, 512), (200, 150), 0, 0, 360, 0, -1)
    cv2.line(hill, (100, 100), (400, 100), 0, 4)
    assert len(vectorise(hill)) >= 2
    table = np.zeros((SIZE, SIZE), dtype=np.uint8)
    table[40:470, 60:450] = 255
    cv2.line(table, (100, 100), (400, 120), 0, 4)
    (line,) = vectorise(table).strokes
    assert np.sort(line[:, 0])[[0, -1]] * SIZE == pytest.approx([100, 400], abs=4)


@pytest.mark.parametrize("ink", [0, 255, 250])
def test_on_a_transparent_page_ink_of_one_colour_is_read_whatever_its_colour(ink: int) -> None:
    drawn = np.zeros((200, 200), dtype=np.uint8)
    cv2.line(drawn, (40, 50), (160, 60), 255, 3, cv2.LINE_AA)
    cv2.circle(drawn, (100, 120), 30, 255, 3, cv2.LINE_AA)
    picture = np.dstack([np.full((200, 200, 3), ink, dtype=np.uint8), drawn])
    assert vectorise(picture) == vectorise(255 - drawn)


def test_on_a_transparent_page_ink_of_two_colours_is_seen_on_white() -> None:
    picture = np.zeros((200, 200, 4), dtype=np.uint8)
    cv2.rectangle(picture, (20, 20), (180, 180), (240, 240, 240, 255), -1)
    cv2.line(picture, (40, 50), (160, 60), (0, 0, 200, 255), 3)
    (line,) = vectorise(picture).strokes
    assert np.ptp(line[:, 0]) == pytest.approx(0.6, abs=0.03)


def test_a_far_dot_stays_a_dot() -> None:
    picture = page()
    for at in range(60, 400, 30):  # a comb, whose teeth touch its back
        cv2.line(picture, (at, 100), (at, 160), 0, 3)
    cv2.line(picture, (60, 100), (390, 100), 0, 3)
    cv2.circle(picture, (400, 450), 5, 0, -1)
    found = vectorise(picture, max_strokes=3)
    dots = [stroke for stroke in found.strokes if ink_length(stroke) < 0.01]
    assert len(found) == 3
    assert len(dots) == 1
    assert dots[0].mean(0) * SIZE == pytest.approx([400.5, 450.5], abs=2)
    ink = cv2.dilate((picture == 0).astype(np.uint8), np.ones((7, 7)))
    for stroke in found.strokes:
        for a, b in pairwise(stroke * SIZE):
            assert all(ink[tuple((a + (b - a) * t).astype(int)[::-1])] for t in np.linspace(0, 1, 20))


def random_lines(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0, 500, 2) + rng.normal(0, 1, (rng.integers(1, 40), 2)).cumsum(0) for _ in range(count)]


@pytest.mark.parametrize("limit", [1, 7, 59])
@pytest.mark.parametrize("seed", range(3))
def test_detours_draw_all_ink_and_none_more_than_twice(seed: int, limit: int) -> None:
    lines = random_lines(seed, 60)
    found = absorbed(lines, limit)
    assert len(found) == limit
    points = [tuple(point) for stroke in found for point in stroke]
    assert set(points) == {tuple(point) for line in lines for point in line}
    segments = [frozenset((tuple(a), tuple(b))) for stroke in found for a, b in pairwise(stroke)]
    for line in lines:
        for a, b in pairwise(line):
            assert segments.count(frozenset((tuple(a), tuple(b)))) in (1, 2)
    # Each stroke that is absorbed is entered and left once, and its way back begins on its last point.
    assert len(points) <= 2 * sum(map(len, lines)) + 2 * len(lines)


def test_strokes_are_joined_over_the_smallest_gaps() -> None:
    words = [[np.stack([np.full(20, x), y + np.arange(20.0)], axis=1) for x in (10, 14, 18, 22)] for y in (0, 100, 200)]
    found = absorbed([stroke for word in words for stroke in word], 3)
    assert sorted(round(float(stroke[:, 1].min())) for stroke in found) == [0, 100, 200]
    for stroke in found:
        assert np.ptp(stroke[:, 1]) == 19
        assert set(stroke[:, 0]) == {10, 14, 18, 22}


def test_points_stay_in_bounds_where_strokes_are_many() -> None:
    picture = page()
    for y in range(20, 500, 16):
        for x in range(20, 500, 16):
            cv2.line(picture, (x, y), (x + 8, y + 5), 0, 2)
    found = vectorise(picture)
    assert len(found) == 16
    assert len(found.points) < 6 * 900
    noise = page()
    noise[::9, ::9] = noise[1::9, ::9] = noise[2::9, ::9] = noise[3::9, ::9] = 0
    with pytest.raises(InputError, match="lines, as a photo"):
        vectorise(noise, speck=0.001)


@pytest.mark.parametrize(
    "seen",
    [
        {"paper": CREAM, "shadow": "lamp"},
        {"paper": GREY, "shadow": "soft"},
        {"shadow": "hand", "grain": 8},
        {"paper": CREAM, "shadow": "hard"},
        {"table": "plain"},
        {"table": "wood", "tilt": 7, "shadow": "lamp"},
        {"table": "dark", "tilt": 4, "shadow": "hand"},
        {"table": "wood", "width": 14, "shadow": "hand"},
        {"ruling": "lines", "tilt": 5, "shadow": "lamp"},
        {"ruling": "squares", "paper": CREAM, "shadow": "soft"},
        {"ruling": "lines", "table": "wood", "tilt": 3, "ink": (30, 60, 150)},
        {"ruling": "squares", "table": "dark"},
        {"width": 3, "ink": (110, 105, 100), "shadow": "lamp"},
        {"paper": (60, 70, 50), "ink": (225, 230, 225), "shadow": "lamp"},
    ],
    ids=str,
)
def test_of_a_photograph_of_paper_only_the_ink_is_read(seen: dict[str, object]) -> None:
    picture, drawn = photograph(**seen, seed=3)  # type: ignore[arg-type]
    found = vectorise(picture)
    kept, excess = shares(found.strokes, drawn)
    assert kept > 0.95
    assert excess < 0.05


def test_drawn_lines_are_no_ruling() -> None:
    rows = [np.array([(0.05, y), (0.95, y)]) for y in np.arange(0.1, 1.2, 0.1)]
    picture, drawn = photograph(drawing=rows)
    kept, excess = shares(vectorise(picture).strokes, drawn)
    assert kept > 0.95
    assert excess < 0.05
    frame = [np.array([(0.02, 0.02), (0.98, 0.02), (0.98, 1.3), (0.02, 1.3), (0.02, 0.02)])]
    picture, drawn = photograph(drawing=frame)
    kept, excess = shares(vectorise(picture).strokes, drawn)
    assert kept > 0.95
    assert excess < 0.05


def test_a_few_faint_lines_are_drawn_and_many_even_ones_are_ruled() -> None:
    def drawing(rows: list[int]) -> np.ndarray:
        picture = page()
        for y in rows:
            cv2.line(picture, (0, y), (511, y), 110, 2)
        cv2.circle(picture, (256, 256), 100, 0, 4, cv2.LINE_AA)
        return picture

    assert len(vectorise(drawing([60, 110, 390, 450]))) == 5
    assert len(vectorise(drawing([13, 40, 77, 131, 160, 250, 300, 390, 470]), max_strokes=100)) > 5  # uneven
    assert len(vectorise(drawing(list(range(15, 512, 24))))) == 1
