"""Scores while drawing, and their file."""

import io

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.metrics.on_the_fly import (
    MOMENTS,
    SHARES,
    DrawingRanks,
    drawing_scores,
    load_drawing_ranks,
    save_drawing_ranks,
)

DRAWING = DrawingRanks(
    np.array(["a", "b"]), SHARES, np.arange(2 * MOMENTS).reshape(2, MOMENTS) + 1, "2026-01-02T03:04:05+00:00"
)


def test_scores_by_hand() -> None:
    # Two sketches, three moments, five photos: percentiles 0, 1/2, 1 and 3/4, 1/4, 1.
    scores = drawing_scores([[5, 3, 1], [2, 4, 1]], gallery=5)
    np.testing.assert_allclose(scores.percentile, [[0, 50, 100], [75, 25, 100]])
    np.testing.assert_allclose(scores.reciprocal, [[20, 100 / 3, 100], [50, 25, 100]])
    assert scores.percentile.mean() == pytest.approx(100 * 3.5 / 6)
    assert scores.reciprocal.mean() == pytest.approx(100 * (1 / 5 + 1 / 3 + 1 + 1 / 2 + 1 / 4 + 1) / 6)


def test_guessing_has_a_mean_percentile_of_a_half_and_a_single_photo_is_always_first() -> None:
    assert drawing_scores(np.arange(1, 301), gallery=300).percentile.mean() == pytest.approx(50)
    assert drawing_scores([1], gallery=1).percentile.tolist() == [100]


def test_moments_are_equal_shares_that_end_with_the_whole_drawing() -> None:
    np.testing.assert_allclose(np.diff(SHARES, prepend=0), 1 / MOMENTS)
    assert SHARES[-1] == 1


def test_the_file_gives_back_what_was_saved_and_needs_no_pickle(tmp_path) -> None:
    path = tmp_path / "new" / "on_the_fly.npz"
    save_drawing_ranks(DRAWING, path)
    loaded = load_drawing_ranks(path)
    assert loaded.finished == DRAWING.finished
    for name in ("query_ids", "shares", "ranks"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(DRAWING, name))
    assert [file.name for file in path.parent.iterdir()] == ["on_the_fly.npz"]


def archive(**changes) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: value for name, value in {**DRAWING._asdict(), **changes}.items() if value is not None}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        archive()[:-80],
        archive(ranks=None),
        archive(ranks=DRAWING.ranks[:, 1:]),
        archive(ranks=DRAWING.ranks[:1]),
        archive(ranks=DRAWING.ranks - 1),
        archive(ranks=DRAWING.ranks.astype(float)),
        archive(ranks=DRAWING.ranks[:0], query_ids=DRAWING.query_ids[:0]),
        archive(shares=SHARES[::-1]),
        archive(shares=SHARES[1:]),
        archive(query_ids=np.arange(2)),
        archive(query_ids=np.array(["a", "b"], dtype=object)),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it_and_the_mend(content: bytes, tmp_path) -> None:
    path = tmp_path / "on_the_fly.npz"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"on_the_fly\.npz: no ranks while drawing .*; run fgsbir on-the-fly again"
    ) as e:
        load_drawing_ranks(path)
    assert "\n" not in str(e.value)


def test_a_missing_file_is_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: no ranks while drawing"):
        load_drawing_ranks(tmp_path / "none.npz")
