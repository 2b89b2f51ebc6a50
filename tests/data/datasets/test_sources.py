"""The readers of QMUL files and of a user's own folder."""

import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgsbir.data.datasets import Embedded
from fgsbir.data.datasets.folder import load_folder
from fgsbir.data.datasets.qmul import EXPECTED_COUNTS, load_chair_v2, load_shoe_v2
from fgsbir.data.records import PairedData, PhotoRecord
from fgsbir.data.splits import lowest_tenth, read_list, unit_hash
from fgsbir.errors import InputError

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
    data = load_chair_v2(write_qmul(tmp_path, "ChairV2", CHAIR_KEYS))
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
    first = load_chair_v2(write_qmul(tmp_path / "1", "ChairV2", CHAIR_KEYS))
    second = load_chair_v2(write_qmul(tmp_path / "2", "ChairV2", CHAIR_KEYS[::-1]))
    assert [s.id for s in first.sketches] == [s.id for s in second.sketches]
    assert list(first.photos) == list(second.photos)


@pytest.mark.parametrize("folder", ["", "qmul-chair-v2", "ChairV2"])
def test_chair_v2_is_found_in_the_usual_places(tmp_path: Path, folder: str) -> None:
    write_qmul(tmp_path / "root" / folder, "ChairV2", CHAIR_KEYS)
    assert len(load_chair_v2(tmp_path / "root").sketches) == len(CHAIR_KEYS)


def test_missing_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ChairV2_Coordinate.*FGSBIR_DATA or --data\.source\.init_args\.root"):
        load_chair_v2(tmp_path)
    with pytest.raises(InputError, match=r"ShoeV2_Coordinate.*FGSBIR_DATA or --data\.source\.init_args\.root"):
        load_shoe_v2(tmp_path / "nowhere")
    folder = write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)
    (folder / "photo" / "b_chair_v1.png").unlink()
    (folder / "photo" / "a-chair_v1_Red.png").unlink()
    with pytest.raises(InputError, match=r"2 of 4 photos are missing, first 'a-chair_v1_Red\.png'"):
        load_chair_v2(folder)


def test_a_broken_photo_does_not_stop_the_reader(tmp_path: Path) -> None:
    folder = write_qmul(tmp_path, "ChairV2", CHAIR_KEYS)
    (folder / "photo" / "b_chair_v1.png").write_bytes(b"broken")
    data = load_chair_v2(folder)
    with pytest.raises(InputError, match=r"b_chair_v1\.png"):
        data.photos["b_chair_v1"].read()


def test_chair_v2_needs_its_validation_photos(tmp_path: Path) -> None:
    keys = ["/train/b_chair_v1_1", f"/test/{VAL[0]}_1"]
    data = write_qmul(tmp_path / "test", "ChairV2", [*keys, f"/train/{VAL[1]}_1"])
    assert split_of(load_chair_v2(data))[f"{VAL[0]}_1"] == "test"  # a test photo is never moved
    with pytest.raises(InputError, match="validation"):
        load_chair_v2(write_qmul(tmp_path / "none", "ChairV2", keys[:1]))


def test_a_photo_in_two_splits_is_refused(tmp_path: Path) -> None:
    keys = [f"/train/{VAL[0]}_1", "/train/b_1", "/test/b_2"]
    with pytest.raises(InputError, match="one split"):
        load_chair_v2(write_qmul(tmp_path, "ChairV2", keys))


def test_shoe_v2_holds_out_the_lowest_hashes(tmp_path: Path) -> None:
    train = [f"shoe{n}" for n in range(25)]
    test = [f"boot{n}" for n in range(10)]
    keys = [f"/train/{id_}_{n}" for id_ in train for n in (1, 2)] + [f"/test/{id_}_1" for id_ in test]
    data = load_shoe_v2(write_qmul(tmp_path / "ShoeV2", "ShoeV2", keys).parent)
    assert data.name == "shoe_v2"
    ranked = sorted(train, key=lambda id_: hashlib.sha256(f"0/{id_}".encode()).hexdigest())
    assert {p.id for p in data.split_photos("val")} == set(ranked[:2])
    assert {p.id for p in data.split_photos("test")} == set(test)
    assert Counter(split_of(data).values()) == {"train": 46, "val": 4, "test": 10}


@real_data
def test_real_chair_v2() -> None:
    data = load_chair_v2(Path(os.environ["FGSBIR_DATA"]))
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


def test_unit_hash() -> None:
    ids = [f"photo {n}" for n in range(2000)]
    values = np.array([unit_hash(id_) for id_ in ids])
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose(np.histogram(values, 10, (0, 1))[0], 200, atol=50)
    assert unit_hash("a") == int(hashlib.sha256(b"0/a").hexdigest()[:16], 16) / 2**64
    assert unit_hash("a", seed=1) != unit_hash("a")


