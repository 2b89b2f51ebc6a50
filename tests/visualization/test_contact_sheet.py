"""The contact sheet of a dataset."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_data import dataset, drawing, photo

from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.transforms import UnitAffine, edge_map
from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.visualization.contact_sheet import sample, write_contact_sheet


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
    write_contact_sheet(data, boxes, path)
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
    write_contact_sheet(data, boxes, tmp_path / "two.png", count=8, split="val")
    write_contact_sheet(data, boxes, tmp_path / "one.png", count=1, split="val")
    assert Image.open(tmp_path / "two.png").height - Image.open(tmp_path / "one.png").height == 22 + 256 + 12


def test_show_draws_the_edges_that_a_network_reads(tmp_path: Path) -> None:
    data = dataset()
    boxes = {id_: np.array([[0, 0, 1, 1]], dtype=np.float32) for id_ in data.photos}
    write_contact_sheet(data, boxes, tmp_path / "sheet.png", count=1, split="val", photo_style="edges")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    x, y = 12 + 3 * (256 + 12), 12 + 22
    pixels = data.photos[sample(data, "val", 1)[0].photo_id].read()
    seen = UnitAffine.letterbox(*pixels.shape[:2]).image(pixels, 256)
    assert np.array_equal(sheet[y : y + 256, x : x + 256], edge_map(seen))
