import numpy as np
import pytest
import torch

from fgsbir.errors import InputError
from fgsbir.metrics.ranking import (
    Ranking,
    accuracy_at,
    bootstrap_interval,
    compute_ranks,
    load_ranking,
    paired_test,
    rank_gallery,
    save_ranking,
    summarise,
)


def ranks_by_loop(distances: torch.Tensor, target: torch.Tensor) -> list[int]:
    ranks = []
    for row, true in zip(distances.tolist(), target.tolist(), strict=True):
        others = [d for photo, d in enumerate(row) if photo != true]
        ranks.append(1 + sum(d < row[true] for d in others) + sum(d == row[true] for d in others))
    return ranks


@pytest.fixture
def tied() -> tuple[torch.Tensor, torch.Tensor]:
    """Distances with many ties, and targets."""
    generator = torch.Generator().manual_seed(0)
    distances = torch.randint(0, 6, (40, 13), generator=generator) / 8
    return distances, torch.randint(0, 13, (40,), generator=generator)


@pytest.fixture
def ranking(tied: tuple[torch.Tensor, torch.Tensor]) -> Ranking:
    return rank_gallery(*tied, [f"sketch_{i}" for i in range(40)], [f"photo_{i}" for i in range(13)], top_k=5)


def test_ranks_equal_a_plain_loop(tied: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert compute_ranks(*tied).tolist() == ranks_by_loop(*tied)


def test_a_tie_counts_against_the_query() -> None:
    ranks = compute_ranks(torch.tensor([[0.5, 0.5, 0.5], [0.1, 0.2, 0.2], [0.2, 0.1, 0.2]]), torch.tensor([0, 0, 0]))
    assert ranks.tolist() == [3, 1, 3]
    assert ranks.dtype == torch.long


def test_ranks_are_compared_in_float32() -> None:
    close = torch.tensor([[1.0, 1.0 - 1e-12]], dtype=torch.float64)
    assert compute_ranks(close, torch.tensor([1])).tolist() == [2]


def test_single_photo_gallery_has_rank_one() -> None:
    assert compute_ranks(torch.tensor([[3.0], [0.0]]), torch.tensor([0, 0])).tolist() == [1, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_distance_that_is_not_finite_is_refused(bad: float) -> None:
    distances = torch.zeros(2, 3)
    distances[1, 2] = bad
    with pytest.raises(ValueError, match="finite"):
        compute_ranks(distances, torch.tensor([0, 0]))


@pytest.mark.parametrize(
    ("distances", "target"),
    [
        (torch.zeros(3), torch.tensor([0, 0, 0])),
        (torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 0])),
        (torch.zeros(2, 3), torch.tensor([0])),
        (torch.zeros(2, 3), torch.tensor([[0], [0]])),
        (torch.zeros(2, 3), torch.tensor([0.0, 0.0])),
        (torch.zeros(2, 3), torch.tensor([0, 3])),
        (torch.zeros(2, 3), torch.tensor([0, -1])),
    ],
)
def test_shapes_types_and_range_are_checked(distances: torch.Tensor, target: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"distances must|target must|outside the gallery"):
        compute_ranks(distances, target)


def test_summary_of_a_hand_computed_case() -> None:
    figures = summarise(torch.tensor([1, 2, 5, 10, 20]))
    assert figures == pytest.approx(
        {"acc1": 20.0, "acc5": 60.0, "acc10": 80.0, "mean_rank": 7.6, "mrr": 100 * (1 + 0.5 + 0.2 + 0.1 + 0.05) / 5}
    )


@pytest.mark.parametrize("bad", [[], [0, 1], [1.5], [[1, 2]]])
def test_what_is_no_list_of_ranks_is_refused(bad: list[int]) -> None:
    with pytest.raises(ValueError, match="ranks"):
        accuracy_at(bad, 1)


