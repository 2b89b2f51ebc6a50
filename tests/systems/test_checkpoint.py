"""A checkpoint alone is enough to load its system."""

import copy
import pickle
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

import numpy as np
import pytest
import timm
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from tiny_systems import make, photos_of, sketches_of

from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.data.reading import Reader
from fgsbir.errors import InputError
from fgsbir.losses import ContrastiveLoss, JudgedTripletLoss, TripletLoss
from fgsbir.models.backbone import Backbone
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.systems import SYSTEMS, BSiamese, Proposed, SketchFormerVariant, System
from fgsbir.systems.base import Optimisation
from fgsbir.systems.node_system import NodeSettings

PLAIN = (str, int, float, bool, type(None))


def plain(value):
    """Whether there is nothing but plain types in it."""
    if type(value) is dict:
        return all(type(key) in PLAIN and plain(item) for key, item in value.items())
    return all(map(plain, value)) if type(value) in (list, tuple) else type(value) in PLAIN


def saved(system, path):
    """The file of a checkpoint with what Lightning puts there and our hook adds."""
    content = {"state_dict": system.state_dict()}
    system.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def settings_of(module):
    """The numbers and texts that a module keeps, by name."""
    return {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | tuple)}


@torch.no_grad()
def distances(system):
    return system(sketches_of([1, 6, 3]), photos_of([7, 1, 4, 5]))


