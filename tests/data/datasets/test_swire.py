"""SWIRE: files written as they are published, and the embedded screens as such files."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import fgsbir.data.datasets.swire
from fgsbir.cli import main
from fgsbir.data.dataset import PairDataset, Rendering
from fgsbir.data.datasets import Swire
from fgsbir.data.datasets.swire import read_drawing, write_swire
from fgsbir.data.procedural import generate
from fgsbir.data.records import PairedData, PhotoRecord, SketchRecord
from fgsbir.data.splits import unit_hash
from fgsbir.data.transforms import Augmentation, UnitAffine
from fgsbir.errors import Faults, InputError
from fgsbir.regions.view_hierarchy import ViewHierarchy
from fgsbir.sketch.detail import detail
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch

Rectangle = tuple[int, int, int, int]
PANEL, BUTTON, ICON = (20, 30, 160, 120), (40, 200, 140, 240), (60, 270, 90, 300)


def scan(
    path: Path, rectangles: Sequence[Rectangle] = (PANEL, BUTTON, ICON), size: tuple[int, int] = (180, 320)
) -> Path:
    """An inverted greyscale JPEG of outlines of 3 pixels."""
    picture = np.full(size[::-1], 12, dtype=np.uint8)
    for x1, y1, x2, y2 in rectangles:
        picture[y1:y2, x1:x2] = 240
        picture[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3] = 12
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, "JPEG", quality=95)
    return path


def write(root: Path, names: Sequence[str]) -> Path:
    """Sketches of these names, all different, and a screenshot and a hierarchy of each screen."""
    for number, name in enumerate(names):
        scan(root / "sketches" / f"{name}.jpg", [(20 + number, 30, 160, 120), BUTTON])
    for screen in {name.split("_")[0] for name in names}:
        for folder in ("screens", "hierarchies"):
            (root / folder).mkdir(exist_ok=True)
        Image.new("RGB", (90, 160), (int(screen) % 256, 0, 0)).save(root / "screens" / f"{screen}.jpg")
        hierarchy = {"bounds": [0, 0, 1440, 2560], "children": [{"bounds": [0, 0, 1440, 280], "clickable": False}]}
        (root / "hierarchies" / f"{screen}.json").write_text(json.dumps(hierarchy))
    return root


def split_of(data: PairedData) -> dict[str, str]:
    return {sketch.id: sketch.split for sketch in data.sketches}


def test_a_stroke_is_a_region_of_the_scan(tmp_path: Path) -> None:
    sketch = read_drawing(scan(tmp_path / "1_1.jpg"))
    assert len(sketch) == 3  # the largest first
    for box, (x1, y1, x2, y2) in zip(sketch.boxes(0), (PANEL, BUTTON, ICON), strict=True):
        # In the middle of a square of 320; the line runs in the middle of the 3 pixels.
        seen = np.array([x1 + 1.5 + 70, y1 + 1.5, x2 - 1.5 + 70, y2 - 1.5]) / 320
        assert box == pytest.approx(seen, abs=1.6 / 320)


def test_a_drawing_looks_like_its_scan(tmp_path: Path) -> None:
    path = scan(tmp_path / "1_1.jpg", [PANEL, BUTTON, ICON, (30, 40, 60, 120)], (320, 320))
    ink = np.asarray(Image.open(path)) > 150
    again = rasterise(read_drawing(path), 320, width=2.4, ink="light") > 100
    assert (ink & again).sum() > 0.85 * max(ink.sum(), again.sum())


def test_merged_components_are_one_stroke(tmp_path: Path) -> None:
    # 2 pixels of 2,560 / 320 = 8 each between them, 30 are the limit.
    letters = [(40, 100, 49, 110), (51, 100, 60, 110)]
    sketch = read_drawing(scan(tmp_path / "1_1.jpg", letters))
    assert len(sketch) == 1
    x1, _, x2, _ = sketch.bounds
    assert (x1, x2) == pytest.approx(((41.5 + 70) / 320, (58.5 + 70) / 320), abs=1.6 / 320)


def test_coarse_sketches_lose_the_smallest_regions(tmp_path: Path) -> None:
    sketch = read_drawing(scan(tmp_path / "1_1.jpg"))
    assert detail(sketch, "coarse") == sketch.select([0, 1])
    assert detail(sketch, "coarse++") == sketch.select([0])


def test_the_number_of_strokes_can_be_limited(tmp_path: Path) -> None:
    sketch = read_drawing(scan(tmp_path / "1_1.jpg"), max_regions=2)
    assert len(sketch) == 2
    low, high = sketch.boxes(0)[1, 1::2] * 320  # button and icon
    assert (low, high) == pytest.approx((201.5, 298.5), abs=1.6)


@pytest.mark.parametrize(("flip", "affine"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_boxes_stay_on_their_ink(tmp_path: Path, flip: float, affine: float) -> None:
    sketch = read_drawing(scan(tmp_path / "1_1.jpg", [(20, 30, 100, 120), (40, 200, 80, 240)]))
    photo = PhotoRecord("1", "train", pixels=np.zeros((8, 8, 3), dtype=np.uint8))
    pairs = PairDataset(
        [SketchRecord("1_1", "1", "train", sketch)],
        [photo],
        {"1": np.array([[0, 0, 1, 1]], dtype=np.float32)},
        Rendering(image_size=256, min_box_side=0),
        Augmentation(flip=flip, sketch_affine=affine),
    )
    for epoch in range(3):
        batch = pairs[epoch].sketch
        ink = batch.image[0].numpy() < 128
        boxes = batch.boxes[batch.mask].numpy()
        assert len(boxes) == 2
        middle = boxes[:, [1, 3]].mean(1).mean()  # a horizontal line between the two, whatever the affine map
        for box, part in zip(boxes, (slice(0, int(middle * 256)), slice(int(middle * 256), 256)), strict=True):
            ys, xs = np.nonzero(ink[part])
            seen = [xs.min(), ys.min() + part.start, xs.max() + 1, ys.max() + 1 + part.start]
            assert box * 256 == pytest.approx(seen, abs=2.5)
        if flip and not affine:
            np.testing.assert_allclose(boxes, UnitAffine.about_centre(flip=True).boxes(sketch.boxes(0)), atol=1e-6)


def test_swire(tmp_path: Path) -> None:
    root = write(tmp_path / "swire", ["30_2", "5_1", "30_1", "5_4", "111_3"])
    (root / "sketches" / ".DS_Store").touch()
    (root / "screens" / "5.jpg").rename(root / "screens" / "5.png")
    (root / "screens" / "99.jpg").touch()  # RICO has more screens than were drawn
    data = Swire(tmp_path).load()
    assert [s.id for s in data.sketches] == ["5_1", "5_4", "30_1", "30_2", "111_3"]
    assert [s.photo_id for s in data.sketches] == ["5", "5", "30", "30", "111"]
    assert list(data.photos) == ["5", "30", "111"]
    assert data.photos["30"].read().shape == (160, 90, 3)
    assert split_of(Swire(root).load()) == split_of(data)
    assert ViewHierarchy(tmp_path).regions(list(data.photos.values()))["5"].tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, pytest.approx(280 / 2560)],
    ]


SCREENS = [str(1000 + 7 * n) for n in range(24)]
NAMES = [f"{screen}_{designer}" for screen in SCREENS for designer in (1, 3)]
NAMES += [f"{screen}_4" for screen in SCREENS[:3]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One drawing stands for all."""
    drawing = VectorSketch.from_strokes([[[0, 0], [1, 1]]])
    monkeypatch.setattr(fgsbir.data.datasets.swire, "traced", lambda paths, *_, **__: [drawing] * len(paths))