def write_folder(
    root: Path, photos: list[str], sketches: Mapping[str, np.ndarray] | list[str], rows: str | None = None
) -> Path:
    """`photos/`, `sketches/` of stroke-3 arrays, and a CSV if there are rows."""
    (root / "photos").mkdir(parents=True)
    (root / "sketches").mkdir()
    for name in photos:
        path = root / "photos" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), "red").save(path)
    stroke = np.array([[0, 0, 0], [5, 5, 1]])
    for name in sketches:
        path = root / "sketches" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, sketches[name] if isinstance(sketches, Mapping) else stroke)
    if rows is not None:
        (root / "pairs.csv").write_text(rows, encoding="utf-8")
    return root


def load_train(root: Path) -> PairedData:
    return load_folder(root, val_fraction=0, test_fraction=0)


def test_folder_pairs_by_name(tmp_path: Path) -> None:
    sketches = ["sofa.npy", "sofa_1.npy", "sofa-12.npy", "sofa_2.npy", "sofa_2_3.npy", "anna/big_chair_1.npy"]
    root = write_folder(tmp_path / "mine", ["sofa.jpg", "sofa_2.PNG", "big_chair.webp"], sketches)
    (root / "sketches" / ".DS_Store").write_bytes(b"x")
    (root / "photos" / "notes.txt").write_text("x")
    data = load_train(root)
    assert data.name == "mine"
    assert {s.id: s.photo_id for s in data.sketches} == {
        "sofa": "sofa",
        "sofa_1": "sofa",
        "sofa-12": "sofa",
        "sofa_2": "sofa_2",  # the longest name wins
        "sofa_2_3": "sofa_2",
        "anna/big_chair_1": "big_chair",
    }
    assert data.photos["sofa_2"].read().shape == (10, 20, 3)
    assert set(data.photos) == {"sofa", "sofa_2", "big_chair"}


