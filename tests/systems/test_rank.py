"""Ranking any photos for any sketch."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import make_run, model
from tiny_systems import make, photos_of, sketches_of

from fgsbir.data.dataset import Rendering
from fgsbir.data.reading import Reader
from fgsbir.data.sample import SketchBatch
from fgsbir.errors import InputError
from fgsbir.retrieval.distances import Hit, nearest
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_model
from fgsbir.sketch.formats import write_svg
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.systems.base import Encoded, System

RENDERING = Rendering(image_size=48, num_regions=4, max_strokes=6, max_points=20)


@pytest.fixture
def drawing():
    rng = np.random.default_rng(0)
    return VectorSketch.from_strokes([rng.random((5, 2), dtype=np.float32) for _ in range(3)])


@pytest.fixture(scope="module")
def arrays():
    return [np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8) for seed in range(5)]


@pytest.fixture
def system():
    made = make("proposed", global_weight=0.5)
    made.reader = Reader(RENDERING, margin=0.1)
    return made


@torch.no_grad()
def test_the_forward_pass_is_encoding_and_matching(system):
    sketches, photos = sketches_of([1, 6, 3]), photos_of([7, 1, 4, 5])
    distances = system(sketches, photos)
    assert torch.equal(distances, system.match_all(system.encode_sketch(sketches), system.encode_photo(photos)))
    assert torch.equal(system.predict_step(photos, 0).nodes, system.encode_photo(photos).nodes)


def test_files_folders_arrays_and_encodings_give_one_ranking(system, drawing, arrays, tmp_path):
    for index, pixels in enumerate(arrays):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    write_svg(drawing, tmp_path / "drawing.svg")
    ranking = system.rank(drawing, arrays)
    assert len(ranking) == 5
    assert [hit.distance for hit in ranking] == sorted(hit.distance for hit in ranking)
    paths = [tmp_path / f"{hit.photo}.png" for hit in ranking]
    by_path = system.rank(drawing, sorted(paths))
    assert by_path == [Hit(str(path), hit.distance) for path, hit in zip(paths, ranking, strict=True)]
    in_folder = system.rank(drawing, tmp_path)
    assert in_folder == [Hit(path.name, hit.distance) for path, hit in zip(paths, ranking, strict=True)]
    gallery = system.encode(photos=arrays, batch_size=2)
    assert isinstance(gallery, Encoded)
    assert [hit.photo for hit in system.rank(drawing, gallery, top=2)] == [hit.photo for hit in ranking[:2]]
    from_file = system.rank(tmp_path / "drawing.svg", gallery)
    assert [hit.photo for hit in from_file] == [hit.photo for hit in ranking]


def test_ranking_is_evaluation_whatever_the_mode(drawing, arrays):
    system = make("triplet_sn", crops=1, crop=0.9)  # its training reads random crops
    system.reader = Reader(Rendering(image_size=64))
    system.train()
    ranked = system.rank(drawing, arrays)
    assert system.training
    assert system.backbone.training
    assert system.rank(drawing, arrays) == ranked
    assert system.eval().rank(drawing, arrays) == ranked


def test_every_module_gets_its_own_mode_back(system, drawing, arrays):
    system.train()
    system.regions.eval()  # a part that a user has frozen
    modes = [module.training for module in system.modules()]
    assert len(set(modes)) == 2
    system.rank(drawing, arrays)
    assert [module.training for module in system.modules()] == modes


def test_a_system_that_is_broken_ranks_nothing(system, drawing, arrays):
    with torch.no_grad():
        next(system.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="the model gives distances that are not finite; train it again"):
        system.rank(drawing, arrays)
    assert not system.training


def test_the_nearest_come_first_and_equals_keep_their_order():
    names = ["a", "b", "c", "d"]
    found = nearest(torch.tensor([0.5, 0.25, 0.5, 0.125]), names)
    assert found == [Hit("d", 0.125), Hit("b", 0.25), Hit("a", 0.5), Hit("c", 0.5)]
    assert nearest(torch.zeros(4), names, top=2) == [Hit("a", 0.0), Hit("b", 0.0)]
    # bfloat16 is widened before it is compared
    assert nearest(torch.tensor([1.0, 0.5]).bfloat16(), names, top=9) == [Hit("b", 0.5), Hit("a", 1.0)]


def test_what_cannot_be_encoded_is_told_in_one_line(system, drawing, arrays):
    for neither_or_both in ({}, {"sketches": [drawing], "photos": arrays}):
        with pytest.raises(InputError, match="give one of the two"):
            system.encode(**neither_or_both)
    with pytest.raises(InputError, match="no such photo"):
        system.rank(drawing, ["nowhere.png"])
    for top in (0, -1):
        with pytest.raises(InputError, match=f"top: {top} is less than 1"):
            system.rank(drawing, arrays, top=top)
    with pytest.raises(InputError, match="batch_size: 0 is not positive"):
        system.encode(photos=arrays, batch_size=0)
    with pytest.raises(InputError, match="sketch: there are 2; rank one at a time"):
        system.rank([drawing, drawing], arrays)
    system.reader = None
    with pytest.raises(InputError, match="train it with a data module"):
        system.rank(drawing, arrays)


def test_images_of_pil_and_one_file_are_photos(system, drawing, arrays, tmp_path):
    expected = system.rank(drawing, arrays)
    assert system.rank(drawing, map(Image.fromarray, arrays)) == expected
    Image.fromarray(arrays[0]).save(tmp_path / "a.png")
    (hit,) = system.rank(drawing, tmp_path / "a.png")
    assert hit.photo == str(tmp_path / "a.png")
    assert hit.distance == pytest.approx({other.photo: other.distance for other in expected}["0"], rel=1e-5)


def test_encodings_are_those_of_photos_by_this_very_model(system, drawing, arrays, tmp_path):
    gallery = system.encode(photos=arrays)
    with pytest.raises(InputError, match="encodings of sketches"):
        system.rank(drawing, system.encode(sketches=drawing))
    assert copy.deepcopy(system).rank(drawing, gallery) == system.rank(drawing, arrays)
    others = [make("proposed", dim=24), make("b_siamese"), make("proposed", global_weight=0.5)]
    with torch.no_grad():
        for parameter in others[-1].matcher.parameters():  # trained further
            parameter += 0.1
    for other in others:
        other.reader = system.reader
        with pytest.raises(InputError, match="encodings by another model"):
            other.rank(drawing, gallery)


def test_encodings_come_to_the_device_of_the_model(system, drawing, arrays, monkeypatch):
    gallery, moved = system.encode(photos=arrays), []
    here = System._here
    monkeypatch.setattr(System, "_here", lambda self, fields: moved.append(type(fields)) or here(self, fields))
    system.rank(drawing, gallery)
    assert moved == [SketchBatch, type(gallery.encodings)]
    assert here(system.to("meta"), gallery.encodings).nodes.device.type == "meta"


def test_regions_that_are_searched_anew_are_told(system, drawing, arrays, capsys):
    system.rank(drawing, arrays)
    assert capsys.readouterr().err == ""
    system.reader = replace(system.reader, replaced="BoxFile")
    system.rank(drawing, arrays)
    assert capsys.readouterr().err == "regions: training took them from BoxFile, these photos get selective search\n"


@pytest.mark.parametrize("damage", ["no description", "unknown class"])
def test_a_run_whose_checkpoint_says_nothing_is_loaded_by_its_configuration(damage, tmp_path, drawing, arrays):
    path = make_run(tmp_path / "run", model())
    expected = load_model(path).rank(drawing, arrays)
    content = torch.load(RunFolder(path).best_checkpoint, weights_only=True)
    if damage == "no description":
        del content["system"]
    else:
        content["system"]["class_path"] = "somewhere.Proposed"
    torch.save(content, RunFolder(path).best_checkpoint)
    assert load_model(path).rank(drawing, arrays) == expected


def test_a_run_without_training_ranks_too(tmp_path, drawing, arrays):
    """Its folder has no checkpoint, so its dataset tells how images are read."""
    path = make_run(tmp_path / "run", {"class_path": "fgsbir.systems.raw_pixels.RawPixels"})
    RunFolder(path).best_checkpoint.unlink()
    loaded = load_model(path)
    assert loaded.name == "Raw pixels"
    assert len(loaded.rank(drawing, arrays)) == len(arrays)