SETTINGS = {
    "proposed": {"global_weight": 0.5, "pyramid_dim": 4, "share_fusion": False, "loss": TripletLoss(0.4)},
    "b_graph_hierarchy": {"clusters": (3, 2, 1), "layers": 2, "gate": "product"},
    "layout_siamese": {"grids": (1, 3)},
    "b_siamese": {"pool": "max", "dim": 7},
    "swire": {"loss": ContrastiveLoss(0.3), "optimisation": Optimisation("sgd", 0.5)},
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_comes_back_from_its_file_alone(name, tmp_path):
    system = make(name, **SETTINGS.get(name, {}))
    path = saved(system, tmp_path / "a.ckpt")
    assert plain(torch.load(path, weights_only=True)["system"])
    torch.manual_seed(7)
    for loader in (System, type(system)):
        loaded = loader.load_from_checkpoint(str(path))
        assert type(loaded) is type(system)
        assert not any(module.training for module in loaded.modules())
        assert torch.equal(distances(loaded), distances(system))
        assert loaded.recorded == system.recorded
        assert loaded.optimisation == system.optimisation
        assert type(loaded.loss) is type(system.loss)
        assert settings_of(loaded.loss) == settings_of(system.loss)


def test_pretrained_weights_are_not_read_again_but_their_origin_stays(tmp_path, monkeypatch):
    weights = tmp_path / "net.pth"
    torch.save(
        {
            k: torch.rand_like(v) if v.is_floating_point() else v
            for k, v in timm.create_model("test_efficientnet").state_dict().items()
        },
        weights,
    )
    strokes = StrokeTransformer(16, heads=2, feedforward=16, coordinates="normalised")
    torch.save(strokes.state_dict(), tmp_path / "strokes.pth")
    system = SketchFormerVariant(
        Backbone("test_efficientnet", 2, weights=str(weights)),
        StrokeTransformer(16, heads=2, feedforward=16, coordinates="normalised", weights=str(tmp_path / "strokes.pth")),
    ).eval()
    origins = system.weights_origin()
    assert sorted(origin["source"] for origin in origins) == ["net.pth", "net.pth", "strokes.pth"]
    path = saved(system, tmp_path / "a.ckpt")
    weights.unlink()
    (tmp_path / "strokes.pth").unlink()
    monkeypatch.setenv("FGSBIR_WEIGHTS", str(tmp_path / "nowhere"))
    assert str(tmp_path) not in str(torch.load(path, weights_only=True)["system"])
    loaded = System.load_from_checkpoint(path)
    assert loaded.weights_origin() == origins
    assert torch.equal(distances(loaded), distances(system))


def test_the_record_survives_copies():
    system = make("swire")
    for copied in (copy.deepcopy(system), copy.copy(system), pickle.loads(pickle.dumps(system))):
        assert copied.recorded == system.recorded
        assert copied.recorded["init_args"]["backbone"]["init_args"]["name"] == "test_efficientnet"
        assert copied.sketch_backbone.recorded == system.photo_backbone.recorded


def test_what_the_training_data_say_of_reading_comes_back(tmp_path):
    system = make("b_siamese")
    assert System.load_from_checkpoint(saved(system, tmp_path / "none.ckpt")).reader is None
    system.reader = Reader(Rendering(image_size=48, ink="light", max_points=20), margin=0.21)
    system.reader.regions.top_k = 3
    loaded = System.load_from_checkpoint(saved(system, tmp_path / "a.ckpt")).reader
    assert (loaded.rendering, loaded.margin, loaded.regions.top_k) == (system.reader.rendering, 0.21, 3)


class Stranger(torch.nn.Module):
    """Made by nobody we know."""


class Odd(BSiamese):
    """Takes an argument that is no plain type."""

    def __init__(self, backbone: Backbone, stranger: torch.nn.Module) -> None:
        super().__init__(backbone)
        self.stranger = stranger


def call(class_path):
    return {"class_path": class_path, "init_args": {}}


def content(**changes):
    system = make("b_siamese")
    made = {"state_dict": system.state_dict()}
    system.on_save_checkpoint(made)
    return made | {"system": made["system"] | changes}


BAD = {
    "missing": (None, "no such file"),
    "bytes": (b"not a checkpoint", "not a checkpoint, or damaged"),
    "no weights": ({"epoch": 3}, "no weights in it"),
    "no system": ({"state_dict": {}}, "does not say how its system is made"),
    "unknown package": (lambda: content(class_path="no_such_package.System"), "'no_such_package.System' cannot be"),
    "unknown class": (lambda: content(class_path="fgsbir.systems.Propsed"), "'fgsbir.systems.Propsed' cannot be"),
    "no class": (lambda: content(class_path=None), "'None' cannot be imported"),
    "function": (lambda: content(class_path="os.system", init_args={"command": "true"}), "no class that a checkpoint"),
    "function inside": (lambda: content(init_args={"backbone": call("os.system")}), "no class that a checkpoint"),
    "foreign class": (lambda: content(init_args={"backbone": call("torch.nn.Identity")}), "no class that a checkpoint"),
    "unknown class inside": (lambda: content(init_args={"backbone": call("nowhere.Net")}), "'nowhere.Net' cannot be"),
    "arguments that are none": (lambda: content(init_args=3), "not a configuration of this BSiamese"),
    "no system at all": (lambda: content(class_path="fgsbir.losses.TripletLoss", init_args={}), "TripletLoss"),
    "unknown setting": (lambda: content(init_args={"backbone": None, "dimm": 3}), "not a configuration"),
    "other weights": (lambda: content() | {"state_dict": {}}, "does not fit"),
    "other reader": (lambda: content(reader={"rendering": {"size": 3}}), "does not fit"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(name, tmp_path):
    bad, says = BAD[name]
    path = tmp_path / "a.ckpt"
    if isinstance(bad, bytes):
        path.write_bytes(bad)
    elif bad is not None:
        torch.save(bad() if callable(bad) else bad, path)
    with pytest.raises(InputError, match=says) as error:
        System.load_from_checkpoint(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value)) < len(str(path)) + 300


def test_a_class_does_not_load_another(tmp_path):
    path = saved(make("proposed"), tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"it holds a Proposed, not a BSiamese; use Proposed\.load_from_checkpoint"):
        BSiamese.load_from_checkpoint(path)


def test_a_system_with_an_argument_of_no_plain_type_is_saved_but_not_described(tmp_path):
    system = Odd(Backbone("test_efficientnet", 2), Stranger())
    path = saved(system, tmp_path / "a.ckpt")
    assert "system" not in torch.load(path, weights_only=True)
    with pytest.raises(InputError, match="build the system yourself"):
        System.load_from_checkpoint(path)


class Longer(BSiamese):
    """Hands what it does not know to its base."""

    def __init__(self, *, words=(), **kwargs):
        super().__init__(**kwargs)
        self.words = words


class Wide(NodeSettings):
    """A subclass of a dataclass."""


@dataclass(frozen=True)
class Extra(NodeSettings):
    names: tuple[str, ...] = ()


class Unpacked(BSiamese):
    """Its arguments have no names."""

    def __init__(self, *parts):
        super().__init__(*parts)


class File(BSiamese):
    """Its `weights` are words, not a file."""

    def __init__(self, backbone, weights="equal"):
        super().__init__(backbone)
        self.weights = weights


def reloaded(system, tmp_path):
    return System.load_from_checkpoint(saved(system, tmp_path / "a.ckpt"))


def test_arguments_come_back_with_their_types(tmp_path):
    words = ["007", "null", "1e3", "{a: b}", {1: "one", "1": 1.0}, (1, [2.5, None, True])]
    loaded = reloaded(Longer(backbone=Backbone("test_efficientnet", 2), dim=5, words=words), tmp_path)
    assert loaded.words == words
    assert [type(word) for word in loaded.words] == [type(word) for word in words]
    assert loaded.embed.out_features == 5


@pytest.mark.parametrize("nodes", [Wide(16, 8, region_grid=3), Extra(16, 8, region_grid=3, names=("a", "null"))])
def test_subclasses_of_dataclasses_come_back(nodes, tmp_path):
    loaded = reloaded(Proposed(Backbone("test_efficientnet", 2), nodes), tmp_path)
    assert loaded.recorded["init_args"]["nodes"]["class_path"] == f"{__name__}.{type(nodes).__name__}"
    assert loaded.regions.dim == 16


def test_only_files_of_weights_are_left_out(tmp_path):
    loaded = reloaded(File(Backbone("test_efficientnet", 2), weights="by frequency"), tmp_path)
    assert loaded.weights == "by frequency"


def test_arguments_without_names_leave_no_record():
    assert Unpacked(Backbone("test_efficientnet", 2)).recorded is None


class Pool(StrEnum):
    MAX = "max"


class Level(IntEnum):
    FINE = 2


def test_numbers_of_numpy_and_enums_become_plain(chairs, tmp_path):
    system = BSiamese(
        Backbone(np.str_("test_efficientnet"), Level.FINE, freeze_bn=np.bool_(True)),
        Pool.MAX,
        dim=np.int64(7),
        optimisation=Optimisation(lr=np.float64(0.01), warmup=np.float32(0.5), weight_decay=np.float64(0.1)),
    )
    trainer = quiet(enable_checkpointing=False)
    trainer.fit(system, chairs)
    system.reader = Reader(Rendering(image_size=np.int64(48), ink="dark"), margin=np.float64(0.25))
    path = tmp_path / "a.ckpt"
    trainer.save_checkpoint(path)
    assert plain(torch.load(path, weights_only=True)["system"])
    loaded = BSiamese.load_from_checkpoint(path)
    assert (loaded.pool, loaded.embed.out_features, loaded.reader.margin) == ("max", 7, 0.25)
    assert torch.equal(distances(loaded), distances(system.eval()))


def test_weights_may_differ_where_that_is_asked_for(tmp_path):
    made = content()
    del made["state_dict"]["embed.bias"]
    torch.save(made, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="does not fit"):
        BSiamese.load_from_checkpoint(tmp_path / "a.ckpt")
    assert BSiamese.load_from_checkpoint(tmp_path / "a.ckpt", strict=False).embed.out_features == 64


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"map_location": lambda storage, _: storage}, "a function is no device"),
        ({"hparams_file": "hparams.yaml"}, "it takes no 'hparams_file'"),
        ({"dim": 3}, "it takes no 'dim'"),
    ],
)
def test_other_arguments_of_lightning_are_refused(arguments, says, tmp_path):
    path = saved(make("b_siamese"), tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=says):
        BSiamese.load_from_checkpoint(path, **arguments)


