"""QMUL-Chair-V1."""

import json
import os
from pathlib import Path

import pytest
from lightning import Trainer
from PIL import Image, ImageDraw

import fgsbir.data.datasets.chair_v1
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import ChairV1
from fgsbir.data.datasets.chair_v1 import ANNOTATION
from fgsbir.data.splits import read_list, unit_hash
from fgsbir.errors import Faults, InputError
from fgsbir.losses import JudgedTripletLoss
from fgsbir.models.backbone import Backbone
from fgsbir.sketch.formats import read_raster
from fgsbir.systems import BSiamese

VAL = sorted(read_list("chair_v1_val"))
TRAIN = ["1", "2", VAL[0], "4"]
TEST = ["201", "202", "203"]

real_data = pytest.mark.skipif("FGSBIR_DATA" not in os.environ, reason="FGSBIR_DATA does not name the real data")


def write(folder: Path, **changes: object) -> Path:
    """The published layout, in small: `changes` replace lists of the training part."""
    content = {}
    for part, ids in (("train", TRAIN), ("test", TEST)):
        for kind in ("images", "sketches"):
            (folder / part / kind).mkdir(parents=True)
        for number, id_ in enumerate(ids):
            Image.new("RGB", (32, 32), (int(id_), 0, 0)).save(folder / part / "images" / f"{id_}.jpg")
            sketch = Image.new("RGBA", (64, 64))
            for line in range(number + 1):
                ImageDraw.Draw(sketch).line((8, 8 + 9 * line, 50, 8 + 9 * line), "black", 2)
            sketch.save(folder / part / "sketches" / f"{id_}.png")
        content[part] = {
            "images": [f"{id_}.jpg" for id_ in ids],
            "sketches": [f"{id_}.png" for id_ in ids],
            "triplets": [[] for _ in ids],
        }
    content["train"]["triplets"][0] = [[0, 1], [0, 1], [1, 0], [2, 3], [3, 2], [3, 2], [0, 3], [0, 3], [0, 3]]
    content["train"]["triplets"][2] = [[1, 3], [3, 1]]
    content["test"]["triplets"][1] = [[1, 2]]
    content["train"].update(changes)  # type: ignore[arg-type]
    (folder / ANNOTATION).write_text(json.dumps(content))
    return folder


def test_pairs_splits_and_strokes(tmp_path: Path) -> None:
    data = ChairV1(write(tmp_path)).load()
    assert data.name == "chair_v1"
    expected = {"1": "train", "2": "train", VAL[0]: "val", "4": "train", "201": "test", "202": "test", "203": "test"}
    assert {photo.id: photo.split for photo in data.photos.values()} == expected
    assert {sketch.id: sketch.split for sketch in data.sketches} == expected
    assert all(sketch.id == sketch.photo_id for sketch in data.sketches)
    assert [len(sketch.sketch) for sketch in data.sketches] == [1, 2, 3, 4, 1, 2, 3]
    assert data.photos["202"].read()[0, 0, 0] == pytest.approx(202, abs=4)


def test_the_majority_judges(tmp_path: Path) -> None:
    data = ChairV1(write(tmp_path)).load()
    near = {id_: set(pairs) for id_, pairs in data.judgements.items() if pairs}
    assert near == {"1": {("1", "2"), ("4", VAL[0]), ("1", "4")}, "202": {("202", "203")}}  # a draw counts for nobody


