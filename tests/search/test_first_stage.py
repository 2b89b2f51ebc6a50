"""The first stage on vectors made up for it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fgsbir.search.first_stage import Faiss, Qdrant
from fgsbir.search.searcher import Searcher

DIM = 8


class Vectors:
    """An index of nothing but vectors, `(n, DIM)`; some rows may be of removed photos."""

    vector_field = "vector"

    def __init__(self, folder, vectors, removed=()):
        self.folder, self._vectors = folder, vectors.astype(np.float32)
        self._rows = np.setdiff1d(np.arange(len(vectors)), removed)
        self.photos = {f"p{row}": SimpleNamespace(row=int(row)) for row in self._rows}
        self.manifest = SimpleNamespace(name="made-up")

    def vectors(self):
        return self._vectors

    def rows(self):
        return self._rows


def nearly_equal(rng):
    """Of 400 vectors 300 are nearly the same, and the rest is anywhere."""
    return np.concatenate([np.full((300, DIM), 0.3) + 1e-6 * rng.random((300, DIM)), rng.random((100, DIM))])


SETS = {
    "nearly equal": nearly_equal,
    "equal": lambda rng: np.full((400, DIM), 0.5),
    "two heaps": lambda rng: np.repeat(rng.random((2, DIM)), [390, 10], axis=0) + 1e-7 * rng.random((400, DIM)),
    "even": lambda rng: rng.random((400, DIM)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("probes", [1, 3, 16, 1000])
def test_lists_give_as_many_photos_as_are_asked_for(tmp_path, name, probes):
    rng = np.random.default_rng(0)
    made = Vectors(tmp_path, SETS[name](rng), removed=np.arange(0, 400, 7))
    lists = Faiss(made, flat_limit=10, probes=probes)
    for query in (*rng.random((4, DIM)).astype(np.float32), made.vectors()[1]):
        all_rows = lists.nearest(query, 1000)
        assert sorted(all_rows.tolist()) == made.rows().tolist()
        for count in (1, 5, 100, 200, 300, len(made.rows())):
            found = lists.nearest(query, count)
            assert len(set(found.tolist())) == count
            # What is found in fewer does not depend on how many are asked for: recall is measured for all at once.
            assert found.tolist() == all_rows[:count].tolist()


def test_all_lists_give_the_exact_order(tmp_path):
    """Of vectors so far apart that 8 bits a number can tell their distances."""
    rng = np.random.default_rng(0)
    steps = rng.permutation(200)
    made = Vectors(tmp_path, steps[:, None] / 200 * np.ones(DIM))
    for query in (np.zeros(DIM, np.float32), np.ones(DIM, np.float32)):
        exact = ((made.vectors() - query) ** 2).sum(1).argsort()
        assert Faiss(made).nearest(query, 200).tolist() == exact.tolist()
        assert Faiss(made, flat_limit=10, probes=1000).nearest(query, 200).tolist() == exact.tolist()


def test_more_photos_than_there_are(tmp_path):
    made = Vectors(tmp_path, np.random.default_rng(0).random((7, DIM)))
    for stage in (Faiss(made), Faiss(made, flat_limit=1, probes=1)):
        assert sorted(stage.nearest(made.vectors()[0], 99).tolist()) == list(range(7))


class ShortSighted:
    """A Qdrant server that finds a few points only, unless it is told to compare all."""

    def __init__(self, client):
        self.client, self.asked = client, []

    def query_points(self, *args, limit, search_params, **more):
        self.asked.append(search_params.exact)
        return self.client.query_points(*args, limit=limit if search_params.exact else min(3, limit), **more)


def test_qdrant_compares_all_where_its_graph_finds_too_few(tmp_path):
    made = Vectors(tmp_path, np.random.default_rng(0).random((30, DIM)))
    stage = Qdrant(made, None)
    stage.sync(made)
    query = made.vectors()[4]
    exact = ((made.vectors() - query) ** 2).sum(1).argsort().tolist()
    assert stage.nearest(query, 12).tolist() == exact[:12]
    whole, stage.client = stage.client, ShortSighted(stage.client)
    assert stage.nearest(query, 2).tolist() == exact[:2]
    assert stage.client.asked == [False]
    assert stage.nearest(query, 12).tolist() == exact[:12]
    assert stage.client.asked == [False, False, True]
    whole.close()


@pytest.mark.parametrize("count", [1, 4, 10, 50])
def test_points_that_the_index_does_not_know_take_no_place(tmp_path, count):
    """A collection that several processes share may have newer photos, here the nearest ones."""
    vectors = np.sort(np.random.default_rng(0).random(60))[:, None] * np.ones(DIM)
    stage = Faiss(Vectors(tmp_path, vectors))
    searcher = object.__new__(Searcher)
    searcher.index = Vectors(tmp_path, vectors, removed=np.arange(40))
    searcher.first, searcher._head = stage, None
    searcher._photo = {stored.row: photo for photo, stored in searcher.index.photos.items()}
    found = searcher.nearest(SimpleNamespace(vector=torch.zeros(1, DIM)), count)
    assert found.tolist() == list(range(40, 60))[:count]
