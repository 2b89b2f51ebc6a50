"""The retrieval grid, on photos of one colour each."""

import numpy as np
import pytest

from fgsbir.metrics.ranking import Ranking
from fgsbir.visualization.grids import GAP, HEADING, TRUE, retrieval_grid

SIDE = 20
COLOURS = np.array([[200, 0, 0], [0, 0, 200], [120, 120, 0], [0, 120, 120]], np.uint8)


def ranking(ranks, target, top):
    names = [np.array([f"{kind}{i}" for i in range(n)]) for kind, n in (("s", len(ranks)), ("p", 4))]
    top = np.array(top)
    return Ranking(*names, np.array(target), np.array(ranks), top, np.zeros(top.shape, np.float32))


@pytest.fixture
def grid():
    """Query 0 finds its photo 2 second, query 1 has its photo 3 fourth, beyond the three that are shown."""
    found = ranking([2, 4], [2, 3], [[1, 2, 0], [0, 1, 2]])
    photos = np.broadcast_to(COLOURS[:, None, None], (4, SIDE, SIDE, 3)).copy()
    return retrieval_grid(found, photos, np.full((2, SIDE, SIDE, 3), 77, np.uint8), top=3)


def corner(row, column):
    return GAP + row * (SIDE + GAP + HEADING) + HEADING, GAP + column * (SIDE + GAP) + (2 * GAP if column > 1 else 0)


@pytest.mark.parametrize(("row", "photos"), [(0, [2, 1, 2, 0]), (1, [3, 0, 1, 2])])
def test_a_row_is_the_sketch_its_photo_and_the_nearest(grid, row, photos):
    for column, colour in enumerate([np.full(3, 77), *COLOURS[photos]]):
        y, x = corner(row, column)
        assert (grid[y + 3 : y + SIDE - 3, x + 3 : x + SIDE - 3] == colour).all()


def test_only_the_true_photo_among_the_nearest_is_framed(grid):
    y, x = corner(0, 3)
    framed = (grid == TRUE).all(2)
    assert framed[y - 3 : y + SIDE + 3, x - 3].all()
    framed[y - 3 : y + SIDE + 3, x - 3 : x + SIDE + 3] = False
    assert not framed.any()
