import pickle
from itertools import pairwise

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch, require_strokes


def random_sketch(seed: int, strokes: int = 6) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes([rng.random((rng.integers(1, 7), 2)) for _ in range(strokes)])


def length(stroke: np.ndarray) -> float:
    return sum(float(np.hypot(*(b - a))) for a, b in pairwise(stroke))


L_SHAPE = VectorSketch.from_strokes([[(0.2, 0.3), (0.6, 0.3), (0.6, 0.6)], [(0.9, 0.9)]])


@pytest.mark.parametrize(
    ("points", "offsets"),
    [
        (np.zeros((3, 3)), [0, 3]),
        (np.zeros((3, 2)), [0, 2]),
        (np.zeros((3, 2)), [1, 3]),
        (np.zeros((3, 2)), [0, 2, 2, 3]),
        (np.zeros((3, 2)), [0]),
        (np.array([[0, np.nan]]), [0, 1]),
        (np.array([[0, np.inf]]), [0, 1]),
    ],
)
def test_arrays_that_are_no_sketch_are_refused(points: np.ndarray, offsets: list[int]) -> None:
    with pytest.raises(ValueError, match=r"points|offsets|stroke|finite"):
        VectorSketch(points, np.array(offsets))


def test_from_strokes_keeps_order_and_drops_empty_strokes() -> None:
    sketch = VectorSketch.from_strokes([[(0, 0), (1, 1)], [], [(0.5, 0.5)]])
    assert len(sketch) == 2
    assert sketch.offsets.tolist() == [0, 2, 3]
    assert [s.tolist() for s in sketch.strokes] == [[[0, 0], [1, 1]], [[0.5, 0.5]]]


@pytest.mark.parametrize("strokes", [[], [[]], [np.zeros((4, 3))], [np.zeros(4)]])
def test_from_strokes_refuses_nothing_and_wrong_shapes(strokes: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"no strokes|\(n, 2\)"):
        VectorSketch.from_strokes(strokes)
    with pytest.raises(InputError, match=r"^a file: "):
        require_strokes(strokes, "a file")


