import base64
import io

import numpy as np
from PIL import Image

from fgsbir.report.gallery import build_gallery, data_uri, pick_queries
from fgsbir.retrieval.ranking import Ranking


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


def test_data_uri_gives_the_pixels_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    head, code = data_uri(image, "PNG").split(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))), image)


def test_each_cell_shows_the_photo_that_was_retrieved() -> None:
    shades = np.array([10, 90, 170, 250], np.uint8)
    photos = np.zeros((4, 96, 96, 3), np.uint8) + shades[:, None, None, None]
    ranking = Ranking(
        query_ids=np.array(["b_1"]),
        gallery_ids=np.array(["a", "b", "c", "d"]),
        target=np.array([1]),
        ranks=np.array([3]),
        top=np.array([[3, 0, 1, 2]]),
        top_distances=np.array([[0.1, 0.2, 0.3, 0.4]], np.float32),
    )
    (query,) = build_gallery([("system", ranking)], photos, photos[:1], top=3)
    (answer,) = query.answers
    assert (query.query_id, query.photo_id, answer.rank) == ("b_1", "b", 3)
    assert [(cell.photo_id, cell.is_true) for cell in answer.cells] == [("d", False), ("a", False), ("b", True)]
    seen = [Image.open(io.BytesIO(base64.b64decode(cell.image.split(",")[1]))) for cell in answer.cells]
    assert [round(float(np.mean(image)) / 80) for image in seen] == [3, 0, 1]