def empty(root: Path, names: Sequence[str] = NAMES) -> Path:
    """The files without content."""
    for name in names:
        for path in (root / "sketches" / f"{name}.jpg", root / "screens" / f"{name.split('_')[0]}.jpg"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def screens(data: PairedData, split: str) -> set[str]:
    return {photo.id for photo in data.split_photos(split)}


@pytest.mark.usefixtures("quick")
def test_whole_screens_are_held_out(tmp_path: Path) -> None:
    data = Swire(empty(tmp_path)).load()
    ranked = sorted(SCREENS, key=unit_hash)
    assert screens(data, "test") == set(ranked[:3])  # 24 / 8
    assert screens(data, "val") == set(ranked[3:5])  # 21 / 10
    assert screens(data, "train") == set(ranked[5:])
    assert len(data.sketches) == len(NAMES)
    assert not data.recurring


@pytest.mark.usefixtures("quick")
def test_by_designer_screens_recur(tmp_path: Path) -> None:
    data = Swire(empty(tmp_path), by="designer").load()
    assert {s.id for s in data.split_sketches("test")} == {f"{screen}_4" for screen in SCREENS[:3]}
    assert len(data.sketches) == len(NAMES)
    assert screens(data, "test") == set(SCREENS[:3]) <= screens(data, "train")
    others = sorted(SCREENS[3:], key=unit_hash)
    assert screens(data, "val") == set(others[:2])
    assert screens(data, "train") == set(SCREENS) - screens(data, "val")
    assert data.recurring


@pytest.mark.usefixtures("quick")
def test_by_both_neither_recurs(tmp_path: Path) -> None:
    data = Swire(empty(tmp_path), by="both").load()
    assert {s.id for s in data.split_sketches("test")} == {f"{screen}_4" for screen in SCREENS[:3]}
    assert len(data.sketches) == len(NAMES) - 6
    assert screens(data, "train") | screens(data, "val") == set(SCREENS[3:])
    assert not screens(data, "train") & screens(data, "val")
    assert not data.recurring


def test_a_photo_may_be_in_two_splits_only_where_it_is_said() -> None:
    drawing = VectorSketch.from_strokes([[[0, 0], [1, 1]]])
    sketches = (SketchRecord("a_1", "a", "train", drawing), SketchRecord("a_4", "a", "test", drawing))
    photos = {"a": PhotoRecord("a", "train")}
    with pytest.raises(InputError, match="one split"):
        PairedData("tiny", sketches, photos)
    data = PairedData("tiny", sketches, photos, recurring=True)
    assert screens(data, "train") == screens(data, "test") == {"a"}
    assert screens(data, "val") == set()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("names", "by", "problem"),
    [
        (["1_1", "x_1"], "screen", r"2 faults, first: .*x_1\.jpg: its name is not <screen>_<designer"),
        (["1_1", "2_5"], "screen", r"2_5\.jpg: its name is not"),
        (["1_1", "2_1"], "designer", "designer 4 drew none"),
        (["1_1", "2_1"], "both", "designer 4 drew none"),
        (["1_4", "1_1"], "both", "no sketch is left for training"),
        (["1_4"], "designer", "no sketch is left for training"),
        (["1_1"], "screen", "no sketch is left for training"),
        (["1_1"], "app", "'app' is unknown"),
    ],
)
def test_splits_that_cannot_be_made_are_explained(tmp_path: Path, names: list[str], by: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Swire(empty(tmp_path, names), by=by).load()  # type: ignore[arg-type]


@pytest.mark.usefixtures("quick")
def test_missing_files_are_explained(tmp_path: Path) -> None:
    root = empty(tmp_path, [f"{n}_1" for n in range(9)])
    for screen in ("3", "7"):
        (root / "screens" / f"{screen}.jpg").unlink()
    with pytest.raises(InputError, match=r"swire: 2 faults, first: .*screens/3\.jpg: no such photo"):
        Swire(root).load()
    with pytest.raises(InputError, match="max_regions"):
        Swire(root, max_regions=0).load()
    for path in (root / "sketches").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="it holds no sketches"):
        Swire(root).load()
    (root / "sketches").rmdir()
    with pytest.raises(InputError, match="no folders 'sketches' and 'screens'"):
        Swire(root).load()