def test_a_sketch_cannot_be_changed_and_does_not_freeze_its_source() -> None:
    points = np.zeros((2, 2), dtype=np.float32)
    sketch = VectorSketch(points, np.array([0, 2]))
    points[0] = 1
    assert not sketch.points.any()
    with pytest.raises(ValueError, match="read-only"):
        sketch.points[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        sketch.strokes[0][0] = 1


def test_equality_looks_at_points_and_stroke_borders() -> None:
    sketch = random_sketch(0)
    assert sketch == random_sketch(0)
    assert sketch != random_sketch(1)
    assert sketch != VectorSketch(sketch.points, np.array([0, len(sketch.points)]))
    assert pickle.loads(pickle.dumps(sketch)) == sketch


@pytest.mark.parametrize("seed", range(5))
def test_ink_is_the_length_of_each_stroke(seed: int) -> None:
    sketch = random_sketch(seed)
    np.testing.assert_allclose(sketch.ink, [length(s) for s in sketch.strokes], rtol=1e-5)


def test_ink_of_dots_is_zero() -> None:
    assert VectorSketch.from_strokes([[(0.1, 0.1)], [(0.9, 0.9)]]).ink.tolist() == [0, 0]


def test_boxes_by_hand() -> None:
    sketch = VectorSketch.from_strokes(
        [
            [(0.2, 0.3), (0.6, 0.3), (0.6, 0.6)],
            [(0.5, 0.5)],
            [(0.1, 0.0), (0.4, 0.0)],
            [(-0.5, 0.2), (0.5, 0.4)],
            [(2.0, 0.2), (3.0, 0.4)],
        ]
    )
    expected = [
        (0.2, 0.3, 0.6, 0.6),
        (0.45, 0.45, 0.55, 0.55),  # a dot is widened
        (0.1, 0.0, 0.4, 0.1),  # at the border it is widened inwards
        (0.0, 0.2, 0.5, 0.4),  # cut at the frame
        (0.9, 0.2, 1.0, 0.4),  # outside the frame
    ]
    np.testing.assert_allclose(sketch.boxes(min_side=0.1), expected, atol=1e-6)
    assert sketch.boxes().dtype == np.float32


@pytest.mark.parametrize("seed", range(5))
def test_boxes_hold_their_strokes_and_have_an_area(seed: int) -> None:
    sketch = random_sketch(seed)
    for box, stroke in zip(sketch.boxes(0.05), sketch.strokes, strict=True):
        assert (box[:2] <= stroke.min(0) + 1e-6).all()
        assert (box[2:] >= stroke.max(0) - 1e-6).all()
        assert (box[2:] - box[:2] >= 0.05 - 1e-6).all()
        assert box.min() >= 0
        assert box.max() <= 1


def test_select_takes_strokes_in_the_order_given() -> None:
    sketch = random_sketch(3)
    picked = sketch.select([4, 0])
    assert [s.tolist() for s in picked.strokes] == [sketch.strokes[4].tolist(), sketch.strokes[0].tolist()]


def test_drawn_by_hand() -> None:
    # A corner of ink 0.4 + 0.3, a dot, a line of ink 0.3, a dot: 1 in all.
    strokes = [[(0.2, 0.3), (0.6, 0.3), (0.6, 0.6)], [(0.9, 0.9)], [(0.0, 0.0), (0.0, 0.3)], [(0.5, 0.5)]]
    sketch = VectorSketch.from_strokes(strokes)
    for share, expected in (
        (0.1, [[(0.2, 0.3), (0.3, 0.3)]]),
        (0.5, [[(0.2, 0.3), (0.6, 0.3), (0.6, 0.4)]]),
        (0.8, [*strokes[:2], [(0.0, 0.0), (0.0, 0.1)]]),
    ):
        drawn = sketch.drawn(share)
        assert len(drawn) == len(expected)
        for stroke, by_hand in zip(drawn.strokes, expected, strict=True):
            np.testing.assert_allclose(stroke, by_hand, atol=1e-6)
    assert sketch.drawn(1) == sketch


@pytest.mark.parametrize("seed", range(5))
def test_drawn_has_its_share_of_the_ink_and_the_start_of_every_later_moment(seed: int) -> None:
    sketch = random_sketch(seed, strokes=9)
    total, shares = sum(map(length, sketch.strokes)), np.append(np.random.default_rng(seed).uniform(0, 1, 40), 1)
    for share in shares:
        drawn = sketch.drawn(share)
        assert sum(map(length, drawn.strokes)) == pytest.approx(share * total, rel=1e-5)
        assert np.array_equal(drawn.points[:-1], sketch.points[: len(drawn.points) - 1])
        assert np.array_equal(drawn.offsets[:-1], sketch.offsets[: len(drawn)])
    assert sketch.drawn(1) == sketch


def test_drawn_at_a_point_repeats_none_and_begins_no_stroke() -> None:
    sketch = VectorSketch.from_strokes([[(0, 0), (0.25, 0), (0.5, 0)], [(0.75, 0.75), (0.75, 0.25)]])
    assert [s.tolist() for s in sketch.drawn(0.25).strokes] == [[[0, 0], [0.25, 0]]]
    assert [s.tolist() for s in sketch.drawn(0.5).strokes] == [sketch.strokes[0].tolist()]


def test_drawn_begins_with_a_first_dot_and_shows_dots_alone_at_once() -> None:
    dot_first = VectorSketch.from_strokes([[(0.5, 0.5)], [(0, 0), (1, 0)]])
    assert [s.tolist() for s in dot_first.drawn(0.25).strokes] == [[[0.5, 0.5]], [[0, 0], [0.25, 0]]]
    dots = VectorSketch.from_strokes([[(0.1, 0.1)], [(0.9, 0.9), (0.9, 0.9)]])
    assert dots.drawn(0.05) == dots


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_drawn_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        L_SHAPE.drawn(share)


def test_transform_and_crop_by_hand() -> None:
    moved = L_SHAPE.transform([[0, 2, 0.1], [1, 0, 0.2]])  # x' = 2 y + 0.1, y' = x + 0.2
    np.testing.assert_allclose(moved.strokes[0], [(0.7, 0.4), (0.7, 0.8), (1.3, 0.8)], atol=1e-6)
    np.testing.assert_allclose(L_SHAPE.crop((0.2, 0.2, 0.6, 0.7)).strokes[0], [(0, 0.2), (1, 0.2), (1, 0.8)], atol=1e-6)
    with pytest.raises(ValueError, match="no area"):
        L_SHAPE.crop((0.2, 0.2, 0.2, 0.7))


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.3])
def test_normalised_centres_and_keeps_the_aspect_ratio(margin: float) -> None:
    sketch = VectorSketch.from_strokes([[(100, 10), (300, 60)], [(200, 40)]])
    x1, y1, x2, y2 = sketch.normalised(margin).bounds
    np.testing.assert_allclose((x1, x2), (margin, 1 - margin), atol=1e-6)
    np.testing.assert_allclose(y2 - y1, (1 - 2 * margin) / 4, atol=1e-6)  # 50 to 200
    np.testing.assert_allclose((y1 + y2) / 2, 0.5, atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-42])