def test_folder_reads_all_formats(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.bmp"], ["a_1.npy"])
    (root / "sketches" / "a_2.svg").write_text('<svg viewBox="0 0 10 10"><path d="M1 1L9 9" stroke="black"/></svg>')
    (root / "sketches" / "a_3.ndjson").write_text('{"key_id": "1", "drawing": [[[0, 255], [0, 9]]]}')
    picture = Image.new("L", (64, 32), 255)
    picture.paste(0, (8, 15, 56, 17))
    picture.save(root / "sketches" / "a_4.png")
    data = load_train(root)
    assert [s.id for s in data.sketches] == ["a_1", "a_2", "a_3", "a_4"]
    assert data.sketches[3].sketch.ink == pytest.approx([46 / 64], abs=0.05)


@pytest.mark.parametrize("stray", ["bed_1.npy", "sofas.npy", "sofa_red.npy", "sofa_1_2.npy", "so.npy"])
def test_a_sketch_without_photo_is_named_and_counted(tmp_path: Path, stray: str) -> None:
    root = write_folder(tmp_path, ["sofa.jpg"], ["sofa_1.npy", stray, "zzz.npy"])
    with pytest.raises(InputError, match=rf"2 of 3 sketches have no photo of their name, first '{stray}'"):
        load_train(root)


def test_broken_sketches_are_counted(tmp_path: Path) -> None:
    bad = np.array([[np.nan, 0, 1]])
    good = np.array([[1, 0, 1]])
    root = write_folder(tmp_path, ["a.png"], {"a_1.npy": good, "a_2.npy": bad, "a_3.npy": good})
    Image.new("L", (5, 5)).save(root / "sketches" / "a_4.png")
    with pytest.raises(InputError, match=r"2 of 4 sketches cannot be used, first: .*a_2\.npy"):
        load_train(root)


def test_a_broken_photo_does_not_stop_the_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    (root / "photos" / "a.png").write_bytes(b"")
    assert list(load_train(root).photos) == ["a"]


def test_names_must_be_unique(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two photos have the name 'a': a\.jpg, a\.png"):
        load_train(write_folder(tmp_path / "1", ["a.png", "a.jpg"], ["a.npy"]))
    root = write_folder(tmp_path / "2", ["a.png"], ["a_1.npy"])
    (root / "sketches" / "a_1.svg").write_text('<svg viewBox="0 0 9 9"><path d="M1 1L9 9" stroke="black"/></svg>')
    with pytest.raises(InputError, match=r"a_1\.npy and a_1\.svg"):
        load_train(root)


@pytest.mark.parametrize("lacking", ["photos", "sketches"])
def test_empty_and_missing_folders_are_explained(tmp_path: Path, lacking: str) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    for path in (root / lacking).iterdir():
        path.unlink()
    with pytest.raises(InputError, match=rf"{lacking}: it holds no {lacking}"):
        load_train(root)
    (root / lacking).rmdir()
    with pytest.raises(InputError, match=rf"{lacking}: no such folder"):
        load_train(root)


def test_whole_photos_are_held_out_and_stay_where_they_are(tmp_path: Path) -> None:
    ids = [f"p{n}" for n in range(60)]
    sketches = [f"{id_}_{n}.npy" for id_ in ids for n in (1, 2)]
    data = load_folder(write_folder(tmp_path / "1", [f"{id_}.png" for id_ in ids], sketches), None, 0.2, 0.3)
    for photo in data.photos.values():
        place = int(hashlib.sha256(f"0/{photo.id}".encode()).hexdigest()[:16], 16) / 2**64
        assert photo.split == ("test" if place < 0.3 else "val" if place < 0.5 else "train")
    more = [*ids, *(f"q{n}" for n in range(20))]
    sketches = [f"{id_}_1.npy" for id_ in more]
    grown = load_folder(write_folder(tmp_path / "2", [f"{id_}.png" for id_ in more], sketches), None, 0.2, 0.3)
    assert {id_: grown.photos[id_].split for id_ in ids} == {id_: data.photos[id_].split for id_ in ids}
    other = load_folder(tmp_path / "1", None, 0.2, 0.3, seed=1)
    assert {p.id: p.split for p in other.photos.values()} != {p.id: p.split for p in data.photos.values()}


def test_an_empty_split_is_refused_unless_it_is_wanted(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    assert split_of(load_folder(root, None, 0, 1)) == {"a": "test"}
    assert split_of(load_folder(root, None, 0, 0)) == {"a": "train"}
    with pytest.raises(InputError, match="none of the 1 photos falls into"):
        load_folder(root, None, 0.5, 0.5)


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.2, -0.1), (0.6, 0.6), (1.2, 0)])
def test_wrong_fractions_are_refused(tmp_path: Path, val: float, test: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        load_folder(tmp_path, None, val, test)


def test_folder_pairs_by_csv(tmp_path: Path) -> None:
    rows = "sketch,photo,split\nx.npy,b.jpg,train\nsub/y.npy,a.png,val\nz.npy,a.png,\n"
    root = write_folder(tmp_path, ["a.png", "b.jpg", "c.png"], ["x.npy", "sub/y.npy", "z.npy", "unlisted.npy"], rows)
    data = load_folder(root, root / "pairs.csv")
    assert {(s.id, s.photo_id, s.split) for s in data.sketches} == {
        ("x", "b", "train"),
        ("sub/y", "a", "val"),
        ("z", "a", "val"),  # follows its photo
    }
    assert set(data.photos) == {"a", "b", "c"}


def test_csv_without_splits_uses_the_hash(tmp_path: Path) -> None:
    ids = [f"p{n}" for n in range(40)]
    rows = "photo,sketch\n" + "".join(f"{id_}.png,{id_}.npy\n" for id_ in ids)
    root = write_folder(tmp_path, [f"{id_}.png" for id_ in ids], [f"{id_}.npy" for id_ in ids], rows)
    by_csv, by_name = load_folder(root, root / "pairs.csv"), load_folder(root)
    assert split_of(by_csv) == split_of(by_name)
    assert set(split_of(by_csv).values()) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("sketch;photo\nx.npy;a.png\n", "columns 'sketch' and 'photo'"),
        ("sketch,photo\n", "no rows"),
        ("sketch,photo\nx.npy,a.png\nq.npy,a.png\n", "line 3: there is no sketch 'q.npy'"),
        ("sketch,photo\nx.npy,b.png\n", "line 2: there is no photo 'b.png'"),
        ("sketch,photo\nx.npy\n", "line 2: there is no photo"),
        ("sketch,photo\n,a.png\n", "line 2: there is no sketch"),
        ("sketch,photo,split\nx.npy,a.png,training\n", "line 2: the split 'training' is unknown"),
        ("sketch,photo,split\nx.npy,a.png,train\ny.npy,a.png,test\n", "one split"),
        ("sketch,photo\nx.npy,a.png\nx.npy,a.png\n", "twice"),
    ],
)
def test_a_wrong_csv_is_explained(tmp_path: Path, rows: str, problem: str) -> None:
    root = write_folder(tmp_path, ["a.png"], ["x.npy", "y.npy"], rows)
    with pytest.raises(InputError, match=problem):
        load_folder(root, root / "pairs.csv")


def test_a_missing_csv_is_explained(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    with pytest.raises(InputError, match=r"pairs\.csv"):
        load_folder(root, root / "pairs.csv")


def test_the_embedded_part_trees_are_those_of_the_sketches() -> None:
    source = Embedded("screens", train=2, val=1, test=1, sketches_per_photo=2, size=48)
    trees, data = source.part_trees(), source.load()
    assert list(trees) == [sketch.id for sketch in data.sketches]
    for sketch in data.sketches:
        parents, owners = trees[sketch.id]
        assert owners.shape == (len(sketch.sketch),)
        assert (owners >= 0).all()
        assert (owners < len(parents)).all()
        assert parents[0] == -1
        assert ((parents[1:] >= 0) & (parents[1:] < np.arange(1, len(parents)))).all()
    instance = source.instances[3]
    assert [p.parent for p in instance.parts] == trees[f"{instance.id}_2"].parents.tolist()
    assert np.array_equal(instance.stroke_parts[1], trees[f"{instance.id}_2"].owners)


def test_a_photo_is_read_as_its_camera_was_held(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:10, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right side of what is stored
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    read = PhotoRecord("a", "test", tmp_path / "turned.jpg").read()
    assert read.shape == (40, 20, 3)
    assert np.abs(read.astype(int) - np.rot90(pixels, -1)).mean() < 5