def test_every_fault_is_found(tmp_path: Path) -> None:
    root = write(tmp_path, [f"{n}_1" for n in range(9)])
    (root / "sketches" / "x_1.jpg").touch()
    (root / "sketches" / "4_1.jpg").write_bytes(b"no image")
    (root / "screens" / "7.jpg").unlink()
    faults = Faults()
    data = Swire(root).inspect(faults)
    found = [str(fault).partition(": ")[0].removeprefix(f"{root}/") for fault in faults]
    assert found == ["sketches/x_1.jpg", "screens/7.jpg", "sketches/4_1.jpg"]
    assert [sketch.id for sketch in data.sketches] == [f"{n}_1" for n in (0, 1, 2, 3, 5, 6, 8)]
    whole = split_of(Swire(write(tmp_path / "whole", [f"{n}_1" for n in range(9)])).load())
    assert split_of(data).items() <= whole.items()  # faults move nothing to another split


def test_scans_that_are_no_drawings_are_explained(tmp_path: Path) -> None:
    path = scan(tmp_path / "1_1.jpg", [])
    with pytest.raises(InputError, match=r"1_1\.jpg: it holds no strokes"):
        read_drawing(path)
    Image.fromarray(255 - np.asarray(Image.open(scan(path)))).save(path)
    with pytest.raises(InputError, match="invert it"):
        read_drawing(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="not a readable image"):
        read_drawing(path)


def test_a_scan_in_colour_mode_is_read_alike(tmp_path: Path) -> None:
    path = scan(tmp_path / "1_1.jpg")
    Image.open(path).convert("RGB").save(tmp_path / "1_2.png")
    assert read_drawing(tmp_path / "1_2.png") == read_drawing(path)