def test_top_lists_the_nearest_photos_with_the_true_one_behind_its_equals(
    tied: tuple[torch.Tensor, torch.Tensor], ranking: Ranking
) -> None:
    distances, target = tied
    assert ranking.ranks.tolist() == ranks_by_loop(distances, target)
    assert ranking.target.tolist() == target.tolist()
    for query, row in enumerate(distances.tolist()):
        true = int(target[query])
        order = sorted(range(13), key=lambda photo: (row[photo], photo == true, photo))
        assert ranking.top[query].tolist() == order[:5]
        assert ranking.top_distances[query].tolist() == [row[photo] for photo in order[:5]]
        if ranking.ranks[query] <= 5:
            assert ranking.top[query, ranking.ranks[query] - 1] == true


def test_top_k_is_limited_by_the_gallery() -> None:
    ranking = rank_gallery(torch.tensor([[0.3, 0.1]]), torch.tensor([0]), ["s"], ["p", "q"], top_k=50)
    assert ranking.top.tolist() == [[1, 0]]
    assert ranking.top_distances.dtype == np.float32


@pytest.mark.parametrize(
    ("queries", "gallery"),
    [(["s"], ["p", "q"]), (["s", "t"], ["p"]), (["s", "s"], ["p", "q"]), (["s", "t"], ["p"] * 2)],
)
def test_ids_that_do_not_fit_are_refused(queries: list[str], gallery: list[str]) -> None:
    with pytest.raises(ValueError, match=r"queries and|repeated"):
        rank_gallery(torch.zeros(2, 2), torch.tensor([0, 1]), queries, gallery)


def test_a_saved_ranking_is_read_back(ranking: Ranking, tmp_path) -> None:
    save_ranking(ranking, tmp_path / "ranking.npz")
    again = load_ranking(tmp_path / "ranking.npz")
    for name in Ranking._fields:
        np.testing.assert_array_equal(getattr(again, name), getattr(ranking, name), err_msg=name)
        assert getattr(again, name).dtype == getattr(ranking, name).dtype


def test_a_damaged_ranking_is_reported_with_its_path(ranking: Ranking, tmp_path) -> None:
    path = tmp_path / "ranking.npz"
    save_ranking(ranking, path)
    whole = path.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"ranking\.npz: not a ranking"):
            load_ranking(path)
    with pytest.raises(InputError, match="no such ranking"):
        load_ranking(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"ranks": np.array([14] * 40)},
        {"ranks": np.array([0] * 40)},
        {"target": np.array([13] * 40)},
        {"top": np.zeros((40, 4), dtype=np.int64)},
        {"ranks": np.ones(39, dtype=np.int64)},
        {"query_ids": np.array(["x"] * 40, dtype=object)},
    ],
)
def test_arrays_that_do_not_belong_together_are_no_ranking(ranking: Ranking, tmp_path, change) -> None:
    np.savez(tmp_path / "ranking.npz", **{**ranking._asdict(), **change})
    with pytest.raises(InputError, match="not a ranking"):
        load_ranking(tmp_path / "ranking.npz")


def test_interval_agrees_with_drawing_photos_one_by_one() -> None:
    rng = np.random.default_rng(1)
    photos = rng.integers(0, 30, 100)
    ranks = rng.integers(1, 4, 100)
    ids = np.unique(photos)
    accuracies = []
    for _ in range(3000):
        drawn = np.concatenate([ranks[photos == photo] for photo in rng.choice(ids, len(ids))])
        accuracies.append(100 * np.mean(drawn <= 2))
    expected = np.quantile(accuracies, [0.05, 0.95])
    assert bootstrap_interval(ranks, photos, k=2, samples=3000, level=0.9) == pytest.approx(expected, abs=1.0)


