"""An experiment that takes over the backbone of another: `backbone_from`."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from tiny import EMA, PROPOSED, TINY

from fgsbir.cli import main
from fgsbir.errors import InputError
from fgsbir.runs.config import Settings, resolve
from fgsbir.runs.folder import RunFolder

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


def located(config, *words):
    return resolve(Settings.parse(["--config", str(config), *words]))


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
    place = located(first).folder
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
    path = located(second).folder.path
    assert located(second, "--seed_everything", "3").folder.path.name == path.name.replace("-s0", "-s3")
    write_config("first", trainer={**TINY["trainer"], "max_epochs": 3})
    assert located(second).folder.path != path
    without = located(second, "--backbone_from", "null")
    assert without.backbone is None
    assert without.folder.path not in (path, located(first).folder.path)


def test_what_is_set_on_the_command_line_holds_for_the_backbone_too_but_not_the_model():
    run = "--experiment=chair_v2/proposed_k8 --seed=2 --data.batch_size=8 --trainer.max_epochs=1 --runs_dir=elsewhere"
    model = "--model.backbone.name=resnet18 --model.optimisation.lr=0.5"
    backbone = resolve(Settings.parse([*run.split(), *model.split(), "--data.test_detail=coarse"])).backbone
    shared = "--system=b_siamese --dataset=chair_v2 --seed=2 --data.batch_size=8 --trainer.max_epochs=1"
    assert backbone == resolve(
        Settings.parse([*shared.split(), "--runs_dir=elsewhere", "--model.backbone.name=resnet18"])
    )
    assert backbone.config["model"]["init_args"]["backbone"]["init_args"]["name"] == "resnet18"


def test_the_backbone_is_one_of_the_same_dataset_and_recipe():
    for dataset in ("chair_v2", "swire", "embedded"):
        run = resolve(Settings(system="proposed", dataset=dataset, seed=1))
        assert run.backbone == resolve(Settings(system="b_siamese", dataset=dataset, seed=1))
        assert run.backbone.backbone is None
    assert resolve(Settings(system="proposed", dataset="chair_v2", recipe="paper")).backbone is None


def test_an_experiment_that_takes_over_one_cannot_be_taken_from(configs, write_config):
    third = write_config("third", model=system(), backbone_from=str(configs[1]))
    with pytest.raises(InputError, match="takes over a backbone itself"):
        located(third)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backbone_from": "nowhere.yaml"}, "nowhere.yaml"),
        ({"backbone_from": "nothing"}, "--dataset: there is no 'bad'"),
        ({"model": {"class_path": "fgsbir.systems.raw_pixels.RawPixels"}}, "nothing to train"),
    ],
    ids=["no file", "no experiment", "no backbone"],
)
def test_what_cannot_be_taken_over_is_one_line(changes, says, configs, write_config, capfd):
    config = write_config("bad", **{"model": system(), "backbone_from": str(configs[0])} | changes)
    status, shown = fit(config), capfd.readouterr()
    if "RawPixels" in str(changes):
        assert (status, says in shown.out) == (0, True)
    else:
        assert (status, says in shown.err.splitlines()[-1]) == (2, True)


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


def test_a_backbone_that_is_trained_on_the_way_changes_nothing(tmp_path, configs):
    """Training it before, or just before in the same process, gives the same weights."""
    first, second = configs
    assert fit(second, "--runs_dir", tmp_path / "at_once") == 0
    for config in (first, second):
        assert fit(config, "--runs_dir", tmp_path / "apart") == 0
    a, b = (RunFolder(next((tmp_path / name / "second").iterdir())) for name in ("at_once", "apart"))
    assert a.read_metrics() == b.read_metrics()
    assert all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())