def test_drawings_are_traced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGSBIR_CACHE", str(tmp_path / "cache"))
    root = write(tmp_path / "swire", ["1_1", "2_1", "3_1"])
    traced: list[tuple[str, int]] = []

    def spy(path: Path, max_regions: int) -> VectorSketch:
        traced.append((path.stem, max_regions))
        return read_drawing(path, max_regions)

    monkeypatch.setattr(fgsbir.data.datasets.swire, "read_drawing", spy)

    def load(max_regions: int = 16) -> list[tuple[str, int]]:
        traced.clear()
        sketches = Swire(root, max_regions=max_regions).load().sketches
        for sketch in sketches:
            assert sketch.sketch == read_drawing(root / "sketches" / f"{sketch.id}.jpg", max_regions)
        return traced

    assert load() == [("1_1", 16), ("2_1", 16), ("3_1", 16)]
    assert load() == []
    assert load(1) == [("1_1", 1), ("2_1", 1), ("3_1", 1)]  # another setting
    scan(root / "sketches" / "2_1.jpg")
    assert load() == [("2_1", 16)]  # another content
    for kept in (tmp_path / "cache" / "strokes").glob("*.npz"):
        kept.write_bytes(kept.read_bytes()[:100])
    assert len(load()) == 3  # damaged


def test_the_embedded_screens_survive_as_files(tmp_path: Path) -> None:
    instances = generate("screens", 9, 2, size=96)
    write_swire(tmp_path / "swire", instances, height=320)
    data = Swire(tmp_path).load()
    assert [s.id for s in data.sketches] == [f"{n}_{designer}" for n in range(9) for designer in (1, 2)]
    upright = UnitAffine.letterbox(320, 180)
    around = np.ones((5, 5), np.uint8)
    for record in data.sketches:
        screen, designer = (int(v) for v in record.id.split("_"))
        original = rasterise(upright.sketch(instances[screen].sketches[designer - 1]), 320, ink="light") > 128
        again = rasterise(record.sketch, 320, ink="light") > 128
        near = fgsbir.data.datasets.swire.components(original.astype(np.uint8) * 255).labels >= 0  # less the specks
        assert (again & ~dilated(original, around)).sum() <= 0.02 * again.sum()
        assert (near & ~dilated(again, np.ones((9, 9), np.uint8))).sum() <= 0.03 * near.sum()
    regions = ViewHierarchy(tmp_path, top_k=100).regions(list(data.photos.values()))
    for screen, instance in enumerate(instances):
        photo = data.photos[str(screen)].read()
        assert photo.shape == (320, 180, 3)
        small = np.asarray(Image.fromarray(photo).resize((24, 24), Image.Resampling.BOX), dtype=float)
        expected = np.asarray(Image.fromarray(instance.photo).resize((24, 24), Image.Resampling.BOX), dtype=float)
        assert np.abs(small - expected).mean() < 3
        assert len(regions[str(screen)]) > 3
    with pytest.raises(InputError, match="cannot hold it"):
        write_swire(tmp_path, generate("chairs", 1, 1, size=32))
    with pytest.raises(InputError, match="4 sketches at most"):
        write_swire(tmp_path, generate("screens", 1, 5, size=32))


def dilated(picture: np.ndarray, brush: np.ndarray) -> np.ndarray:
    return cv2.dilate(picture.astype(np.uint8), brush) > 0


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    screens = ["--source", "Embedded", "--source.category", "screens", "--source.size", "48"]
    counts = ["--source.train", "7", "--source.val", "1", "--source.test", "1", "--source.sketches_per_photo", "1"]
    assert main(["data", "export", *screens, *counts, "--out", str(tmp_path / "swire")]) == 0
    assert capsys.readouterr().out == f"9 screens: {tmp_path / 'swire'}\n"
    monkeypatch.setenv("FGSBIR_DATA", str(tmp_path))
    assert main(["data", "check", "--source", "Swire"]) == 0
    out = capsys.readouterr().out
    assert "swire: 9 sketches, 9 photos, 0 errors" in out
    assert "3,802 sketches of 2,201 screens" in out
    assert main(["data", "stats", "--source", "Swire"]) == 0
    assert "9 of 360x640" in capsys.readouterr().out
    sheet = tmp_path / "sheet.png"
    show = ["data", "show", "--source", "Swire", "--regions", "ViewHierarchy", "--count", "2", "--out", str(sheet)]
    assert main(show) == 0
    assert sheet.is_file()
    capsys.readouterr()
    assert main(["data", "export", "--source", "Swire", "--out", str(tmp_path / "again")]) == 2
    assert "only the embedded screens" in capsys.readouterr().err
    assert main(["data", "export", "--source", "Embedded", "--out", str(tmp_path / "again")]) == 2
