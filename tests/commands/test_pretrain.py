"""Pre-training of the stroke transformer, through the command line where that is the point."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from lightning import Trainer
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import TINY
from torch.utils.data import default_collate

from fgsbir.cli import main
from fgsbir.data.datasets import Embedded
from fgsbir.data.hidden_strokes import HiddenStrokeDataset
from fgsbir.data.transforms import Augmentation
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.runs.folder import RunFolder
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.systems.stroke_completion import StrokeCompletion

ENCODER = {"dim": 16, "heads": 2, "layers": 1, "feedforward": 16, "coordinates": "normalised"}
DATA = {"train": 4, "val": 2, "test": 3, "sketches_per_photo": 2, "size": 48}
CAPACITY = 40


def completion(**settings):
    torch.manual_seed(0)
    return StrokeCompletion(StrokeTransformer(**{**ENCODER, **settings}), 1e-3, 0, "").train()


@cache
def training_sketches():
    return [record.sketch for record in Embedded(**DATA).load().split_sketches("train")]


def dataset(hide=0.3, sketches=None, **augmentation):
    sketches = sketches or training_sketches()
    return HiddenStrokeDataset(sketches, CAPACITY, hide, Augmentation(**augmentation), 0)


def batch(hide=0.3):
    items = dataset(hide)
    return default_collate([items[i] for i in range(len(items))])


def pretrain(out, *argv):
    """Exit status of the command on tiny data; `argv` is added."""
    options = [f"--encoder.{name}={value}" for name, value in ENCODER.items()]
    options += [f"--source.{name}={value}" for name, value in DATA.items()]
    options += ["--max_points", str(CAPACITY), "--epochs", "3", "--batch_size", "4", "--lr", "0.001"]
    options += ["--accelerator", "cpu"]
    return main(["pretrain", "--source", "Embedded", *options, "--out", str(out), *argv])


def test_whole_strokes_are_hidden_and_some_always_stay():
    for hide in (0.01, 0.4, 0.99):
        items = dataset(hide)
        for index in range(len(items)):
            points, length, hidden = items[index]
            assert not hidden[length:].any()
            ends = (points[:length, 2] == 1).nonzero()[:, 0]
            strokes = np.split(hidden[:length].numpy(), ends[:-1] + 1)
            assert all(stroke.all() or not stroke.any() for stroke in strokes)
            count = min(max(1, round(hide * len(strokes))), len(strokes) - 1)
            assert sum(stroke.all() for stroke in strokes) == count


def test_what_is_hidden_depends_on_seed_epoch_and_index_alone():
    items, again = dataset(sketch_affine=1.0), dataset(sketch_affine=1.0)
    count = len(items)
    for index in (3, 0, count + 3):
        for a, b in zip(items[index], again[index], strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(items[3].points, items[count + 3].points)
    assert len({items[3 + epoch * count].hidden.numpy().tobytes() for epoch in range(8)}) > 3


def test_a_drawing_of_one_stroke_hides_nothing_and_costs_nothing():
    line = VectorSketch.from_strokes([[(0.1, 0.1), (0.9, 0.9)]])
    alone = default_collate([dataset(sketches=[line])[0]])
    assert not alone.hidden.any()
    losses = completion().losses(alone)
    assert losses["place"] == losses["pen"] == 0


@torch.no_grad()
def test_hidden_points_are_really_hidden():
    shown = batch()
    for coordinates in ("normalised", "absolute"):
        model = completion(dropout=0.0, coordinates=coordinates)
        other = shown._replace(points=torch.where(shown.hidden[..., None], torch.rand_like(shown.points), shown.points))
        assert not torch.equal(other.points, shown.points)
        assert torch.equal(model.reconstruct(other), model.reconstruct(shown))
        seen = shown._replace(points=torch.where(shown.hidden[..., None], shown.points, torch.rand_like(shown.points)))
        assert not torch.allclose(model.reconstruct(seen), model.reconstruct(shown))


@torch.no_grad()
def test_losses_are_means_over_the_hidden_points():
    model, shown = completion(dropout=0.0), batch()
    found, place, pen, count = model.reconstruct(shown), 0.0, 0.0, 0
    for row in range(len(shown.lengths)):
        for step in range(int(shown.lengths[row])):
            if shown.hidden[row, step]:
                x, y, lifted = shown.points[row, step].tolist()
                px, py, logit = found[row, step].tolist()
                place += (abs(px - (2 * x - 1)) + abs(py - (2 * y - 1))) / 2
                pen += np.log1p(np.exp(-logit if lifted else logit))
                count += 1
    losses = model.losses(shown)
    assert float(losses["place"]) == pytest.approx(place / count, rel=1e-4)
    assert float(losses["pen"]) == pytest.approx(pen / count, rel=1e-4)


def test_it_learns_to_fill_in_strokes_and_every_parameter_does():
    model, shown = completion(dropout=0.0), batch()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    history = []
    for _ in range(100):
        losses = model.losses(shown)
        optimiser.zero_grad()
        (losses["place"] + losses["pen"]).backward()
        optimiser.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert history[-1]["place"] < 0.6 * history[0]["place"]
    assert history[-1]["pen"] < 0.6 * history[0]["pen"]


def test_the_command_trains_on_training_sketches_and_writes_the_encoder(tmp_path, capsys):
    out = tmp_path / "deep" / "chairs.safetensors"
    assert pretrain(out) == 0
    assert "8 sketches of embedded_chairs" in capsys.readouterr().out  # 4 photos of train, twice
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    torch.manual_seed(0)
    fresh = StrokeTransformer(**ENCODER).state_dict()
    learnt = StrokeTransformer(**ENCODER, weights=str(out)).state_dict()
    assert not torch.equal(learnt["lift.weight"], fresh["lift.weight"])
    with safe_open(out, "pt") as file:
        assert "dim: 16" in file.metadata()["config"]


class Interrupted(Exception):
    pass


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    assert pretrain(tmp_path / "whole.safetensors") == 0
    original = StrokeCompletion.on_train_batch_start

    def interrupt(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise Interrupted
        original(self, batch, batch_idx)

    part = tmp_path / "part.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(StrokeCompletion, "on_train_batch_start", interrupt)
        with pytest.raises(Interrupted):
            pretrain(part)
    assert not part.exists()
    epochs = []
    monkeypatch.setattr(StrokeCompletion, "on_train_epoch_start", lambda self: epochs.append(self.current_epoch))
    assert pretrain(part) == 0
    assert epochs == [2]
    whole, part = load_file(tmp_path / "whole.safetensors"), load_file(part)
    assert whole.keys() == part.keys()
    assert all(torch.equal(value, part[key]) for key, value in whole.items())


def test_what_is_done_is_not_done_twice_and_other_settings_are_refused(tmp_path, monkeypatch, capsys):
    out = tmp_path / "chairs.safetensors"
    assert pretrain(out, "--epochs", "1") == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert pretrain(out, "--epochs", "1") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert pretrain(out, "--epochs", "1", "--seed", "1") == 2
    assert "made with other settings" in capsys.readouterr().err
    assert out.read_bytes() == before

    out.write_bytes(b"something else")
    assert pretrain(out) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert out.read_bytes() == b"something else"


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, monkeypatch, capsys):
    out = tmp_path / "chairs.safetensors"
    fit = Trainer.fit

    def fit_and_fail(*args, **options):
        fit(*args, **options)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", fit_and_fail)
        with pytest.raises(Interrupted):
            pretrain(out, "--epochs", "1")
    assert pretrain(out, "--epochs", "2") == 2
    assert "another pre-training was interrupted here" in capsys.readouterr().err
    assert pretrain(out, "--epochs", "1") == 0  # finished but not written


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--hide", "1"], "hide"),
        (["--epochs", "0"], "epochs"),
        (["--max_points", "3"], "max_points"),
        (["--encoder.dim", "7"], "strokes.dim"),
        (["--encoder.weights", "nowhere.safetensors"], "no such weights file"),
        (["--source.train", "0"], "embedded.train"),
        (["--typo", "1"], "typo"),
    ],
    ids=str,
)
def test_bad_options_are_one_line(argv, problem, tmp_path, capsys):
    assert pretrain(tmp_path / "chairs.safetensors", *argv) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    assert problem in line
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_training_sketches_is_one_line(tmp_path, monkeypatch, capsys):
    empty = Embedded(**DATA).load()
    empty = type(empty)(empty.name, tuple(s for s in empty.sketches if s.split == "test"), empty.photos)
    monkeypatch.setattr(Embedded, "load", lambda self: empty)
    assert pretrain(tmp_path / "chairs.safetensors") == 2
    assert "no training sketches" in capsys.readouterr().err


@pytest.mark.slow
def test_a_system_starts_from_the_encoder_and_records_its_digest(tmp_path, write_config, capsys):
    out = tmp_path / "chairs.safetensors"
    assert pretrain(out, "--epochs", "1") == 0
    strokes = {"class_path": "fgsbir.models.stroke_transformer.StrokeTransformer"}
    strokes["init_args"] = {**ENCODER, "weights": str(out)}
    arguments = {**deepcopy(TINY["model"]["init_args"]), "strokes": strokes}
    arguments["optimisation"] = {"lr": 1e-9, "optimizer": "adam", "schedule": "constant"}  # it stays as it was
    data = {**TINY["data"], "rendering": {**TINY["data"]["rendering"], "max_points": CAPACITY}}
    model = {"class_path": "fgsbir.systems.sketchformer_variant.SketchFormerVariant", "init_args": arguments}
    config = write_config(model=model, data=data, trainer={**TINY["trainer"], "max_epochs": 1})
    assert main(["fit", "--config", str(config)]) == 0
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    run = RunFolder(folder)
    state = torch.load(run.last_checkpoint, weights_only=True)["state_dict"]
    for key, value in load_file(out).items():
        torch.testing.assert_close(state[f"strokes.{key}"], value, atol=1e-5, rtol=1e-5)
    origins = run.read_env()["weights"]
    assert StrokeTransformer(**ENCODER, weights=str(out)).origin in origins

    capsys.readouterr()
    out.write_bytes(b"damaged")
    strokes["init_args"]["dropout"] = 0.2  # another run
    config = write_config(model=model, data=data)
    assert main(["fit", "--config", str(config)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    assert "not a weights file" in line
