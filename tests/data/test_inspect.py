import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgsbir.data.datasets.qmul import EXPECTED_COUNTS, load_chair_v2
from fgsbir.data.inspect import check, format_stats, sample, show, stats
from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.transforms import UnitAffine, edge_map
from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch

SPLITS = ("train", "val", "test")


def drawing(seed: int, strokes: int = 3) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes(rng.uniform(0.1, 0.9, (int(rng.integers(4, 9)), 2)) for _ in range(strokes))


def photo(id_: str, split: str, seed: int, size: tuple[int, int] = (30, 40)) -> PhotoRecord:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    return PhotoRecord(id_, split, pixels=pixels)


def dataset(extra_photos: tuple[PhotoRecord, ...] = (), extra_sketches: tuple[SketchRecord, ...] = ()) -> PairedData:
    """Two photos a split with two sketches each, nothing wrong with it."""
    photos = [photo(f"{split}{n}", split, 10 * s + n) for s, split in enumerate(SPLITS) for n in range(2)]
    sketches = [
        SketchRecord(f"{p.id}_{n}", p.id, p.split, drawing(2 * i + n, 2 + i))
        for i, p in enumerate(photos)
        for n in range(2)
    ]
    return PairedData("tiny", (*sketches, *extra_sketches), {p.id: p for p in (*photos, *extra_photos)})


def test_nothing_is_wrong_with_a_clean_dataset() -> None:
    assert check(dataset()) == []
    assert check(dataset(), {"train": (8, 4), "test": (4, 2)}) == []


def found(data: PairedData, level: str, where: str = "") -> list[str]:
    return [p.text for p in check(data) if p.level == level and p.where.startswith(where)]


def test_photos_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = PhotoRecord("broken", "train", tmp_path / "broken.png")
    absent = PhotoRecord("absent", "train", tmp_path / "absent.png")
    sketches = tuple(SketchRecord(f"{p.id}_1", p.id, "train", drawing(99 + len(p.id))) for p in (broken, absent))
    data = dataset((broken, absent), sketches)
    assert [p.where for p in check(data) if p.level == "error"] == ["photo broken", "photo absent"]
    assert "broken.png" in found(data, "error")[0]


def test_equal_photos_are_found_by_their_pixels(tmp_path: Path) -> None:
    pixels = photo("", "", 77).pixels
    assert pixels is not None
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=0)
    Image.fromarray(pixels).save(tmp_path / "b.png", compress_level=9)
    copies = (PhotoRecord("a", "train", tmp_path / "a.png"), PhotoRecord("b", "test", tmp_path / "b.png"))
    sketches = tuple(SketchRecord(f"{p.id}_1", p.id, p.split, drawing(90 + i)) for i, p in enumerate(copies))
    assert found(dataset(copies, sketches), "warning") == ["equal content: a (train), b (test)"]


def test_equal_sketches_are_found() -> None:
    same = drawing(50)
    regrouped = VectorSketch(same.points, np.array([0, len(same.points)]))  # same points, other strokes
    sketches = (
        SketchRecord("x", "train0", "train", same),
        SketchRecord("y", "test0", "test", same),
        SketchRecord("z", "test1", "test", regrouped),
    )
    assert found(dataset((), sketches), "warning") == ["equal content: x (train), y (test)"]


def test_photos_without_sketch_are_a_note() -> None:
    spare = tuple(photo(f"spare{n}", "train", 60 + n) for n in range(7))
    (text,) = found(dataset(spare), "note", "photos")
    assert text.startswith("7 have no sketch")
    assert text.endswith("spare4 and 2 more")


def test_odd_sketches_are_named() -> None:
    flat = VectorSketch.from_strokes([[[0.1, 0.5], [0.9, 0.5]], [[0.3, 0.3]], [[0.1, 0.1], [0.2, 0.2]]])
    single = VectorSketch.from_strokes([[[0.1, 0.1], [0.2, 0.3]]])
    outside = VectorSketch.from_strokes([[[0.1, 0.1], [0.2, 1.3]], [[0.1, 0.1], [0.4, 0.3]]])
    records = {"flat": flat, "single": single, "outside": outside}
    data = dataset((), tuple(SketchRecord(id_, "train0", "train", sketch) for id_, sketch in records.items()))
    assert [p.level for p in check(data)] == ["warning", "note", "note"]  # the worst first
    (text,) = found(data, "warning")
    assert text.startswith("1 have ink outside")
    assert text.endswith(": outside")
    first, second = found(data, "note", "sketches")
    assert first.startswith("2 strokes of 1 ")
    assert first.endswith(": flat")
    assert second.startswith("1 have one stroke")
    assert second.endswith(": single")


def test_counts_are_compared_with_the_published() -> None:
    problems = check(dataset(), {"train": (9, 4), "test": (4, 2)})
    assert [(p.level, p.where) for p in problems] == [("warning", "train + val")]
    assert "8 sketches of 4 photos, published are 9 of 4" in str(problems[0])
    assert [p.where for p in check(dataset(), {"train": (8, 4), "test": (4, 3)})] == ["test"]


def test_an_empty_split_is_a_warning() -> None:
    whole = dataset()
    part = PairedData("part", tuple(s for s in whole.sketches if s.split != "val"), whole.photos)
    assert found(part, "warning") == ["the split is empty"]
    assert "-" in format_stats(stats(part))


