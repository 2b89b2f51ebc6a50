"""Sketches and photos from anywhere, read as a dataset is read."""

import numpy as np
import pytest
import torch
from PIL import Image

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.data.reading import DEFAULT_MARGIN, Reader, ink_margin, photo_records, placed, read_sketches
from fgsbir.errors import InputError
from fgsbir.regions.view_hierarchy import ViewHierarchy
from fgsbir.sketch.formats import write_svg
from fgsbir.sketch.strokes import VectorSketch

RENDERING = Rendering(image_size=48, num_regions=4, max_strokes=6)


@pytest.fixture(scope="module")
def chairs():
    data = SketchPhotoDataModule(Embedded(train=3, val=1, test=3, sketches_per_photo=2, size=64), rendering=RENDERING)
    data.setup("test")
    return data


def fields_equal(a, b, fields):
    return all(torch.equal(getattr(a, field), getattr(b, field)) for field in fields)


def test_records_are_read_as_the_dataset_reads_them(chairs):
    reader = Reader.of(chairs)
    sketches, photos = chairs.records.split_sketches("test"), chairs.records.split_photos("test")
    (batch,) = reader.sketches([record.sketch for record in sketches], 64)
    for i, sample in enumerate(chairs.queries("test")):
        row = type(batch)(*(field[i] for field in batch))
        assert fields_equal(row, sample, ("image", "boxes", "mask", "points", "lengths"))
    found = list(reader.photos(photos, 2))
    assert [len(part.image) for part in found] == [2, 1]
    for i, sample in enumerate(chairs.gallery("test")):
        row = type(sample)(*(field[i % 2] for field in found[i // 2]))
        assert fields_equal(row, sample, ("image", "boxes", "mask"))


def test_settings_are_plain_and_make_an_equal_reader(chairs):
    reader = Reader.of(chairs)
    again = Reader.from_settings(reader.settings())
    assert again.settings() == reader.settings()
    assert again.rendering == reader.rendering
    with pytest.raises(TypeError):
        Reader.from_settings({**reader.settings(), "rendering": {"sides": 3}})


def test_regions_from_files_are_searched_for_instead(tmp_path):
    data = SketchPhotoDataModule(Embedded(train=1, val=1, test=1, size=64), ViewHierarchy(tmp_path), RENDERING)
    reader = Reader.of(data)
    assert (reader.regions.top_k, reader.replaced) == (4, "ViewHierarchy")
    assert Reader.from_settings(reader.settings()).replaced == "ViewHierarchy"
    (batch,) = reader.photos(photo_records([np.full((20, 30, 3), 200, np.uint8)]), 1)
    assert batch.mask.any()


def test_photos_are_named_by_path_index_or_id(tmp_path, chairs):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in ("b.png", "deep/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    assert [record.id for record in photo_records(tmp_path)] == ["b.png", "deep/a.jpg"]
    record = chairs.records.split_photos("test")[0]
    mixed = photo_records([str(tmp_path / "b.png"), pixels, record, Image.fromarray(pixels)])
    assert [photo.id for photo in mixed] == [str(tmp_path / "b.png"), "1", record.id, "3"]
    for index in (0, 1, 3):
        assert np.array_equal(mixed[index].read(), pixels)
    for photo, name in ((str(tmp_path / "b.png"), str(tmp_path / "b.png")), (pixels, "0"), (record, record.id)):
        assert [single.id for single in photo_records(photo)] == [name]


def test_an_image_of_pil_is_what_its_file_is(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    image = Image.fromarray(rgba)
    turned = Image.Exif()
    turned[0x0112] = 6  # turned by a right angle
    image.save(tmp_path / "a.png", exif=turned)
    with Image.open(tmp_path / "a.png") as opened:
        (given,) = photo_records(opened)
        assert opened.size == (30, 20)  # as it was
    (read,) = photo_records(tmp_path / "a.png")
    assert np.array_equal(given.read(), read.read())
    assert given.read().shape == (30, 20, 3)


def test_a_damaged_image_of_pil_is_told_by_its_index(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with Image.open(tmp_path / "a.png") as image, pytest.raises(InputError, match=r"photos\[0\]: not a readable"):
        photo_records([image])


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        ([], "there are none"),
        ([np.zeros((4, 4), np.uint8)], r"photos\[0\]: an array of uint8 \(4, 4\)"),
        ([np.zeros((4, 4, 3), np.float32)], "float32"),
        ("no-such-folder", "no such folder"),
        ([None], r"photos\[0\]: its type is NoneType"),
        (3, r"photos\[0\]: its type is int"),
        (torch.zeros(2, 3, 4, 4), r"photos\[0\]: its type is Tensor"),
    ],
)
def test_what_is_no_photo_is_refused(photos, says):
    with pytest.raises(InputError, match=says):
        photo_records(photos)


def test_one_sketch_or_several_from_files_and_objects(tmp_path):
    drawing = VectorSketch.from_strokes([np.array([[0.1, 0.1], [0.9, 0.9]], np.float32)])
    write_svg(drawing, tmp_path / "a.svg")
    names, sketches = read_sketches([tmp_path / "a.svg", drawing])
    assert names == [str(tmp_path / "a.svg"), "1"]
    assert len(sketches[0]) == len(sketches[1]) == 1
    assert read_sketches(str(tmp_path / "a.svg"))[0] == [str(tmp_path / "a.svg")]
    assert read_sketches(drawing) == (["0"], [drawing])
    with pytest.raises(InputError, match="there are none"):
        read_sketches([])


def test_what_is_no_sketch_is_refused(chairs):
    (record, *_) = chairs.records.split_sketches("test")
    image = Image.new("RGB", (4, 4))
    for sketches, kind in ((np.zeros((4, 4)), "ndarray"), (image, "Image"), (record, "SketchRecord"), (3, "int")):
        with pytest.raises(InputError, match=rf"sketches\[0\]: its type is {kind}; give a file or a VectorSketch"):
            read_sketches(sketches)
        with pytest.raises(InputError, match=r"sketches\[1\]: its type is"):
            read_sketches([record.sketch, sketches])


def square(low, high):
    corners = np.array([[low, low], [high, low], [high, high]], np.float32)
    return VectorSketch.from_strokes([corners])


def test_the_margin_is_that_of_centred_sketches_of_one_size():
    assert ink_margin([square(0.2, 0.8)] * 30) == 0.2
    assert ink_margin([square(0.2, 0.8)] * 15 + [square(0.3, 0.7)] * 15) is None  # sizes differ
    assert ink_margin([square(0.1, 0.5)] * 30) is None  # not centred
    assert ink_margin([]) == DEFAULT_MARGIN


def test_a_sketch_is_moved_to_the_margin_once():
    moved = placed(square(0.0, 0.3), 0.2)
    np.testing.assert_allclose(moved.bounds, [0.2, 0.2, 0.8, 0.8], atol=1e-6)
    assert placed(moved, 0.2) is moved
    free = square(0.0, 0.3)
    assert placed(free, None) is free
