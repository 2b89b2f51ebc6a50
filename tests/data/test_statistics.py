"""The numbers that describe a dataset."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from tiny_data import dataset, drawing, photo

from fgsbir.data.records import SPLITS, PhotoRecord, SketchRecord
from fgsbir.data.statistics import format_stats, stats


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
