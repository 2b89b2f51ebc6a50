import numpy as np
import pytest

from fgsbir.regions.components import components

Rectangle = tuple[int, int, int, int]
FRAME = np.array([144, 256, 144, 256])  # a tenth of the frame in which the limits are given
# There: gap below 3 pixels, centres less than 7 apart, sizes less than 4 apart, boxes of 70 square pixels at most.


def raster(*rectangles: Rectangle, value: int = 255) -> np.ndarray:
    picture = np.zeros((256, 144), dtype=np.uint8)
    for x1, y1, x2, y2 in rectangles:
        picture[y1:y2, x1:x2] = value
    return picture


def pixels(picture: np.ndarray, **settings: float) -> list[list[int]]:
    boxes = components(picture, **settings).boxes
    assert boxes.dtype == np.float32
    found = boxes * FRAME
    np.testing.assert_allclose(found, found.round(), atol=1e-4)
    return found.round().astype(int).tolist()


def test_each_component_is_a_region_the_largest_first() -> None:
    picture = raster((10, 20, 20, 40), (50, 60, 110, 90), (5, 200, 144, 256))
    found = components(picture)
    assert pixels(picture) == [[5, 200, 144, 256], [50, 60, 110, 90], [10, 20, 20, 40]]  # none is forgotten
    assert [found.labels[y, x] for y, x in ((255, 143), (60, 50), (39, 19), (0, 0))] == [0, 1, 2, -1]
    assert np.bincount(found.labels.ravel() + 1).tolist() == [256 * 144 - 7784 - 1800 - 200, 7784, 1800, 200]


def test_corners_connect() -> None:
    assert pixels(raster((10, 10, 30, 30), (30, 30, 60, 60))) == [[10, 10, 60, 60]]
    assert len(pixels(raster((10, 10, 30, 30), (31, 31, 60, 60)))) == 2


def test_ink_is_brighter_than_the_threshold() -> None:
    assert pixels(raster((10, 10, 30, 30), value=150)) == []
    assert pixels(raster((10, 10, 30, 30), value=151)) == [[10, 10, 30, 30]]
    assert pixels(raster((10, 10, 30, 30), value=100), threshold=90) == [[10, 10, 30, 30]]


def test_specks_are_dropped_from_boxes_and_labels() -> None:
    picture = raster((10, 10, 12, 14), (50, 50, 53, 53))  # 8 and 9 pixels, the limit is (256 / 90)^2 = 8.09
    assert pixels(picture) == [[50, 50, 53, 53]]
    assert (components(picture).labels[:40] == -1).all()


def test_blank_paper_has_no_regions() -> None:
    found = components(raster())
    assert found.boxes.shape == (0, 4)
    assert (found.labels == -1).all()


LETTER = (20, 20, 26, 28)


@pytest.mark.parametrize(
    ("other", "merged"),
    [
        ((28, 20, 34, 28), True),
        ((29, 20, 35, 28), False),  # a gap of 3
        ((28, 26, 34, 34), True),  # 6 lower
        ((28, 27, 34, 35), False),  # 7 lower
        ((28, 20, 34, 31), True),  # 3 higher
        ((28, 20, 33, 32), False),  # 4 higher, and 1 narrower but 7.5 to the side
        ((20, 30, 26, 38), True),  # below
        ((28, 20, 36, 28), True),  # an area of 64
        ((28, 20, 37, 28), False),  # 72
        ((28, 29, 34, 37), False),  # both gaps are small, but it is in line along neither axis
    ],
)
def test_close_small_boxes_merge(other: Rectangle, merged: bool) -> None:
    picture = raster(LETTER, other)
    low, high = np.minimum(LETTER, other), np.maximum(LETTER, other)
    hull = [*low[:2].tolist(), *high[2:].tolist()]
    assert (pixels(picture) == [hull]) == merged
    assert components(picture).labels.max() == (0 if merged else 1)
    assert (components(picture).labels >= 0).sum() == (picture > 0).sum()


def test_the_closest_pair_merges_first() -> None:
    # The second and third letter are one pixel apart and then too large for the first, two pixels away.
    letters = (LETTER, (28, 20, 34, 28), (35, 20, 41, 28))
    assert pixels(raster(*letters)) == [[28, 20, 41, 28], [20, 20, 26, 28]]
    assert pixels(raster(*letters), max_area=1) == [[20, 20, 41, 28]]


def test_of_equal_gaps_the_first_in_reading_order_merges() -> None:
    assert pixels(raster(LETTER, (28, 20, 34, 28), (36, 20, 42, 28))) == [[20, 20, 34, 28], [36, 20, 42, 28]]


def test_too_many_regions_are_merged_smallest_with_nearest() -> None:
    picture = raster((10, 10, 60, 60), (10, 100, 40, 130), (50, 100, 60, 110), (10, 200, 100, 250))
    assert len(pixels(picture, max_regions=4)) == 4
    assert pixels(picture, max_regions=3) == [[10, 200, 100, 250], [10, 10, 60, 60], [10, 100, 60, 130]]
    assert pixels(picture, max_regions=2) == [[10, 10, 60, 130], [10, 200, 100, 250]]
    assert pixels(picture, max_regions=1) == [[10, 10, 100, 250]]


def test_limits_are_shares_of_the_longer_side() -> None:
    picture = raster(LETTER, (28, 20, 34, 28), (60, 60, 140, 100), (3, 240, 5, 244))
    double = picture.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(components(double).boxes, components(picture).boxes)
    turned = components(np.ascontiguousarray(picture.T)).boxes[:, [1, 0, 3, 2]]
    np.testing.assert_array_equal(turned, components(picture).boxes)


@pytest.mark.parametrize("seed", range(5))
def test_a_box_is_that_of_its_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, [110, 220], (25, 2))
    sizes = rng.integers(1, 30, (25, 2))
    picture = raster(*np.concatenate([corners, corners + sizes], axis=1).tolist())
    found = components(picture, max_regions=6)
    assert 1 < len(found.boxes) <= 6
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    assert (np.diff(areas) <= 0).all()
    for region, box in enumerate(found.boxes):
        ys, xs = np.nonzero(found.labels == region)
        seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(box * FRAME, seen, atol=1e-4)