@pytest.fixture(scope="module")
def chairs():
    source = Embedded(train=6, val=2, test=4, sketches_per_photo=2, size=64)
    rendering = Rendering(image_size=48, num_regions=4, max_strokes=6)
    return SketchPhotoDataModule(source, rendering=rendering, batch_size=4, num_workers=0)


def quiet(**settings):
    plain = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(max_epochs=1, num_sanity_val_steps=0, **plain, **settings)


def test_a_trained_system_comes_back_and_ranks_as_its_test_did(chairs, tmp_path):
    torch.manual_seed(0)
    nodes = NodeSettings(16, 8, region_grid=3, global_weight=0.5)
    system = Proposed(Backbone("test_efficientnet", 2), nodes)
    trainer = quiet(enable_checkpointing=False)
    trainer.fit(system, chairs)
    trainer.test(system, chairs, verbose=False)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded, ranking = System.load_from_checkpoint(tmp_path / "a.ckpt"), system.test_ranking
    photos, sketches = chairs.records.split_photos("test"), chairs.records.split_sketches("test")
    gallery = loaded.encode(photos=photos)
    assert gallery.names == [photo.id for photo in photos]
    for query, sketch in enumerate(sketches):
        for found in (loaded.rank(sketch.sketch, gallery), system.rank(sketch.sketch, photos)):
            assert [hit.photo for hit in found] == [photos[i].id for i in ranking.top[query]]
            np.testing.assert_allclose([hit.distance for hit in found], ranking.top_distances[query], rtol=1e-5)
    encoded = trainer.predict(loaded, chairs)
    assert [len(loader) for loader in encoded] == [1, 1]
    torch.testing.assert_close(encoded[1][0].nodes, gallery.encodings.nodes)


