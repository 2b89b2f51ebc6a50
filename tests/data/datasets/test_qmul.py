"""QMUL-ChairV2 and ShoeV2."""

import hashlib
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgsbir.data.datasets import ChairV2, ShoeV2
from fgsbir.data.datasets.qmul import EXPECTED_COUNTS
from fgsbir.data.records import PairedData
from fgsbir.data.splits import lowest_tenth, read_list
from fgsbir.errors import Faults, InputError

VAL = sorted(read_list("chair_v2_val"))
DRAWING = np.array([[64, 32, 0], [128, 32, 1], [0, 256, 0], [64, 192, 1]], dtype=np.float64)

real_data = pytest.mark.skipif("FGSBIR_DATA" not in os.environ, reason="FGSBIR_DATA does not name the real data")


def write_qmul(folder: Path, name: str, keys: list[str]) -> Path:
    """The published layout: a coordinate pickle and `photo/<id>.png`."""
    (folder / "photo").mkdir(parents=True)
    content = {key: DRAWING + np.array([number / 2, 0, 0]) for number, key in enumerate(keys)}
    (folder / f"{name}_Coordinate").write_bytes(pickle.dumps(content, protocol=2))
    for number, key in enumerate(keys):
        path = folder / "photo" / (key.split("/")[2].rsplit("_", 1)[0] + ".png")
        Image.new("RGB", (256, 256), (number, 0, 0)).save(path)
    return folder


CHAIR_KEYS = [
    "/train/b_chair_v1_2",
    "/train/b_chair_v1_1",
    f"/train/{VAL[0]}_1",
    f"/train/{VAL[0]}_2",
    f"/train/{VAL[1]}_1",
    "/test/a-chair_v1_Red_A1YX",
    "/test/a-chair_v1_Red_10",
]


def split_of(data: PairedData) -> dict[str, str]:
    return {sketch.id: sketch.split for sketch in data.sketches}


def test_chair_v2(tmp_path: Path) -> None:
    data = ChairV2(write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)).load()
    assert data.name == "chair_v2"
    assert split_of(data) == {
        "b_chair_v1_1": "train",
        "b_chair_v1_2": "train",
        f"{VAL[0]}_1": "val",
        f"{VAL[0]}_2": "val",
        f"{VAL[1]}_1": "val",
        "a-chair_v1_Red_A1YX": "test",
        "a-chair_v1_Red_10": "test",
    }
    assert {photo.id: photo.split for photo in data.photos.values()} == {
        "b_chair_v1": "train",
        VAL[0]: "val",
        VAL[1]: "val",
        "a-chair_v1_Red": "test",
    }
    assert all(sketch.id.startswith(sketch.photo_id + "_") for sketch in data.sketches)
    by_id = {sketch.id: sketch.sketch for sketch in data.sketches}
    np.testing.assert_allclose(by_id["b_chair_v1_2"].points, DRAWING[:, :2] / 256)
    np.testing.assert_allclose(by_id["b_chair_v1_1"].points, (DRAWING[:, :2] + [0.5, 0]) / 256)
    assert by_id["b_chair_v1_1"].offsets.tolist() == [0, 2, 4]
    assert data.photos[VAL[0]].read()[0, 0].tolist() == [3, 0, 0]  # the last of its two sketches wrote the photo


def test_the_order_does_not_depend_on_the_file(tmp_path: Path) -> None:
    first = ChairV2(write_qmul(tmp_path / "1", "ChairV2", CHAIR_KEYS)).load()
    second = ChairV2(write_qmul(tmp_path / "2", "ChairV2", CHAIR_KEYS[::-1])).load()
    assert [s.id for s in first.sketches] == [s.id for s in second.sketches]
    assert list(first.photos) == list(second.photos)


@pytest.mark.parametrize("folder", ["", "qmul-chair-v2", "ChairV2"])
def test_chair_v2_is_found_in_the_usual_places(tmp_path: Path, folder: str) -> None:
    write_qmul(tmp_path / "root" / folder, "ChairV2", CHAIR_KEYS)
    for root in (tmp_path / "root", str(tmp_path / "root")):
        assert len(ChairV2(root).load().sketches) == len(CHAIR_KEYS)