def test_sketches_of_one_photo_are_drawn_together() -> None:
    # 40 photos with 25 sketches that succeed or fail together hold the information of 40 sketches, not 1,000.
    outcome = np.where(np.arange(40) % 2 == 0, 1, 9)
    clustered = bootstrap_interval(np.repeat(outcome, 25), np.repeat(np.arange(40), 25))
    single = bootstrap_interval(outcome, np.arange(40))
    assert clustered == pytest.approx(single)
    low, high = bootstrap_interval(np.repeat(outcome, 25), np.arange(1000))
    assert high - low < 0.3 * (clustered[1] - clustered[0])


def test_interval_is_repeatable_and_collapses_when_all_succeed() -> None:
    ranks, photos = np.array([1, 2, 1, 3, 1, 1]), list("aabbcc")
    assert bootstrap_interval(ranks, photos, seed=3) == bootstrap_interval(ranks, photos, seed=3)
    assert bootstrap_interval(np.ones(6, dtype=int), photos) == (100.0, 100.0)


def test_groups_must_match_the_ranks() -> None:
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval([1, 2, 3], ["a", "b"])
    with pytest.raises(ValueError, match="paired"):
        paired_test([1, 2, 3], [1, 2])


def test_paired_test_of_equal_systems_and_of_a_clear_winner() -> None:
    ranks = np.array([1, 2, 1, 1, 3, 1, 9, 1])
    assert paired_test(ranks, ranks) == (0.0, 1.0)
    difference, p = paired_test(np.ones(60, dtype=int), np.full(60, 2), samples=999)
    assert (difference, p) == (100.0, pytest.approx(0.001))


def test_paired_test_is_symmetric() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(1, 4, 80), rng.integers(1, 3, 80)
    forward, backward = paired_test(a, b), paired_test(b, a)
    assert forward[0] == -backward[0]
    assert forward[1] == backward[1]


def test_p_value_is_that_of_the_normal_approximation() -> None:
    # 200 queries, A alone hits 30, B alone hits 16: z = 14 / sqrt(46 - 14^2 / 200) = 2.086, p = 0.037.
    a = np.array([1] * 30 + [2] * 16 + [1] * 154)
    b = np.array([2] * 30 + [1] * 16 + [1] * 154)
    difference, p = paired_test(a, b)
    assert difference == pytest.approx(7.0)
    assert p == pytest.approx(0.037, abs=0.012)


def test_pairing_matters() -> None:
    # The same two accuracies: nested hits are a clear difference, disjoint hits are not.
    a = np.array([1] * 60 + [2] * 40)
    nested, disjoint = np.array([1] * 50 + [2] * 50), np.array([2] * 50 + [1] * 50)
    assert paired_test(a, nested)[1] < 0.01
    assert paired_test(a, disjoint)[1] > 0.2


def test_fewer_photos_give_weaker_evidence() -> None:
    a = np.array([1] * 12 + [2] * 4 + [1] * 48)
    b = np.array([2] * 12 + [1] * 4 + [1] * 48)
    photos = np.arange(64) // 4
    assert paired_test(a, b, photos)[1] > paired_test(a, b)[1]


def test_several_runs_are_judged_by_their_mean() -> None:
    rng = np.random.default_rng(5)
    photos, runs = np.repeat(np.arange(40), 3), rng.integers(1, 4, (3, 120))
    low, high = bootstrap_interval(runs, photos)
    accuracies = [
        np.mean([100 * np.mean(run[drawn] <= 1) for run in runs])
        for drawn in (np.concatenate([np.flatnonzero(photos == p) for p in rng.choice(40, 40)]) for _ in range(2000))
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(accuracies, [0.025, 0.975])), abs=1.0)
    assert bootstrap_interval(runs[:1], photos) == bootstrap_interval(runs[0], photos)

    difference, p = paired_test(runs, np.ones(120, dtype=int), photos)
    assert difference == pytest.approx(np.mean(runs == 1) * 100 - 100)
    assert p < 0.001
    assert paired_test(runs, runs[[2, 0, 1]], photos) == (0.0, 1.0)
    assert paired_test(runs, runs[0])[0] == pytest.approx(100 * (np.mean(runs == 1) - np.mean(runs[0] == 1)))
