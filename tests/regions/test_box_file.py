import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fgsbir.data.datasets import ChairV2
from fgsbir.data.records import PhotoRecord
from fgsbir.errors import InputError
from fgsbir.regions.box_file import BoxFile

PHOTOS = [PhotoRecord("chair.1", "train"), PhotoRecord("chair.2", "train")]
ENTRIES = {
    "chair.1.png": [[0, 0, 256, 256], [64, 128, 192, 256], [0, 0, 10, 10]],
    "chair.2.png": [[0, 0, 500, 250], [100, 50, 400, 250]],
    "unused.png": [[0, 0, 1, 1]],
}


def write(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def test_each_photo_has_the_frame_of_its_first_box(tmp_path: Path) -> None:
    boxes = BoxFile(write(tmp_path / "boxes", ENTRIES)).regions(PHOTOS)
    assert list(boxes) == ["chair.1", "chair.2"]
    assert boxes["chair.1"].dtype == np.float32
    np.testing.assert_allclose(
        boxes["chair.1"], [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1], [0, 0, 10 / 256, 10 / 256]], rtol=1e-6
    )
    np.testing.assert_allclose(boxes["chair.2"], [[0, 0, 1, 1], [0.2, 0.2, 0.8, 1]], rtol=1e-6)


def test_top_k_keeps_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "boxes", ENTRIES)
    boxes = BoxFile(path, top_k=2).regions(PHOTOS)
    np.testing.assert_array_equal(boxes["chair.1"], BoxFile(path).regions(PHOTOS)["chair.1"][:2])
    assert len(boxes["chair.2"]) == 2
    with pytest.raises(InputError, match="top_k"):
        BoxFile(path, top_k=0)


def test_missing_photos_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "boxes", ENTRIES)
    with pytest.raises(InputError, match=r"2 of 3 photos, first 'chair\.8'"):
        BoxFile(path).regions([PHOTOS[0], PhotoRecord("chair.8", "test"), PhotoRecord("chair.9", "test")])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ([[5, 0, 256, 256]], "whole photo"),
        ([[0, 0, 0, 256]], "whole photo"),
        ([[0, 0, 256, 256], [0, 0, 300, 20]], "box 1 "),
        ([[0, 0, 256, 256], [0, 0, 10, 20], [-1, 0, 10, 20]], "box 2 "),
        ([[0, 0, 256, 256], [20, 0, 20, 20]], "box 1 "),
        ([[0, 0, 256, float("nan")]], "no list of boxes"),
        ([[0, 0, 256]], "no list of boxes"),
        ([], "no list of boxes"),
        ([[0, 0, 256, 256], [1, 2]], "no list of boxes"),
        ("text", "no list of boxes"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: object, problem: str) -> None:
    path = write(tmp_path / "boxes", {"chair.1.png": entry})
    with pytest.raises(InputError, match=rf"chair\.1\.png.*{problem}"):
        BoxFile(path).regions(PHOTOS[:1])


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dictionary"):
        BoxFile(write(tmp_path / "list", [1])).regions(PHOTOS)
    with pytest.raises(InputError, match="run code"):
        BoxFile(write(tmp_path / "code", {"chair.1.png": Path("x")})).regions(PHOTOS)
    with pytest.raises(InputError, match="nowhere"):
        BoxFile(tmp_path / "nowhere").regions(PHOTOS)


@pytest.mark.skipif("FGSBIR_DATA" not in os.environ, reason="FGSBIR_DATA does not name the real data")
def test_the_published_file_covers_chair_v2() -> None:
    root = Path(os.environ["FGSBIR_DATA"])
    found = sorted(root.rglob("ChairV2_Select_Search_boxes_min10_topN16.pickle"))
    if not found:
        pytest.skip("the box file of ChairV2 is not in FGSBIR_DATA")
    photos = list(ChairV2(root).load().photos.values())
    boxes = BoxFile(found[0]).regions(photos)
    assert len(boxes) == 400
    assert sorted({len(b) for b in boxes.values()}) == [14, 16]
    for b in boxes.values():
        assert b[0].tolist() == [0, 0, 1, 1]
        assert (b >= 0).all()
        assert (b <= 1).all()
        # The files have no box thinner than 10 of 256 or 500 pixels.
        assert (b[:, 2:] - b[:, :2]).min() >= 10 / 500 - 1e-6