def test_missing_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ChairV2_Coordinate.*FGSBIR_DATA or --data\.source\.init_args\.root"):
        ChairV2(tmp_path).load()
    with pytest.raises(InputError, match=r"ShoeV2_Coordinate.*FGSBIR_DATA or --data\.source\.init_args\.root"):
        ShoeV2(tmp_path / "nowhere").load()
    folder = write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)
    (folder / "photo" / "b_chair_v1.png").unlink()
    (folder / "photo" / "a-chair_v1_Red.png").unlink()
    with pytest.raises(InputError, match=r"chair_v2: 2 faults, first: .*a-chair_v1_Red\.png: no such photo"):
        ChairV2(folder).load()


def test_every_fault_is_found(tmp_path: Path) -> None:
    folder = write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)
    (folder / "photo" / "b_chair_v1.png").unlink()
    path = folder / "ChairV2_Coordinate"
    content = pickle.loads(path.read_bytes())
    whole = len(content)
    content["/train/broken_1"] = np.array([[np.nan, 0, 1]])
    content["odd"] = np.array([[0, 0, 1]])
    path.write_bytes(pickle.dumps(content))
    faults = Faults()
    data = ChairV2(folder).inspect(faults)
    assert ["['/train/broken_1']: a value" in str(faults[0]), "['odd']: the key" in str(faults[1])] == [True, True]
    assert "b_chair_v1.png: no such photo" in str(faults[2])
    assert len(faults) == 3
    assert len(data.sketches) == whole - sum("/b_chair_v1_" in key for key in content)


def test_a_broken_photo_does_not_stop_the_reader(tmp_path: Path) -> None:
    folder = write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)
    (folder / "photo" / "b_chair_v1.png").write_bytes(b"broken")
    data = ChairV2(folder).load()
    with pytest.raises(InputError, match=r"b_chair_v1\.png"):
        data.photos["b_chair_v1"].read()


def test_chair_v2_needs_its_validation_photos(tmp_path: Path) -> None:
    keys = ["/train/b_chair_v1_1", f"/test/{VAL[0]}_1"]
    data = write_qmul(tmp_path / "test", "ChairV2", [*keys, f"/train/{VAL[1]}_1"])
    assert split_of(ChairV2(data).load())[f"{VAL[0]}_1"] == "test"  # a test photo is never moved
    with pytest.raises(InputError, match="validation"):
        ChairV2(write_qmul(tmp_path / "none", "ChairV2", keys[:1])).load()


def test_a_photo_in_two_splits_is_refused(tmp_path: Path) -> None:
    keys = [f"/train/{VAL[0]}_1", "/train/b_1", "/test/b_2"]
    with pytest.raises(InputError, match="one split"):
        ChairV2(write_qmul(tmp_path, "ChairV2", keys)).load()


def test_shoe_v2_holds_out_the_lowest_hashes(tmp_path: Path) -> None:
    train = [f"shoe{n}" for n in range(25)]
    test = [f"boot{n}" for n in range(10)]
    keys = [f"/train/{id_}_{n}" for id_ in train for n in (1, 2)] + [f"/test/{id_}_1" for id_ in test]
    data = ShoeV2(write_qmul(tmp_path / "ShoeV2", "ShoeV2", keys).parent).load()
    assert data.name == "shoe_v2"
    ranked = sorted(train, key=lambda id_: hashlib.sha256(f"0/{id_}".encode()).hexdigest())
    assert {p.id for p in data.split_photos("val")} == set(ranked[:2])
    assert {p.id for p in data.split_photos("test")} == set(test)
    assert Counter(split_of(data).values()) == {"train": 46, "val": 4, "test": 10}


@real_data
def test_real_chair_v2() -> None:
    data = ChairV2(Path(os.environ["FGSBIR_DATA"])).load()
    sketches, photos = (
        {split: len(getattr(data, method)(split)) for split in ("train", "val", "test")}
        for method in ("split_sketches", "split_photos")
    )
    published = EXPECTED_COUNTS["chair_v2"]
    assert (sketches["train"] + sketches["val"], photos["train"] + photos["val"]) == published["train"] == (952, 300)
    assert (sketches["test"], photos["test"]) == published["test"] == (323, 100)
    assert {p.id for p in data.split_photos("val")} == set(VAL)
    assert len(VAL) == 30
    train = {p.id for p in data.photos.values() if p.split != "test"}
    assert set(VAL) == lowest_tenth(train)  # what the list's first line says
