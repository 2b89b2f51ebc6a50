"""Training on the cached features of a frozen trunk."""

from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from tiny import TINY

from fgsbir.cli import main
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.data.features import ImageFeatures, SplitFeatures, is_whole, write_features
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.models.backbone import Backbone
from fgsbir.runs.folder import RunFolder

CACHE = {"class_path": "fgsbir.runs.trunk_cache.TrunkCache"}
EMA = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.9}}


@pytest.fixture
def frozen(write_config):
    """Writes a configuration with a frozen trunk and only a flip."""

    def write(name="tiny", callbacks=(EMA, CACHE), frozen_levels=3, **augmentation):
        model, data = deepcopy(TINY["model"]), deepcopy(TINY["data"])
        model["init_args"]["backbone"]["init_args"]["frozen_levels"] = frozen_levels
        data["augmentation"] = {"flip": 0.5, **augmentation}
        trainer = {**TINY["trainer"], "callbacks": list(callbacks)}
        return str(write_config(name, model=model, data=data, trainer=trainer))

    return write


@pytest.fixture
def pictures(monkeypatch):
    """Counts the pictures that go through a trunk."""
    seen = []
    original = Backbone.trunk_features

    def counted(self, images):
        seen.append(len(images))
        return original(self, images)

    monkeypatch.setattr(Backbone, "trunk_features", counted)
    return seen


def run_folder(tmp_path, experiment):
    (folder,) = (tmp_path / "runs" / experiment).iterdir()
    return RunFolder(folder)


def column(run, name):
    return [row[name] for row in run.read_metrics()]


def test_training_is_that_without_the_cache(tmp_path, frozen, pictures):
    assert main(["fit", "--config", frozen("plain", callbacks=[EMA])]) == 0
    pictures.clear()
    assert main(["fit", "--config", frozen("cached")]) == 0
    # 6 photos and 12 sketches for training, each also mirrored, 3 and 6 for validation; once, not once an epoch.
    assert sum(pictures) == 2 * (6 + 12) + 3 + 6
    plain, cached = run_folder(tmp_path, "plain"), run_folder(tmp_path, "cached")
    assert column(cached, "train/loss") == pytest.approx(column(plain, "train/loss"), rel=2e-3)
    a, b = (torch.load(run.last_checkpoint, weights_only=True)["state_dict"] for run in (plain, cached))
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-2, atol=1e-2)


def test_items_hold_the_features_of_the_picture_that_they_replace(tmp_path):
    """Plain and mirrored, with the boxes of the same picture."""
    source = Embedded(train=4, val=2, test=2, sketches_per_photo=2, size=64)
    rendering = Rendering(image_size=32, num_regions=5)
    data = SketchPhotoDataModule(source, rendering=rendering, augmentation=Augmentation(flip=0.5))
    data.setup("fit")
    without = data.pairs()
    files = {}
    for kind, dataset in (("sketch", data.queries("train")), ("photo", data.gallery("train"))):
        for mirror in (False, True):
            path = files[kind, mirror] = tmp_path / f"{kind}{mirror}.npy"
            all_pictures = [dataset.image(i, mirror).numpy() for i in range(len(dataset))]
            write_features(path, [np.float32(all_pictures)], len(dataset))  # the picture is its own feature
    both = [ImageFeatures(files[kind, False], files[kind, True]) for kind in ("sketch", "photo")]
    data.features = {"train": SplitFeatures(*both)}
    within = data.pairs()
    mirrored = 0
    for index in range(3 * len(without)):  # three epochs
        for expected, got in zip(without[index], within[index], strict=True):
            assert got.image.dtype == torch.float16
            assert torch.equal(got.image, expected.image.half())
            for one, other in zip(expected[1:], got[1:], strict=True):
                assert torch.equal(one, other)
        place = int(within[index].photo.position)
        mirrored += not torch.equal(within[index].photo.image, data.gallery("train").image(place).half())
    assert 0 < mirrored < 3 * len(without)