def test_averaged_weights_are_those_that_come_back(chairs, tmp_path):
    torch.manual_seed(0)
    system = BSiamese(Backbone("test_efficientnet", 2), optimisation=Optimisation(lr=0.05))
    trainer = quiet(callbacks=[EMAWeightAveraging(decay=0.5)], default_root_dir=tmp_path)
    trainer.fit(system, chairs)
    (path,) = tmp_path.rglob("*.ckpt")
    found = torch.load(path, weights_only=True)
    loaded = BSiamese.load_from_checkpoint(path)
    key = "embed.weight"
    assert torch.equal(loaded.state_dict()[key], found["state_dict"][key])
    assert not torch.equal(found["state_dict"][key], found["current_model_state"][key])


class Judged(Embedded):
    """The photos of training, each judged nearer to its sketch than any other."""

    def load(self):
        data = super().load()
        ids = [photo.id for photo in data.split_photos("train")]
        return replace(data, judgements={own: [(own, other) for other in ids if other != own] for own in ids})


def test_averaging_and_human_judgements_train_together(tmp_path):
    source = Judged(train=6, val=2, test=4, sketches_per_photo=2, size=64)
    data = SketchPhotoDataModule(source, rendering=Rendering(image_size=48), batch_size=4, num_workers=0)
    system = BSiamese(Backbone("test_efficientnet", 2), loss=JudgedTripletLoss())
    quiet(callbacks=[EMAWeightAveraging(decay=0.5)], default_root_dir=tmp_path).fit(system, data)
    assert system.loss.nearer.sum() == 6 * 5
    (path,) = tmp_path.rglob("*.ckpt")
    assert type(BSiamese.load_from_checkpoint(path).loss) is JudgedTripletLoss
