"""An experiment that takes over the backbone of another: `backbone_from`."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from tiny import EMA, PROPOSED, TINY

from fgsbir import run_command
from fgsbir.cli import main
from fgsbir.errors import InputError
from fgsbir.runs.config import backbone_words
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.training import locate

ROOT = Path(__file__).parents[2] / "experiments"
NODES = PROPOSED["init_args"]["nodes"]


def system(optimisation=None, **arguments):
    model = deepcopy(PROPOSED)
    model["init_args"]["nodes"] = {**NODES, "global_weight": 0.5}
    model["init_args"]["optimisation"] = {"backbone_lr_factor": 0.0} | (optimisation or {})
    model["init_args"] |= arguments
    return model


@pytest.fixture
def configs(write_config):
    """The experiment that trains a backbone, and one that takes it over."""
    averaged = {**TINY["trainer"], "callbacks": [EMA]}
    first = write_config("first", trainer=averaged)
    return first, write_config("second", model=system(), trainer=averaged, backbone_from=str(first))


def run_of(tmp_path, name):
    (folder,) = (tmp_path / "runs" / name).iterdir()
    return RunFolder(folder)


def weights(run, prefix=""):
    state = torch.load(run.best_checkpoint, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith(prefix)}


def fit(config, *words):
    return main(["fit", "--config", str(config), *map(str, words)])


def test_the_backbone_is_trained_first_taken_over_and_left_as_it_is(tmp_path, configs, capfd):
    second = configs[1]
    assert fit(second) == 0
    assert "training its backbone first" in capfd.readouterr().out
    trained, taken = (run_of(tmp_path, name) for name in ("first", "second"))
    assert trained.is_trained
    assert taken.is_trained
    theirs, ours = weights(trained, "backbone."), weights(taken, "backbone.")
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-7)  # averaging equal weights rounds
    assert taken.read_env()["weights"][0]["source"] == f"first/{trained.path.name}"

    untrained = weights_of_a_new_one(tmp_path, configs)
    assert any(not torch.equal(untrained[name], value) for name, value in theirs.items())
    others = {name for name in weights(taken) if not name.startswith("backbone.")}
    assert any(not torch.equal(untrained[name], weights(taken)[name]) for name in others)


def weights_of_a_new_one(tmp_path, configs):
    from fgsbir.runs.loading import build

    torch.manual_seed(0)
    return build(run_of(tmp_path, "second").read_config(), "", "")[0].state_dict()


def test_a_backbone_that_is_trained_is_not_trained_again(tmp_path, configs, capfd):
    first, second = configs
    assert fit(first) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "first").rglob("*") if path.is_file()}
    assert fit(second) == 0
    assert "training its backbone first" not in capfd.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_an_interrupted_backbone_goes_on_first(tmp_path, configs, write_config):
    model = deepcopy(TINY["model"])
    model["init_args"]["optimisation"] = {"schedule": "constant"}  # the same for one epoch and for two
    first, second = write_config("first", model=model), configs[1]
    assert fit(first, "--runs_dir", tmp_path / "cut", "--trainer.max_epochs", 1) == 0
    (cut,) = (tmp_path / "cut" / "first").iterdir()
    place, _ = locate(["--config", str(first)])
    shutil.copytree(cut, place.path)
    assert place.is_trained  # for its one epoch
    place.config.write_text(place.config.read_text().replace("max_epochs: 1", "max_epochs: 2"))
    begun = place.read_metrics()
    assert not place.is_trained
    assert fit(second) == 0
    assert place.is_trained
    assert place.read_metrics()[:1] == begun  # the first epoch was not repeated
    assert [row["epoch"] for row in place.read_metrics()] == [0, 1]


def test_whole_pictures_are_as_far_apart_as_in_the_other_system(tmp_path, configs, write_config):
    """All that is added is the distance of the nodes: at a weight of almost 1 the rankings are the same."""
    pooled = deepcopy(TINY["model"])
    pooled["init_args"] |= {"pool": "max", "dim": None}
    first = write_config("first", model=pooled)
    second = write_config("second", model=system(nodes={**NODES, "global_weight": 0.999999}), backbone_from=str(first))
    for config in (first, second):
        assert fit(config) == 0
        assert main(["test", "--config", str(config)]) == 0
    a, b = (run_of(tmp_path, name).read_ranking() for name in ("first", "second"))
    assert a.ranks.tolist() == b.ranks.tolist()
    assert abs(a.top_distances - b.top_distances).max() < 1e-4


def test_the_hash_is_another_where_the_backbone_is(configs, write_config):
    first, second = configs
    path = locate(["--config", str(second)])[0].path
    assert locate(["--config", str(second), "--seed_everything", "3"])[0].path.name == path.name.replace("-s0", "-s3")
    write_config("first", trainer={**TINY["trainer"], "max_epochs": 3})
    assert locate(["--config", str(second)])[0].path != path
    without = locate(["--config", str(second), "--backbone_from", "null"])[0].path
    assert without not in (path, locate(["--config", str(first)])[0].path)


def test_what_is_said_on_the_command_line_holds_for_the_backbone_too_but_not_the_model():
    own = ["--config", str(ROOT / "chair_v2" / "proposed_k8.yaml"), f"--experiments={ROOT}"]
    said = ["--seed_everything", "2", "--data.batch_size=8", "--trainer.max_epochs", "1", "--runs_dir=elsewhere"]
    model = [
        "--model.init_args.backbone.init_args.name=resnet18",
        "--model.init_args.nodes.dim",
        "32",
        "--recipe=modern",
    ]
    words = backbone_words([*own, *said, *model, "--data.test_detail=coarse"])
    assert words == [
        *("--config", str(ROOT / "chair_v2" / "b_siamese.yaml")),
        f"--experiments={ROOT}",
        *("--seed_everything=2", "--data.batch_size=8", "--trainer.max_epochs=1", "--runs_dir=elsewhere"),
        "--model.init_args.backbone.init_args.name=resnet18",
    ]


def test_a_combination_without_a_file_takes_the_backbone_of_its_dataset(tmp_path):
    shutil.copytree(ROOT, tmp_path / "experiments")
    file = tmp_path / "experiments" / "chair_v2" / "proposed.yaml"
    from_file = locate(["--config", str(file), f"--experiments={tmp_path / 'experiments'}"])
    file.unlink()
    from fgsbir.sweep.spec import fit_words

    run = {"experiment": "proposed", "dataset": "chair_v2", "experiments": str(tmp_path / "experiments")}
    assert locate(fit_words(run)) == from_file


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/b_siamese*.yaml")), ids=lambda path: path.parent.name)
def test_what_trains_a_backbone_takes_over_none(path):
    assert backbone_words(["--config", str(path), f"--experiments={ROOT}"]) is None


def test_an_experiment_that_takes_over_one_cannot_be_taken_from(configs, write_config):
    third = write_config("third", model=system(), backbone_from=str(configs[1]))
    with pytest.raises(InputError, match="takes over a backbone itself"):
        backbone_words(["--config", str(third)])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backbone_from": "nowhere.yaml"}, "nowhere.yaml"),
        ({"backbone_from": "nothing"}, "no dataset of that name"),
        ({"model": {"class_path": "fgsbir.systems.raw_pixels.RawPixels"}}, "nothing to train"),
    ],
    ids=["no file", "no experiment", "no backbone"],
)
def test_what_cannot_be_taken_over_is_one_line(changes, says, configs, write_config, capfd):
    config = write_config("bad", **{"model": system(), "backbone_from": str(configs[0])} | changes)
    try:
        assert fit(config) == 2
    except SystemExit:
        assert says in capfd.readouterr().out
        return
    assert says in capfd.readouterr().err.splitlines()[-1]


def test_another_network_does_not_fit(configs, write_config, capsys):
    assert fit(configs[0]) == 0
    model = system()
    model["init_args"]["backbone"] = deepcopy(model["init_args"]["backbone"])
    model["init_args"]["backbone"]["init_args"]["level"] = 2
    config = write_config("bad", model=model, backbone_from=str(configs[0]))
    assert fit(config) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "best.ckpt" in line
    assert "does not fit" in line


def test_several_processes_do_not_train_it_by_the_way(tmp_path, configs, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    assert fit(configs[1]) == 2
    assert "not trained: run: fgsbir fit" in capsys.readouterr().err.replace(";", ":")
    assert not (tmp_path / "runs" / "first").exists()


def test_run_trains_the_backbone_as_a_stage_of_its_own(configs, monkeypatch):
    started = []

    class Ended:
        def wait(self):
            return 0

    monkeypatch.setattr(run_command, "start", lambda command, env: started.append(command[3:]) or Ended())
    run_command.run([f"--experiment={configs[1]}", "--seed=4"])
    assert [words[0] for words in started] == ["fit", "fit", "test"]
    assert started[0][1:3] == ["--config", str(configs[0])]
    assert "--seed_everything=4" in started[0]
    assert started[1][1:3] == ["--config", str(configs[1])]
