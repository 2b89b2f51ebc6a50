import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.regions.selective_search import SelectiveSearch, _select
from fgsbir.sketch.strokes import FloatArray


@dataclass
class Picture:
    """A photo that counts how often it is opened."""

    id: str
    pixels: np.ndarray
    reads: int = 0

    def read(self) -> np.ndarray:
        self.reads += 1
        return self.pixels

    def digest(self) -> str:
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


def shapes(height: int = 120, width: int = 200, seed: int = 0) -> np.ndarray:
    """Overlapping rectangles of random colours on light grey."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 230, dtype=np.uint8)
    for _ in range(12):
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        w, h = rng.integers(15, 90, 2)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image


def iou(a: FloatArray, b: FloatArray) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return float(w * h / union)


def search(image: np.ndarray, cache: Path, **settings: object) -> FloatArray:
    return SelectiveSearch(cache_dir=str(cache), **settings).regions([Picture("a", image)])["a"]  # type: ignore[arg-type]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """New empty cache folders."""
    return (tmp_path / str(i) for i in range(1000))


def test_regions_keep_their_promises(fresh: Iterator[Path]) -> None:
    boxes = search(shapes(), next(fresh), top_k=12, min_side=0.1, max_iou=0.6)
    assert boxes.dtype == np.float32
    assert boxes[0].tolist() == [0, 0, 1, 1]
    assert 4 < len(boxes) <= 12
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (sides >= 0.1 - 1e-6).all()
    assert (np.diff(sides.prod(1)) <= 1e-6).all()  # largest first
    assert max(iou(boxes[i], boxes[j]) for i in range(len(boxes)) for j in range(i)) <= 0.6 + 1e-5


def test_finds_an_object_in_the_frame_of_the_photo(fresh: Iterator[Path]) -> None:
    image = np.full((100, 200, 3), 250, dtype=np.uint8)
    image[10:60, 120:180] = (200, 30, 30)
    truth = np.array([120 / 200, 10 / 100, 180 / 200, 60 / 100])
    boxes = search(image, next(fresh), max_iou=0.8)
    assert max(iou(box, truth) for box in boxes) > 0.85


def test_has_the_boxes_of_a_plain_call_of_opencv(fresh: Iterator[Path]) -> None:
    image = shapes(64, 128)
    image[::3, ::2] //= 2  # texture, so that colour spaces matter
    plain = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    plain.setBaseImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    plain.switchToSelectiveSearchFast()
    expected = {(x, y, x + w, y + h) for x, y, w, h in plain.process().tolist()} | {(0, 0, 128, 64)}
    boxes = search(image, next(fresh), top_k=10_000, min_side=0, max_iou=1)
    assert {tuple(box) for box in (boxes * [128, 64, 128, 64]).round().astype(int).tolist()} == expected


def test_a_plain_photo_is_one_region(fresh: Iterator[Path]) -> None:
    for size in ((64, 64, 3), (1, 1, 3), (2, 300, 3)):
        assert search(np.full(size, 128, dtype=np.uint8), next(fresh)).tolist() == [[0, 0, 1, 1]]


PROCESS = """
import hashlib, sys
import numpy as np
from fgsbir.data.records import PhotoRecord
from fgsbir.regions.selective_search import SelectiveSearch

