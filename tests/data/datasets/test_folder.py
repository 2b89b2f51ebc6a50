"""A user's own folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgsbir.data.datasets import Folder
from fgsbir.data.records import PairedData
from fgsbir.errors import Faults, InputError
from fgsbir.images import FORMAT_NAMES, FORMATS, plugins

GOOD = np.array([[5, 5, 0], [5, 5, 1]])


def split_of(data: PairedData) -> dict[str, str]:
    return {sketch.id: sketch.split for sketch in data.sketches}


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
    return Folder(root, val_fraction=0, test_fraction=0).load()


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


def test_paths_may_be_text(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["x.npy"], "sketch,photo\nx.npy,a.png\n")
    data = Folder(str(root), str(root / "pairs.csv"), val_fraction=0, test_fraction=0).load()
    assert data == Folder(root, root / "pairs.csv", val_fraction=0, test_fraction=0).load()
    assert [sketch.photo_id for sketch in data.sketches] == ["a"]


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


def test_photos_of_every_format_are_taken_and_the_help_lists_them(tmp_path: Path) -> None:
    suffixes = [suffix for format_ in FORMATS if format_.plugin in plugins() for suffix in format_.suffixes]
    names = {f"a{index}": suffix for index, suffix in enumerate(suffixes)}
    root = write_folder(tmp_path, [f"{name}{suffix}" for name, suffix in names.items()], ["a0.npy"])
    data = load_train(root)
    assert {name: photo.path.suffix for name, photo in data.photos.items() if photo.path} == names
    for photo in data.photos.values():
        assert np.abs(photo.read().astype(int) - [255, 0, 0]).max() <= 4
    assert f"({FORMAT_NAMES})" in str(Folder.__doc__)


@pytest.mark.parametrize("stray", ["bed_1.npy", "sofas.npy", "sofa_red.npy", "sofa_1_2.npy", "so.npy"])
def test_a_sketch_without_photo_is_named_and_counted(tmp_path: Path, stray: str) -> None:
    root = write_folder(tmp_path, ["sofa.jpg"], ["sofa_1.npy", stray, "zzz.npy"])
    with pytest.raises(InputError, match=rf"folder: 2 faults, first: .*{stray}: there is no photo of its name"):
        load_train(root)


def test_broken_sketches_are_counted(tmp_path: Path) -> None:
    bad = np.array([[np.nan, 0, 1]])
    good = np.array([[1, 0, 1]])
    root = write_folder(tmp_path, ["a.png"], {"a_1.npy": good, "a_2.npy": bad, "a_3.npy": good})
    Image.new("L", (5, 5)).save(root / "sketches" / "a_4.png")
    with pytest.raises(InputError, match=r"folder: 2 faults, first: .*a_2\.npy"):
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
    data = Folder(write_folder(tmp_path / "1", [f"{id_}.png" for id_ in ids], sketches), None, 0.2, 0.3).load()
    for photo in data.photos.values():
        place = int(hashlib.sha256(f"0/{photo.id}".encode()).hexdigest()[:16], 16) / 2**64
        assert photo.split == ("test" if place < 0.3 else "val" if place < 0.5 else "train")
    more = [*ids, *(f"q{n}" for n in range(20))]
    sketches = [f"{id_}_1.npy" for id_ in more]
    grown = Folder(write_folder(tmp_path / "2", [f"{id_}.png" for id_ in more], sketches), None, 0.2, 0.3).load()
    assert {id_: grown.photos[id_].split for id_ in ids} == {id_: data.photos[id_].split for id_ in ids}


def test_an_empty_split_is_refused_unless_it_is_wanted(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    assert split_of(Folder(root, None, 0, 1).load()) == {"a": "test"}
    assert split_of(Folder(root, None, 0, 0).load()) == {"a": "train"}
    with pytest.raises(InputError, match="none of the 1 photos falls into"):
        Folder(root, None, 0.5, 0.5).load()


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.2, -0.1), (0.6, 0.6), (1.2, 0)])
def test_wrong_fractions_are_refused(tmp_path: Path, val: float, test: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        Folder(tmp_path, None, val, test).load()


def test_folder_pairs_by_csv(tmp_path: Path) -> None:
    rows = "sketch,photo,split\nx.npy,b.jpg,train\nsub/y.npy,a.png,val\nz.npy,a.png,\n"
    root = write_folder(tmp_path, ["a.png", "b.jpg", "c.png"], ["x.npy", "sub/y.npy", "z.npy", "unlisted.npy"], rows)
    data = Folder(root, root / "pairs.csv").load()
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
    by_csv, by_name = Folder(root, root / "pairs.csv").load(), Folder(root).load()
    assert split_of(by_csv) == split_of(by_name)
    assert set(split_of(by_csv).values()) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("sketch|photo\nx.npy|a.png\n", r"first line, 'sketch\|photo', does not name the columns 'sketch' and 'photo'"),
        ("x.npy,a.png\n", "does not name the columns"),
        ("", "does not name the columns"),
        ("sketch,photo\n", "no lines below its header"),
        ("sketch,photo\n,\n", "no lines below its header"),
        ("sketch,photo\nx.npy,a.png\nq.npy,a.png\n", "line 3: there is no sketch 'q.npy'"),
        ("sketch,photo\nx.npy,b.png\n", "line 2: there is no photo 'b.png'"),
        ("sketch,photo\nx.npy\n", "line 2: there is no photo"),
        ("sketch,photo\n,a.png\n", "line 2: there is no sketch"),
        ("sketch,photo,split\nx.npy,a.png,training\n", "line 2: the split 'training' is unknown"),
        ("sketch,photo,split\nx.npy,a.png,train\ny.npy,a.png,test\n", "one split"),
        ("sketch,photo\nx.npy,a.png\nx.npy,a.png\n", "twice"),
        ("sketch,photo\n" + 300 * "x" + ".npy,a.png\n", "no sketch"),  # a name that no file system takes
    ],
)
def test_a_wrong_csv_is_explained(tmp_path: Path, rows: str, problem: str) -> None:
    root = write_folder(tmp_path, ["a.png"], ["x.npy", "y.npy"], rows)
    with pytest.raises(InputError, match=problem):
        Folder(root, root / "pairs.csv").load()


@pytest.mark.parametrize(
    "content",
    [
        b"Sketch,PHOTO,Split\nx.npy,a.png,Train\ny.npy,b.png,TEST\n",
        b"sketch;photo;split\r\nx.npy;a.png;train\r\ny.npy;b.png;test\r\n",
        b"photo\tsplit\tsketch\na.png\ttrain\tx.npy\nb.png\ttest\ty.npy\n",
        "\ufeffsketch,photo,split\nx.npy,a.png,train\ny.npy,b.png,test\n".encode(),
        "sketch\tphoto\tsplit\r\nx.npy\ta.png\ttrain\r\ny.npy\tb.png\ttest\r\n".encode("utf-16"),
        b" sketch , photo , split \n x.npy , a.png , train \ny.npy,  b.png,test\n",
        b'\n"sketch";"photo";"split";"made by"\n"x.npy"; "a.png";train;"Ann; Bob"\n;;;\ny.npy;b.png;test\n\n',
    ],
    ids=["case", "semicolon", "tab", "mark", "utf-16", "spaces", "quotes"],
)
def test_a_csv_is_read_as_people_and_spreadsheets_write_it(tmp_path: Path, content: bytes) -> None:
    root = write_folder(tmp_path, ["a.png", "b.png"], ["x.npy", "y.npy"])
    (root / "pairs.csv").write_bytes(content)
    data = Folder(root, root / "pairs.csv").load()
    assert [(s.id, s.photo_id, s.split) for s in data.sketches] == [("x", "a", "train"), ("y", "b", "test")]


def test_names_with_a_delimiter_or_of_another_alphabet_are_kept(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["köşe; 2.png"], ["x, y.npy"], 'sketch;photo\nx, y.npy;"köşe; 2.png"\n')
    (sketch,) = Folder(root, root / "pairs.csv", 0, 0).load().sketches
    assert (sketch.id, sketch.photo_id) == ("x, y", "köşe; 2")


def test_a_csv_of_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["köşe.png"], ["x.npy"])
    (root / "pairs.csv").write_bytes("sketch;photo\nx.npy;köşe.png\n".encode("cp1254"))
    with pytest.raises(InputError, match=r"pairs\.csv: it is neither UTF-8 nor UTF-16; save it as 'CSV UTF-8'"):
        Folder(root, root / "pairs.csv").load()


def test_every_fault_of_a_folder_is_found(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png", "a.jpg", "b.png"], {"a_1.npy": np.array([[np.nan, 0, 1]]), "b_1.npy": GOOD})
    np.save(root / "sketches" / "c.npy", GOOD)
    (root / "sketches" / "b_1.svg").write_text("<svg")
    (root / "sketches" / "b_2.svg").write_text("<svg")
    faults = Faults()
    data = Folder(root).inspect(faults)
    assert [sketch.id for sketch in data.sketches] == ["b_1"]
    texts = sorted(str(fault).replace(f"{root}/", "") for fault in faults)
    starts = ["photos: two photos", "sketches/a_1.npy: ", "sketches/b_1.svg: it is there twice", "sketches/b_2.svg: "]
    starts.append("sketches/c.npy: there is no photo")
    assert len(texts) == len(starts)
    assert all(text.startswith(start) for text, start in zip(texts, starts, strict=True))


def test_every_fault_of_a_csv_is_found(tmp_path: Path) -> None:
    rows = "sketch,photo,split\nx.npy,a.png,train\nq.npy,a.png,\ny.npy,b.png,\ny.npy,a.png,test\nz.npy,a.png,nope\n"
    root = write_folder(tmp_path, ["a.png"], ["x.npy", "y.npy", "z.npy"], rows)
    faults = Faults()
    data = Folder(root, root / "pairs.csv").inspect(faults)
    assert [str(fault).partition("line ")[2].partition(";")[0] for fault in faults] == [
        "3: there is no sketch 'q.npy'",
        "4: there is no photo 'b.png'",
        "5: 'a.png' is in 'test' here and in 'train' in an earlier line",
        "6: the split 'nope' is unknown",
    ]
    assert [sketch.id for sketch in data.sketches] == ["x"]


def test_a_missing_csv_is_explained(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["a.png"], ["a.npy"])
    with pytest.raises(InputError, match=r"pairs\.csv"):
        Folder(root, root / "pairs.csv").load()