def test_stats_equal_plain_loops() -> None:
    data = dataset((photo("spare", "train", 8, (20, 10)),), (SketchRecord("x", "val0", "val", drawing(5, 9)),))
    numbers = stats(data)
    assert numbers["name"] == "tiny"
    assert numbers["photo_sizes"] == {"40x30": 6, "10x20": 1}  # width first
    for split in SPLITS:
        records = [s for s in data.sketches if s.split == split]
        entry = numbers["splits"][split]
        assert (entry["sketches"], entry["photos"]) == (len(records), 2)
        assert entry["hash"] == data.split_hash(split)
        ink = []
        for record in records:
            length = 0.0
            for stroke in record.sketch.strokes:
                for a, b in pairwise(stroke):
                    length += float(np.hypot(*(b - a)))
            ink.append(length)
        expected = {
            "strokes": [len(s.sketch.strokes) for s in records],
            "points": [sum(len(stroke) for stroke in s.sketch.strokes) for s in records],
            "ink": ink,
            "sketches_per_photo": [sum(s.photo_id == id_ for s in records) for id_ in {s.photo_id for s in records}],
        }
        for key, values in expected.items():
            spread = [min(values), sum(values) / len(values), np.median(values), max(values)]
            assert list(entry[key]) == ["min", "mean", "median", "max"]
            np.testing.assert_allclose(list(entry[key].values()), spread, rtol=1e-5)
    text = format_stats(numbers)
    assert numbers["splits"]["val"]["hash"] in text
    assert "2 / 2.5 / 2.5 / 3" in text
    assert "6 of 40x30, 1 of 10x20" in text


def test_stats_survive_a_broken_photo(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    data = dataset((PhotoRecord("broken", "train", tmp_path / "broken.png"),))
    assert stats(data)["photo_sizes"] == {"40x30": 6, "unreadable": 1}


def test_sample_takes_each_photo_once() -> None:
    whole = dataset()
    assert {s.photo_id for s in sample(whole, "train", 10)} == {"train0", "train1"}
    assert len(sample(whole, "train", 10)) == 2
    many = PairedData(
        "many",
        tuple(SketchRecord(f"{n}_1", str(n), "train", drawing(n)) for n in range(30)),
        {str(n): photo(str(n), "train", n) for n in range(30)},
    )
    picks = [[s.id for s in sample(many, "train", 6, seed)] for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]
    with pytest.raises(InputError, match="'dev'"):
        sample(whole, "dev", 3)


def test_show_draws_every_part(tmp_path: Path) -> None:
    sketch = VectorSketch.from_strokes([[[0.25, 0.25], [0.25, 0.75]], [[0.75, 0.25], [0.75, 0.75]]])
    wide = np.full((50, 100, 3), (10, 200, 30), dtype=np.uint8)
    data = PairedData(
        "one", (SketchRecord("a_1", "a", "train", sketch),), {"a": PhotoRecord("a", "train", pixels=wide)}
    )
    boxes = {"a": np.array([[0, 0, 1, 1], [0.5, 0, 1, 1]], dtype=np.float32)}
    path = tmp_path / "new" / "sheet.png"
    show(data, boxes, path)
    sheet = np.asarray(Image.open(path)).astype(int)
    assert sheet.shape == (12 + 22 + 256 + 12, 4 * 268 + 12, 3)
    drawn, coloured, regions, plain = (sheet[34 : 34 + 256, x : x + 256] for x in (12, 280, 548, 816))
    for column in (64, 192):  # a vertical stroke at a quarter and at three quarters of the width
        assert drawn[128, column - 1 : column + 1].max() < 60
        assert np.ptp(coloured[128, column - 1 : column + 1], axis=-1).min() > 100  # no grey
    assert (drawn[128, 128] == 255).all()
    left, right = coloured[128, 64], coloured[128, 192]
    assert left[0] > left[2]  # red first
    assert np.abs(left - right).max() > 100
    green = np.array([10, 200, 30])
    assert (np.abs(plain[64:192] - green) < 3).all()  # a wide photo lies in the middle of the square
    assert (plain[:60] == 255).all()
    assert (plain[196:] == 255).all()
    differs = (regions != plain).any(-1)
    ys, xs = np.nonzero(differs)
    assert abs(xs.min() - 128) <= 1  # the box covers the right half of the photo
    assert (xs.max(), ys.min(), ys.max()) == (255, 64, 191)
    assert not differs[70:186, 132:250].any()


def test_show_writes_one_row_a_photo(tmp_path: Path) -> None:
    data = dataset()
    boxes = {id_: np.array([[0, 0, 1, 1]], dtype=np.float32) for id_ in data.photos}
    show(data, boxes, tmp_path / "two.png", count=8, split="val")
    show(data, boxes, tmp_path / "one.png", count=1, split="val")
    assert Image.open(tmp_path / "two.png").height - Image.open(tmp_path / "one.png").height == 22 + 256 + 12


def test_show_draws_the_edges_that_a_network_reads(tmp_path: Path) -> None:
    data = dataset()
    boxes = {id_: np.array([[0, 0, 1, 1]], dtype=np.float32) for id_ in data.photos}
    show(data, boxes, tmp_path / "sheet.png", count=1, split="val", photo_style="edges")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    x, y = 12 + 3 * (256 + 12), 12 + 22
    photo = data.photos[sample(data, "val", 1)[0].photo_id].read()
    seen = UnitAffine.letterbox(*photo.shape[:2]).image(photo, 256)
    assert np.array_equal(sheet[y : y + 256, x : x + 256], edge_map(seen))


@pytest.mark.skipif("FGSBIR_DATA" not in os.environ, reason="FGSBIR_DATA does not name the real data")
def test_real_chair_v2_has_no_errors_and_the_published_counts() -> None:
    problems = check(load_chair_v2(Path(os.environ["FGSBIR_DATA"])), EXPECTED_COUNTS["chair_v2"])
    assert not [p for p in problems if p.level == "error" or "published" in p.text]