def test_normalised_centres_ink_without_extent(size: float) -> None:
    sketch = VectorSketch.from_strokes([[(7, 3)], [(7, 3)]] if size == 0 else [[(0, 0), (size, 0)]])
    np.testing.assert_allclose(sketch.normalised().points, 0.5, atol=1e-6)


def test_normalised_refuses_a_margin_that_leaves_no_room() -> None:
    with pytest.raises(ValueError, match="margin"):
        L_SHAPE.normalised(0.5)


def test_simplified_keeps_corners_and_removes_what_is_within_the_tolerance() -> None:
    stroke = [(0, 0), (0.25, 0.009), (0.5, 0), (0.5, 0.25), (0.511, 0.3), (0.5, 0.5)]
    sketch = VectorSketch.from_strokes([stroke, [(0.9, 0.9)]])
    simple = sketch.simplified(0.01)
    np.testing.assert_allclose(simple.strokes[0], [(0, 0), (0.5, 0), (0.511, 0.3), (0.5, 0.5)], atol=1e-6)
    np.testing.assert_allclose(simple.strokes[1], [(0.9, 0.9)])
    with pytest.raises(ValueError, match="negative"):
        sketch.simplified(-1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1, 3, 6, 9])
def test_grouped_joins_the_neighbours_of_least_ink(seed: int, most: int) -> None:
    sketch = random_sketch(seed)
    strokes = [s.tolist() for s in sketch.strokes]
    while len(strokes) > most:
        joint = [length(np.array(a)) + length(np.array(b)) for a, b in pairwise(strokes)]
        i = joint.index(min(joint))
        strokes[i : i + 2] = [strokes[i] + strokes[i + 1]]
    grouped = sketch.grouped(most)
    assert [s.tolist() for s in grouped.strokes] == strokes
    assert np.array_equal(grouped.points, sketch.points)  # no ink is lost
    with pytest.raises(ValueError, match="at least 1"):
        sketch.grouped(0)


def test_thinned_is_the_drawing_itself_where_it_fits() -> None:
    assert random_sketch(0).thinned(len(random_sketch(0).points)) == random_sketch(0)


@pytest.mark.parametrize("most", [20, 33, 64])
def test_thinned_simplifies_no_more_than_it_must(most: int) -> None:
    turns = np.linspace(0, 6, 90)
    waves = [np.stack([turns / 6, 0.5 + 0.1 * n * np.sin(turns * n)], 1) for n in (1, 2, 3)]
    sketch = VectorSketch.from_strokes(waves)
    thin = sketch.thinned(most)
    steps = (len(sketch.simplified(tolerance).points) for tolerance in np.arange(0, 1, 0.002))
    assert next(points for points in steps if points <= most) <= len(thin.points) <= most
    for kept, stroke in zip(thin.strokes, sketch.strokes, strict=True):
        assert np.array_equal(kept[[0, -1]], stroke[[0, -1]])


def test_thinned_leaves_two_points_a_stroke_and_joins_strokes_only_for_want_of_room() -> None:
    sketch = VectorSketch.from_strokes(np.random.default_rng(n).random((8, 2)) for n in range(5))
    thin = sketch.thinned(10)
    assert [len(s) for s in thin.strokes] == [2] * 5
    fewer = sketch.thinned(7)
    assert len(fewer) == 3
    joined = sketch.grouped(3)
    assert [s[[0, -1]].tolist() for s in fewer.strokes] == [s[[0, -1]].tolist() for s in joined.strokes]


def test_thinned_of_a_drawing_without_extent() -> None:
    sketch = VectorSketch.from_strokes([[(0.5, 0.5)] * 9, [(0.5, 0.5)]])
    assert [len(s) for s in sketch.thinned(4).strokes] == [2, 1]
    with pytest.raises(ValueError, match="at least 2"):
        sketch.thinned(1)
