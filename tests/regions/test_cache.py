from pathlib import Path

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.regions.cache import BoxCache

BOXES = np.array([[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]], dtype=np.float32)


def test_returns_what_was_put(tmp_path: Path) -> None:
    cache = BoxCache(tmp_path, {"mode": "fast"})
    assert cache.get("abc") is None
    cache.put("abc", BOXES)
    found = cache.get("abc")
    assert found is not None
    np.testing.assert_array_equal(found, BOXES)
    assert cache.get("abd") is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abc.npy"]  # no temporary file is left


def test_settings_are_kept_apart(tmp_path: Path) -> None:
    BoxCache(tmp_path, {"mode": "fast", "side": 256}).put("abc", BOXES)
    assert BoxCache(tmp_path, {"mode": "quality", "side": 256}).get("abc") is None
    assert BoxCache(tmp_path, {"side": 256, "mode": "fast"}).get("abc") is not None  # order of settings is nothing


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4), dtype=np.float32),
        np.zeros((2, 3), dtype=np.float32),
        np.zeros(4, dtype=np.float32),
        np.float32(1),
        np.zeros((2, 4)),
        np.array([[0, 0, 1, np.nan]], dtype=np.float32),
        np.array([[0, 0, 1, 256]], dtype=np.float32),
        np.array([[None] * 4]),
    ],
)
def test_a_foreign_array_is_not_used(tmp_path: Path, array: np.ndarray) -> None:
    cache = BoxCache(tmp_path, {})
    cache.put("abc", BOXES)
    with (cache.folder / "abc.npy").open("wb") as file:
        np.save(file, array, allow_pickle=True)
    assert cache.get("abc") is None


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_not_used(tmp_path: Path, length: int) -> None:
    cache = BoxCache(tmp_path, {})
    cache.put("abc", BOXES)
    path = cache.folder / "abc.npy"
    path.write_bytes(path.read_bytes()[:length])
    assert cache.get("abc") is None


def test_require_writable(tmp_path: Path) -> None:
    cache = BoxCache(tmp_path / "new", {})
    cache.require_writable()
    assert not list(cache.folder.iterdir())
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="FGSBIR_CACHE"):
        BoxCache(tmp_path / "file", {}).require_writable()
