"""What is found wrong with a dataset."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_data import dataset, drawing, photo

from fgsbir.data.check import check
from fgsbir.data.datasets import ChairV2
from fgsbir.data.datasets.qmul import EXPECTED_COUNTS
from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.statistics import format_stats, stats
from fgsbir.sketch.strokes import VectorSketch


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


@pytest.mark.skipif("FGSBIR_DATA" not in os.environ, reason="FGSBIR_DATA does not name the real data")
def test_real_chair_v2_has_no_errors_and_the_published_counts() -> None:
    problems = check(ChairV2(Path(os.environ["FGSBIR_DATA"])).load(), EXPECTED_COUNTS["chair_v2"])
    assert not [p for p in problems if p.level == "error" or "published" in p.text]
