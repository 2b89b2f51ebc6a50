import cv2
import numpy as np
import pytest

from fgsbir.sketch.walk import walk


def drawn(line: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape, dtype=np.uint8)
    pixels = np.floor(line).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, 1)
    canvas[pixels[:, 1], pixels[:, 0]] = 1  # OpenCV draws nothing for a single point
    return canvas > 0


def mask(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_a_line_is_walked_once_from_its_end() -> None:
    shape = np.zeros((10, 20), dtype=bool)
    shape[4, 3:15] = True
    assert walk(shape).tolist() == [[3.5, 4.5], [14.5, 4.5]]


def test_the_pen_comes_back_from_a_branch() -> None:
    cross = mask("...#...", "...#...", "...#...", "#######", "...#...", "...#...", "...#...")
    line = walk(cross, tolerance=0.1)
    np.testing.assert_array_equal(drawn(line, cross.shape), cross)
    length = np.abs(np.diff(line, axis=0)).max(1).sum()
    assert 16 <= length <= 18  # in from one end, there and back twice, out at the last; a corner may be cut


def test_a_dot_is_one_point() -> None:
    assert walk(mask("...", ".#.", "...")).tolist() == [[1.5, 1.5]]


def test_no_part_of_a_tiny_shape_is_lost() -> None:
    for number in range(1, 512):  # every picture of 3 x 3 pixels
        shape = np.array([number >> i & 1 for i in range(9)], dtype=np.uint8).reshape(3, 3)
        walked = drawn(walk(shape > 0), shape.shape)
        count, labels = cv2.connectedComponents(shape, connectivity=8)
        assert set(range(1, count)) <= set(labels[walked].tolist()), shape


def test_a_shape_may_fill_its_picture() -> None:
    assert walk(np.ones((1, 5), dtype=bool)).tolist() == [[0.5, 0.5], [4.5, 0.5]]
    line = walk(np.ones((9, 40), dtype=bool))
    assert np.ptp(line[:, 0]) >= 28
    assert np.abs(line[:, 1] - 4.5).max() < 4.5


def test_a_ring_is_closed_but_for_one_step() -> None:
    ring = np.zeros((30, 30), dtype=np.uint8)
    cv2.circle(ring, (15, 15), 10, 1)
    line = walk(ring > 0)
    assert np.abs(line[0] - line[-1]).max() <= 1.5
    assert np.hypot(*(line - 15.5).T) == pytest.approx(10, abs=1)
    assert np.linalg.norm(np.diff(line, axis=0), axis=1).sum() == pytest.approx(2 * np.pi * 10, rel=0.1)


def test_parts_are_joined_by_the_shortest_line() -> None:
    parts = np.zeros((20, 40), dtype=bool)
    parts[5, 2:10] = True
    parts[5, 30:38] = True
    parts[2:9, 20] = True  # between them
    expected = parts.copy()
    expected[5, 2:38] = True
    np.testing.assert_array_equal(drawn(walk(parts, 0.1), parts.shape), expected)


@pytest.mark.parametrize("seed", range(6))
def test_the_walk_covers_the_thinned_shape_and_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    canvas = np.zeros((120, 160), dtype=np.uint8)
    points = rng.integers(8, [152, 112], (9, 2)).astype(np.int32)  # one connected scrawl with many crossings
    cv2.polylines(canvas, [points], False, 255, thickness=3)
    thin, again = (
        cv2.ximgproc.thinning(canvas, thinningType=cv2.ximgproc.THINNING_GUOHALL),
        drawn(walk(canvas > 0), canvas.shape),
    )
    around = np.ones((3, 3), np.uint8)
    assert (thin > 0).sum() > 100
    assert not (again & (cv2.dilate(thin, around) == 0)).any()
    assert not ((thin > 0) & (cv2.dilate(again.astype(np.uint8), around) == 0)).any()
