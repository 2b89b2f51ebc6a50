"""Retrieval grids, on photos of one colour or shade each."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fgsbir.metrics.ranking import Ranking
from fgsbir.visualization.grids import GAP, HEADING, TRUE, Shown, build_gallery, pick_queries, retrieval_grid

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


def test_queries_come_one_from_each_band_easiest_first() -> None:
    ranks = np.random.default_rng(0).permutation(np.arange(1, 81))
    for seed in range(5):
        chosen = ranks[pick_queries(ranks[None], count=8, seed=seed)]
        assert [(rank - 1) // 10 for rank in chosen] == list(range(8))


def test_bands_follow_the_mean_over_systems() -> None:
    ranks = np.array([[1, 9, 2, 2], [9, 9, 1, 3]])  # means 5, 9, 1.5, 2.5
    assert pick_queries(ranks, count=4) == [2, 3, 0, 1]


def test_the_choice_is_that_of_the_seed() -> None:
    ranks = np.random.default_rng(0).integers(1, 50, (2, 300))
    assert pick_queries(ranks, seed=3) == pick_queries(ranks, seed=3)
    assert len({tuple(pick_queries(ranks, seed=seed)) for seed in range(5)}) > 1


def test_fewer_queries_than_bands() -> None:
    assert sorted(pick_queries(np.array([[3, 1, 2]]), count=8)) == [0, 1, 2]


SHADES = np.array([10, 90, 170, 250], np.uint8)
PHOTOS = np.zeros((4, 96, 96, 3), np.uint8) + SHADES[:, None, None, None]


def shown(top: list[list[int]], target: list[int], sketch_shade: int = 0) -> Shown:
    """A run on as many queries as there are lists of nearest photos."""
    ranks = [photos.index(true) + 1 for photos, true in zip(top, target, strict=True)]
    ranking = Ranking(
        query_ids=np.array([f"{'abcd'[true]}_{q}" for q, true in enumerate(target)]),
        gallery_ids=np.array(list("abcd")),
        target=np.array(target),
        ranks=np.array(ranks),
        top=np.array(top),
        top_distances=np.sort(np.random.default_rng(0).random((len(top), 4)), axis=1).astype(np.float32),
    )
    return Shown(ranking, np.full((len(top), 96, 96, 3), sketch_shade, np.uint8))


def shade(uri: str) -> int:
    return round(float(np.mean(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))))


def test_each_cell_shows_the_photo_that_was_retrieved() -> None:
    (query,) = build_gallery({"system": {"full": shown([[3, 0, 1, 2]], [1])}}, PHOTOS, top=3)
    ((system, (answer,)),) = query.answers
    assert (query.query_id, query.photo_id, shade(query.photo)) == ("b_0", "b", 90)
    assert (system, answer.detail, answer.rank) == ("system", "full", 3)
    assert [(photo.photo_id, photo.is_true) for photo in answer.photos] == [("d", False), ("a", False), ("b", True)]
    assert [shade(photo.image) for photo in answer.photos] == [250, 10, 90]


def test_each_level_of_detail_has_its_own_sketch_rank_and_photos() -> None:
    levels = {"full": shown([[1, 0, 2, 3]], [1], 40), "coarse": shown([[0, 2, 1, 3]], [1], 200)}
    (query,) = build_gallery({"ours": levels, "theirs": {"full": shown([[3, 1, 2, 0]], [1], 40)}}, PHOTOS, top=2)
    assert [(name, [a.detail for a in answers]) for name, answers in query.answers] == [
        ("ours", ["full", "coarse"]),
        ("theirs", ["full"]),
    ]
    full, coarse = query.answers[0][1]
    assert (full.rank, coarse.rank, query.answers[1][1][0].rank) == (1, 3, 2)
    assert (shade(full.sketch), shade(coarse.sketch)) == (40, 200)
    assert [photo.photo_id for photo in coarse.photos] == ["a", "c"]
    assert not any(photo.is_true for photo in coarse.photos)


def test_queries_are_chosen_by_the_full_sketches() -> None:
    """Of two queries the easy one on full sketches comes first, though it is the hard one on coarse ones."""
    levels = {
        "full": shown([[3, 0, 1, 2], [1, 0, 2, 3]], [2, 1]),
        "coarse": shown([[2, 0, 1, 3], [3, 0, 2, 1]], [2, 1]),
    }
    queries = build_gallery({"ours": levels}, PHOTOS, count=2)
    assert [query.query_id for query in queries] == ["b_1", "c_0"]
