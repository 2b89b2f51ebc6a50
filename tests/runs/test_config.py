"""Experiments that no file has: the options that combine a system, a recipe and a dataset."""

import shutil
from pathlib import Path

import pytest

from fgsbir.errors import InputError
from fgsbir.runs.config import experiment_words
from fgsbir.runs.training import locate

ROOT = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def experiments(tmp_path):
    shutil.copytree(ROOT, tmp_path / "experiments")
    return tmp_path / "experiments"


def located(experiments, dataset, name, recipe="modern"):
    run, training = locate(experiment_words(experiments, dataset, name, recipe))
    return run.path, training.path


@pytest.mark.parametrize(
    ("dataset", "name", "recipe"),
    [("chair_v2", "proposed", "paper"), ("chair_v2", "triplet_sn", "paper"), ("shoe_v2", "b_siamese", "modern")],
)
def test_a_combination_is_the_very_run_of_the_file_that_it_stands_for(dataset, name, recipe, experiments):
    file = experiments / dataset / f"{name}{'' if recipe == 'modern' else '_paper'}.yaml"
    assert experiment_words(experiments, dataset, name, recipe) == ["--config", str(file)]
    from_file = located(experiments, dataset, name, recipe)
    file.unlink()
    assert len(experiment_words(experiments, dataset, name, recipe)) > 2
    assert located(experiments, dataset, name, recipe) == from_file


def test_a_combination_repeats_what_the_experiment_changes_in_data(experiments):
    """Compared with a file that says it all."""
    text = "base: [../_systems/proposed_paper.yaml, _data.yaml]\nexperiment: shoe_v2/proposed_k20_paper\ndata:\n"
    text += "  rendering: {num_regions: 20}\n  regions:\n"
    text += "    {class_path: fgsbir.regions.selective_search.SelectiveSearch, init_args: {top_k: 20}}\n"
    combined = located(experiments, "shoe_v2", "proposed_k20", "paper")
    (experiments / "shoe_v2" / "proposed_k20_paper.yaml").write_text(text)
    assert located(experiments, "shoe_v2", "proposed_k20", "paper") == combined


def test_a_combination_is_trained_as_another_in_the_same_recipe(experiments):
    _, training = located(experiments, "chair_v2", "proposed_coarse", "paper")
    assert training == located(experiments, "chair_v2", "proposed", "paper")[0]
    _, training = located(experiments, "swire", "b_siamese_coarse_plus")
    assert training == located(experiments, "swire", "b_siamese")[0]


def test_settings_of_a_model_belong_to_its_recipe(experiments):
    """The modern file sets the columns of the modern backbone."""
    assert "--model.init_args.columns" not in experiment_words(experiments, "embedded", "b_gated_siamese", "paper")


@pytest.mark.parametrize(
    ("dataset", "name", "recipe", "says"),
    [
        ("chairs", "proposed", "modern", "chairs: no dataset of that name"),
        ("chair_v2", "propose", "modern", "chair_v2/propose.yaml: no such experiment"),
        ("chair_v1", "proposed_k8", "modern", "chair_v1/proposed_k8.yaml: no such experiment"),
        ("chair_v2", "proposed", "secret", "chair_v2/proposed_secret.yaml: no such experiment"),
    ],
)
def test_what_cannot_be_combined_is_named(dataset, name, recipe, says):
    with pytest.raises(InputError) as error:
        experiment_words(ROOT, dataset, name, recipe)
    assert says in str(error.value)