def test_second_run_computes_nothing_and_damaged_files_are_made_again(tmp_path, frozen, pictures):
    assert main(["fit", "--config", frozen("a")]) == 0
    files = sorted((tmp_path / "cache" / "trunk").rglob("*.npy"))
    train = ("photo-train", "photo-train-flipped", "sketch-train", "sketch-train-flipped")
    assert sorted(file.stem for file in files) == sorted([*train, "photo-val", "sketch-val"])
    before = {file: file.read_bytes() for file in files}
    pictures.clear()
    assert main(["fit", "--config", frozen("b")]) == 0
    assert pictures == []

    by_name = {file.stem: file for file in files}
    truncated, flipped, empty = by_name["photo-train"], by_name["sketch-train"], by_name["photo-val"]
    truncated.write_bytes(before[truncated][:-40])
    content = bytearray(before[flipped])
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    empty.write_bytes(b"")
    assert main(["fit", "--config", frozen("c")]) == 0
    assert sum(pictures) == 6 + 12 + 3
    assert {file: file.read_bytes() for file in files} == before
    losses = [column(run_folder(tmp_path, name), "train/loss") for name in "abc"]
    assert losses[0] == losses[1] == losses[2]


def test_other_trunk_rendering_or_data_is_another_entry(frozen, pictures):
    assert main(["fit", "--config", frozen("a")]) == 0
    for words in (
        ["--seed_everything", "1"],  # other random weights
        ["--data.rendering.ink", "light"],
        ["--data.train_detail", "coarse"],
        ["--data.source.init_args.seed", "5"],
    ):
        pictures.clear()
        assert main(["fit", "--config", frozen("a"), "--trainer.max_epochs", "1", *words]) == 0
        assert sum(pictures) >= 2 * (6 + 12)


def test_test_reads_features_and_shows_pictures(tmp_path, frozen, pictures):
    config = frozen()
    assert main(["fit", "--config", config]) == 0
    pictures.clear()
    assert main(["test", "--config", config]) == 0
    assert sum(pictures) == 4 + 8 + 2  # a sketch and a photo are encoded to count FLOPs
    run = run_folder(tmp_path, "tiny")
    assert run.read_result().n_test == 8

    source = Embedded(**TINY["data"]["source"]["init_args"])
    photos = source.load().split_photos("test")
    gallery = run.read_thumbnails().photos
    for photo, thumbnail in zip(photos, gallery, strict=True):
        expected = cv2.resize(photo.pixels, thumbnail.shape[:2], interpolation=cv2.INTER_AREA)
        assert np.abs(expected.astype(int) - thumbnail).mean() < 2


def test_a_checkpoint_with_another_trunk_is_refused(tmp_path, frozen, capsys):
    assert main(["fit", "--config", frozen("a")]) == 0
    checkpoint = run_folder(tmp_path, "a").best_checkpoint
    words = ["test", "--config", frozen("b"), "--seed_everything", "1", "--ckpt_path", str(checkpoint)]
    assert main(words) == 2
    assert "its frozen trunk differs from the configuration's" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frozen_levels": 0}, "backbone.frozen_levels: no level is frozen, nothing to cache"),
        ({"wobble": 0.1}, "data.augmentation.wobble: 0.1 changes images whose features are cached"),
        ({"photo_affine": 0.5}, "data.augmentation.photo_affine: 0.5 changes"),
    ],
)
def test_what_cannot_be_cached_is_refused_in_one_line(changes, says, frozen, pictures, capsys):
    assert main(["fit", "--config", frozen(**changes)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert says in line
    assert pictures == []


def test_an_unwritable_cache_is_refused_before_any_work(tmp_path, frozen, pictures, capsys):
    (tmp_path / "file").write_text("")
    cache = {**CACHE, "init_args": {"cache_dir": str(tmp_path / "file")}}
    assert main(["fit", "--config", frozen(callbacks=[cache])]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "the cache cannot be written" in line
    assert "set FGSBIR_CACHE or cache_dir" in line
    assert pictures == []


def test_the_cache_folder_is_no_part_of_the_run(tmp_path, frozen):
    here = {**CACHE, "init_args": {"cache_dir": str(tmp_path / "here")}}
    assert main(["fit", "--config", frozen("a", callbacks=[CACHE])]) == 0
    assert main(["fit", "--config", frozen("b", callbacks=[here])]) == 0
    assert list((tmp_path / "here" / "trunk").rglob("sketch-val.npy"))
    assert run_folder(tmp_path, "a").path.name == run_folder(tmp_path, "b").path.name


def test_features_come_back_rounded_to_half_and_too_large_ones_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(5, 2, 3, 4)).astype(np.float32)
    path = tmp_path / "maps.npy"
    write_features(path, [maps[:3], maps[3:]], 5)
    assert is_whole(path)
    read = ImageFeatures(path)
    for i in range(5):
        np.testing.assert_array_equal(read.get(i).numpy(), maps[i].astype(np.float16))
    with pytest.raises(InputError, match="does not fit float16"):
        write_features(tmp_path / "large.npy", [maps * 1e6], 5)
    assert not (tmp_path / "large.npy").exists()