@pytest.mark.parametrize("folder", ["", "qmul-chair-v1", "ChairV1"])
def test_it_is_found_in_the_usual_places(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "root" / folder)
    monkeypatch.setenv("FGSBIR_DATA", str(tmp_path / "root"))
    assert len(ChairV1(max_strokes=2).load().sketches) == 7
    assert max(len(sketch.sketch) for sketch in ChairV1(max_strokes=2).load().sketches) == 2


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{ANNOTATION}.*FGSBIR_DATA"):
        ChairV1(tmp_path / "nowhere").load()
    folder = write(tmp_path)
    Image.new("RGBA", (64, 64)).save(folder / "train" / "sketches" / "4.png")
    with pytest.raises(InputError, match=r"4\.png: no line stands out"):
        ChairV1(folder).load()
    (folder / "train" / "sketches" / "2.png").unlink()
    (folder / "test" / "images" / "202.jpg").unlink()
    with pytest.raises(InputError, match=r"chair_v1: 3 faults, first: .*test/images/202\.jpg: no such photo"):
        ChairV1(folder).load()
    faults = Faults()
    data = ChairV1(folder).inspect(faults)
    assert [str(fault).split(": ")[0].rpartition(f"{folder}/")[2] for fault in faults] == [
        "test/images/202.jpg",
        "train/sketches/2.png",
        "train/sketches/4.png",
    ]
    assert [sketch.id for sketch in data.sketches] == ["1", VAL[0], "201", "203"]
    (folder / ANNOTATION).write_text("{")
    with pytest.raises(InputError, match=rf"{ANNOTATION}: not the annotation"):
        ChairV1(folder).load()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"triplets": [[]]}, "do not fit"),
        ({"triplets": [[[0, 4]], [], [], []]}, "do not fit"),
        ({"triplets": [[[0, -1]], [], [], []]}, "do not fit"),
        ({"triplets": [[[0, "1"]], [], [], []]}, "do not fit"),
        ({"triplets": [[[0, 1, 2]], [], [], []]}, "not the annotation"),
        ({"triplets": [[0, 1], [], [], []]}, "not the annotation"),
        ({"images": None}, "not the annotation"),
        ({"images": [1, 2, 3, 4]}, "do not fit"),
        ({"sketches": ["1.png"]}, "do not fit"),
        ({"images": ["1.jpg", "1.jpg", f"{VAL[0]}.jpg", "4.jpg"]}, "'1' is there twice"),
        ({"images": ["1.jpg", "2.jpg", "201.jpg", "4.jpg"]}, "validation"),
    ],
)
def test_a_bad_annotation_is_refused(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=rf"{ANNOTATION}: .*{problem}"):
        ChairV1(write(tmp_path, **changes)).load()


def test_no_strokes_are_no_setting() -> None:
    with pytest.raises(InputError, match=r"chair_v1\.max_strokes: 0 is out of range"):
        ChairV1(max_strokes=0)


def test_the_validation_photos_are_the_lowest_hashes() -> None:
    assert set(VAL) == set(sorted(map(str, range(1, 201)), key=unit_hash)[:20])


def test_the_judgements_reach_the_loss(tmp_path: Path) -> None:
    data = SketchPhotoDataModule(
        ChairV1(write(tmp_path)), rendering=Rendering(image_size=32), batch_size=3, num_workers=0
    )
    loss = JudgedTripletLoss()
    system = BSiamese(Backbone("test_efficientnet", 3), loss=loss)
    Trainer(accelerator="cpu", fast_dev_run=1, enable_progress_bar=False, enable_model_summary=False).fit(system, data)
    assert loss.nearer is not None
    assert loss.nearer.nonzero().tolist() == [[0, 0, 1], [0, 0, 2]]  # photos 1, 2 and 4; the third is held out


@real_data
def test_real_chair_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(os.environ["FGSBIR_DATA"])
    if not (root / "qmul-chair-v1").is_dir():
        pytest.skip("FGSBIR_DATA holds no Chair-V1")
    drawn = [read_raster(path) for path in sorted((root / "qmul-chair-v1/train/sketches").glob("*7.png"))]
    assert len(drawn) == 20
    assert all(2 <= len(sketch) <= 16 for sketch in drawn)
    monkeypatch.setattr(
        fgsbir.data.datasets.chair_v1, "traced", lambda paths, *_, **__: [drawn[0]] * len(paths)
    )  # all take ten seconds
    data = ChairV1(root).load()
    assert [len(data.split_sketches(split)) for split in ("train", "val", "test")] == [180, 20, 97]
    assert [len(data.split_photos(split)) for split in ("train", "val", "test")] == [180, 20, 97]
    assert all(len(pairs) == 45 for pairs in data.judgements.values())  # ten photos, each with each
    own = [(id_, near) for id_, pairs in data.judgements.items() for near, far in pairs if id_ in (near, far)]
    assert sum(id_ == near for id_, near in own) > 0.99 * len(own)  # nearer comes first