photo = PhotoRecord("a", "train", pixels=np.load(sys.argv[1]))
boxes = SelectiveSearch(100, cache_dir=sys.argv[2]).regions([photo])["a"]
print(hashlib.sha256(boxes.tobytes()).hexdigest())
"""


def test_is_the_same_at_each_call_and_in_each_process(fresh: Iterator[Path], tmp_path: Path) -> None:
    image = shapes(seed=1)
    here = [search(image, next(fresh), top_k=100) for _ in range(5)]
    assert len(here[0]) > 16
    assert len({boxes.tobytes() for boxes in here}) == 1
    np.save(tmp_path / "image.npy", image)
    for _ in range(2):
        command = [sys.executable, "-c", PROCESS, str(tmp_path / "image.npy"), str(next(fresh))]
        there = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        assert there == hashlib.sha256(here[0].tobytes()).hexdigest()


def test_threads_do_not_mix_photos_up(fresh: Iterator[Path]) -> None:
    photos = [Picture(f"p{i}", shapes(60, 80, seed=i)) for i in range(8)]
    many = SelectiveSearch(cache_dir=str(next(fresh)), workers=4).regions(photos)
    assert list(many) == [photo.id for photo in photos]
    for photo in photos:
        np.testing.assert_array_equal(many[photo.id], search(photo.pixels, next(fresh), workers=1))
    assert len({boxes.tobytes() for boxes in many.values()}) == len(photos)


def test_a_large_photo_is_shrunk_first(fresh: Iterator[Path]) -> None:
    image = shapes(300, 400)
    small = cv2.resize(image, (100, 75), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(search(image, next(fresh), max_side=100), search(small, next(fresh)))
    assert search(image, next(fresh), max_side=100).tobytes() != search(image, next(fresh), max_side=200).tobytes()


def test_quality_has_other_regions(fresh: Iterator[Path]) -> None:
    image = shapes(seed=3)
    fast, quality = (search(image, next(fresh), top_k=10_000, mode=mode) for mode in ("fast", "quality"))
    assert len(quality) > len(fast)


def test_the_cache_is_used_and_shared_between_numbers_of_regions(tmp_path: Path) -> None:
    photo = Picture("a", shapes())
    sixteen = SelectiveSearch(16, cache_dir=str(tmp_path)).regions([photo])["a"]
    four = SelectiveSearch(4, cache_dir=str(tmp_path)).regions([photo])["a"]
    again = SelectiveSearch(16, cache_dir=str(tmp_path)).regions([photo])["a"]
    assert photo.reads == 1
    assert len(sixteen) == 16
    np.testing.assert_array_equal(four, sixteen[:4])
    np.testing.assert_array_equal(again, sixteen)


@pytest.mark.parametrize("change", [{"min_side": 0.2}, {"max_iou": 0.3}, {"mode": "quality"}, {"max_side": 100}])
def test_other_settings_are_computed_anew(tmp_path: Path, change: dict[str, object]) -> None:
    photo = Picture("a", shapes(60, 60))
    SelectiveSearch(cache_dir=str(tmp_path)).regions([photo])
    SelectiveSearch(cache_dir=str(tmp_path), **change).regions([photo])  # type: ignore[arg-type]
    assert photo.reads == 2


def test_another_picture_of_the_same_name_is_computed_anew(tmp_path: Path) -> None:
    first, second = (search(shapes(60, 60, seed), tmp_path) for seed in (0, 1))
    assert first.tobytes() != second.tobytes()


def test_a_damaged_entry_is_computed_anew(tmp_path: Path) -> None:
    source = SelectiveSearch(cache_dir=str(tmp_path))
    photo = Picture("a", shapes())
    before = source.regions([photo])["a"]
    (entry,) = tmp_path.rglob("*.npy")
    entry.write_bytes(b"damaged")
    np.testing.assert_array_equal(source.regions([photo])["a"], before)
    assert source.regions([photo])["a"].tobytes() == before.tobytes()
    assert photo.reads == 2  # the entry was written again


def test_equal_photos_are_computed_once(tmp_path: Path) -> None:
    photos = [Picture("a", shapes()), Picture("b", shapes())]
    found = SelectiveSearch(cache_dir=str(tmp_path)).regions(photos)
    assert sum(photo.reads for photo in photos) == 1
    np.testing.assert_array_equal(found["a"], found["b"])


def test_an_unwritable_cache_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    photo = Picture("a", shapes())
    with pytest.raises(InputError, match="cache"):
        SelectiveSearch(cache_dir=str(tmp_path / "file")).regions([photo])
    assert photo.reads == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 0},
        {"min_side": -0.1},
        {"min_side": 1.0},
        {"max_iou": 0.0},
        {"max_iou": 1.1},
        {"mode": "slow"},
        {"max_side": 8},
        {"workers": -1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    (field,) = wrong
    with pytest.raises(InputError, match=f"regions.{field}"):
        SelectiveSearch(**wrong)  # type: ignore[arg-type]


def test_select_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 11, (300, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    kept: list[list[int]] = []
    for box in sorted(boxes.tolist(), key=lambda b: (-(b[2] - b[0]) * (b[3] - b[1]), *b)):
        if all(iou(np.array(box), np.array(other)) <= 0.55 for other in kept):
            kept.append(box)
    assert 10 < len(kept) < 0.6 * len(boxes)
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(boxes)
        assert _select(shuffled, 0.55).tolist() == kept
