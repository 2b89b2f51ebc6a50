"""Sweep files: their grids, what W&B says of them, and that they are the tables of the paper."""

import csv
from pathlib import Path

import pytest
import yaml

from fgsbir.errors import InputError
from fgsbir.report.cells import DETAILS, REGIONS, experiment_of
from fgsbir.runs.config import Settings, resolve
from fgsbir.sweep.spec import arguments, load_sweep

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
PUBLISHED = ROOT / "fgsbir" / "report" / "published"


def published(table, column, dataset):
    with (PUBLISHED / f"{table}.csv").open() as file:
        return {row[column] for row in csv.DictReader(file) if row.get("dataset", dataset) == dataset}


def experiments(sweep, dataset="embedded"):
    return {f"{dataset}/{run['experiment']}" for run in load_sweep(ROOT / "sweeps" / f"{sweep}.yaml").runs}


def write(path, **config):
    path.write_text(yaml.safe_dump({"method": "grid", **config}, sort_keys=False))
    return path


def test_a_file_becomes_the_runs_that_one_would_write_by_hand(tmp_path):
    parameters = {
        "seed": {"values": [0, 1]},
        "experiment": {"values": ["proposed", "b_siamese"]},
        "trainer.max_epochs": {"value": 2},
        "data.source.root": {"value": "here"},
    }
    sweep = load_sweep(write(tmp_path / "s.yaml", parameters=parameters))
    assert sweep.name == "s"
    assert [arguments(run) for run in sweep.runs] == [
        ["--seed=0", "--experiment=proposed", "--trainer.max_epochs=2", "--data.source.root=here"],
        ["--seed=0", "--experiment=b_siamese", "--trainer.max_epochs=2", "--data.source.root=here"],
        ["--seed=1", "--experiment=proposed", "--trainer.max_epochs=2", "--data.source.root=here"],
        ["--seed=1", "--experiment=b_siamese", "--trainer.max_epochs=2", "--data.source.root=here"],
    ]


def test_overrides_take_the_place_of_values_and_equal_runs_are_one(tmp_path):
    parameters = {"seed": {"values": [0, 1]}, "dataset": {"value": "embedded"}, "experiment": {"value": "proposed"}}
    path = write(tmp_path / "s.yaml", parameters=parameters)
    overrides = {"dataset": ["chair_v2", "shoe_v2"], "seed": [5, 5], "trainer.devices": [2]}
    expected = [
        {"seed": 5, "dataset": dataset, "experiment": "proposed", "trainer.devices": 2}
        for dataset in ("chair_v2", "shoe_v2")
    ]
    assert load_sweep(path, overrides).runs == expected


def test_values_may_refer_to_each_other_and_the_command_is_left_to_wandb(tmp_path):
    parameters = {"experiment": {"value": "my/${parameters.dataset.value}.yaml"}, "dataset": {"value": "chairs"}}
    path = write(tmp_path / "s.yaml", parameters=parameters, command=["${program}", "run", "${args}"])
    sweep = load_sweep(path)
    assert sweep.runs == [{"experiment": "my/chairs.yaml", "dataset": "chairs"}]
    assert sweep.config["command"] == ["${program}", "run", "${args}"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "not a sweep"),
        ("a: [1", "not a sweep"),
        ("method: grid", "write 'parameters'"),
        ("method: bayes\nparameters: {experiment: {value: x}}", "method 'bayes' is not run here"),
        ("method: grid\nparameters: {seed: {value: 0}}", "no parameter 'experiment'"),
        ("method: grid\nparameters: {experiment: {values: []}}", "'experiment' has no values"),
        ("method: grid\nparameters: {experiment: {min: 1, max: 2}}", "'experiment' has no values"),
        ("method: grid\nparameters: {experiment: proposed}", "'experiment' has no values"),
        ("method: grid\nparameters: {experiment: {value: '${nothing}'}}", "nothing"),
    ],
)
def test_a_bad_file_is_one_clear_line(text, says, tmp_path):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_sweep(tmp_path / "s.yaml")
    assert str(error.value).startswith(f"{tmp_path / 's.yaml'}: ")
    assert says in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: No such file"):
        load_sweep(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_wandb_accepts_every_file_as_it_is(path):
    """By the schema of W&B's sweep engine, and as `wandb sweep` reads and sends it."""
    from wandb.apis.public.sweeps import _validate_config_and_fill_distribution
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    from sweeps import schema_violations_from_proposed_config

    config = load_sweep_config(str(path))
    assert schema_violations_from_proposed_config(config) == []
    assert (
        schema_violations_from_proposed_config({**config, "parameters": {"seed": {"vals": [0]}}}) != []
    )  # it does look
    assert _validate_config_and_fill_distribution(config)["parameters"].keys() == config["parameters"].keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_agent_of_wandb_runs_the_very_commands_of_a_launcher(path):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    sweep = load_sweep(path)
    assert sweep.config == yaml.safe_load(path.read_text())
    assert sweep.config["command"] == ["${program}", "run", "${args}"]
    for run in sweep.runs:
        command = {"args": {name: {"value": value} for name, value in run.items()}}
        assert create_sweep_command_args(command)["args"] == arguments(run)


@pytest.mark.parametrize("recipe", ["modern", "paper"])
@pytest.mark.parametrize("dataset", ["embedded", "chair_v2", "shoe_v2", "swire"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_experiment_that_a_sweep_names_exists(path, dataset, recipe):
    for run in load_sweep(path, {"dataset": [dataset], "recipe": [recipe]}).runs:
        assert resolve(Settings.of(list(run.items()))) == resolve(Settings.parse(arguments(run)))


def test_without_overrides_sweeps_run_on_the_embedded_dataset_with_two_seeds():
    for path in FILES:
        sweep = load_sweep(path)
        assert {run["dataset"] for run in sweep.runs} == {"embedded"}
        assert {run["recipe"] for run in sweep.runs} == {"modern"}
        assert {run["seed"] for run in sweep.runs} == ({0, 1, 2, 3, 4} if path.stem == "seeds" else {0, 1})
        assert sweep.name == path.stem


def test_sweeps_are_the_tables_of_the_paper():
    def rows(table, dataset):
        return published(table, "system", dataset)

    ablation = {experiment_of(row, "Embedded") for row in rows("table2_ablation_acc1", "ChairV2")}
    ablation |= {experiment_of(row, "Embedded") for row in rows("table2_ablation_acc1", "SWIRE")}
    assert experiments("ablation") == ablation
    comparison = set()
    for dataset in ("ChairV2", "ShoeV2", "SWIRE"):
        comparison |= {experiment_of(row, "Embedded") for row in rows("table1_comparison", dataset)}
    assert experiments("comparison") == comparison
    detail = {experiment_of(row, "Embedded", d) for row in rows("table3_detail_acc10", "ChairV2") for d in DETAILS}
    assert experiments("detail") == detail
    assert experiments("regions") == {experiment_of("Proposed", "Embedded", regions=k) for k in REGIONS}


def test_null_stays_null_on_the_command_line():
    assert arguments({"experiment": "proposed", "backbone_from": None}) == [
        "--experiment=proposed",
        "--backbone_from=null",
    ]
