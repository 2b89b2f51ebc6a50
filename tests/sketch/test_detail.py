import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.detail import DETAIL_FRACTIONS, detail
from fgsbir.sketch.strokes import VectorSketch


def bars(*lengths: float) -> VectorSketch:
    """One horizontal stroke of each length."""
    return VectorSketch.from_strokes([[(0, 0.1 * i), (w, 0.1 * i)] for i, w in enumerate(lengths)])


def test_full_is_the_sketch_itself() -> None:
    sketch = bars(0.5, 0.25, 0.25)
    assert detail(sketch, "full") is sketch


@pytest.mark.parametrize(
    ("lengths", "fraction", "kept"),
    [
        ((0.5, 0.25, 0.25), 0.5, 1),  # reached exactly
        ((0.5, 0.25, 0.25), 0.51, 2),  # the stroke that reaches it is kept whole
        ((0.5, 0.25, 0.25), 0.75, 2),
        ((0.5, 0.25, 0.25), 0.76, 3),
        ((0.5, 0.25, 0.25), 1.0, 3),
        ((0.5, 0.25, 0.25), 0.01, 1),  # at least one stroke
        ((0.125, 0.125, 0.75), 0.5, 3),  # drawing order, not length, decides
        ((0.0, 0.5, 0.0, 0.5), 0.5, 2),  # dots count nothing
        ((0.0, 0.0), 0.5, 1),
        ((0.3,), 0.5, 1),
    ],
)
def test_prefix_of_whole_strokes(lengths: tuple[float, ...], fraction: float, kept: int) -> None:
    sketch = bars(*lengths)
    result = detail(sketch, "coarse", {"coarse": fraction})
    assert result == sketch.select(range(kept))


@pytest.mark.parametrize("seed", range(10))
def test_the_defaults_drop_more_at_the_coarser_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sketch = bars(*rng.uniform(0.05, 0.1, 30))
    total = sketch.ink.sum()
    drawn = {level: detail(sketch, level).ink.sum() / total for level in ("full", *DETAIL_FRACTIONS)}
    assert drawn["full"] == 1
    for level, fraction in DETAIL_FRACTIONS.items():
        assert fraction <= drawn[level] < fraction + 0.1  # one stroke too much at the most
    assert drawn["coarse++"] < drawn["coarse"]


def test_errors_name_the_levels_and_the_range() -> None:
    with pytest.raises(InputError, match=r"'fine'.*full, coarse, coarse\+\+"):
        detail(bars(1), "fine")
    for fraction in (0, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"'coarse'.*\(0, 1\]"):
            detail(bars(1), "coarse", {"coarse": fraction})
