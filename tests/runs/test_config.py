"""From settings to a resolved run: compositions, options, defaults and folders, without torch."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from tiny import TINY

from fgsbir.errors import InputError
from fgsbir.runs.config import ResolvedRun, Settings, assign, resolve
from fgsbir.runs.defaults import MISSING, Default, arguments, find_class
from fgsbir.runs.experiments import load_experiment, merged

ROOT = Path(__file__).parents[2] / "experiments"


def resolved(words="", **settings):
    return resolve(Settings.of([*(pair.split("=", 1) for pair in words.split()), *settings.items()]))


def test_a_composition_is_the_very_run_of_the_files_that_it_stands_for(tmp_path):
    for name, recipe in (("proposed", "paper"), ("triplet_sn", "modern")):
        files = (ROOT / "systems" / recipe / f"{name}.yaml", ROOT / "datasets" / "chair_v2.yaml")
        suffix = "_paper" if recipe == "paper" else ""
        by_hand = resolve(Settings(files=files, experiment=f"chair_v2/{name}{suffix}"))
        assert resolved(f"system={name} dataset=chair_v2 recipe={recipe}") == by_hand
        assert resolved(f"experiment=chair_v2/{name} recipe={recipe}") == by_hand
        assert resolved(f"experiment={name} dataset=chair_v2 recipe={recipe}") == by_hand


def test_a_name_may_end_in_a_variant(tmp_path):
    assert resolved("experiment=swire/proposed_k20") == resolved("system=proposed dataset=swire variant=k20")
    k20 = resolved("experiment=swire/proposed_k20").config["data"]
    assert k20["rendering"]["num_regions"] == k20["regions"]["init_args"]["top_k"] == 20
    assert k20["regions"]["class_path"].endswith("ViewHierarchy")  # as the dataset says
    assert (
        resolved("experiment=chair_v2/proposed_k20").config["data"]["regions"]["class_path"].endswith("SelectiveSearch")
    )
    plain = resolved("experiment=chair_v2/sketchbert_variant_fixed")  # a system of that name, no variant
    assert plain.config["experiment"] == "chair_v2/sketchbert_variant_fixed"


def test_coarse_variants_share_the_training_of_the_full_one():
    for recipe, suffix in (("modern", ""), ("paper", "_paper")):
        for variant in ("coarse", "coarse_plus"):
            run = resolved(f"experiment=chair_v2/proposed_{variant} recipe={recipe} seed=3")
            assert run.folder.path.parent == Path("runs/chair_v2") / f"proposed_{variant}{suffix}"
            assert run.trained == resolved(f"experiment=chair_v2/proposed recipe={recipe} seed=3")
    assert resolved("experiment=chair_v2/proposed_k8").training is None


def test_files_that_say_more_are_found_by_their_name():
    assert resolved("system=b_gated_siamese").config["model"]["init_args"]["columns"] == 4
    # Settings of a model belong to its recipe: the file is one of the modern recipe.
    assert resolved("system=b_gated_siamese recipe=paper").config["model"]["init_args"]["columns"] == 17
    frozen = resolved("experiment=embedded/b_siamese_frozen").config
    assert frozen["model"]["init_args"]["backbone"]["init_args"]["frozen_levels"] == 5
    assert resolved("system=raw_pixels").config["recipe"] == "none"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("system=proposed dataset=chairs", "--dataset: there is no 'chairs'"),
        ("system=propose dataset=chair_v2", "experiment 'chair_v2/propose': there is none"),
        ("experiment=chair_v2/_nodes", "experiment 'chair_v2/_nodes': there is none"),
        ("system=proposed recipe=secret", "--recipe: there is no 'secret'"),
        ("system=proposed variant=k9", "--variant: there is no 'k9'"),
        ("dataset=chair_v2", "--system: no system is named"),
        ("", "--system: no system is named"),
        (
            "experiment=chair_v2/proposed dataset=shoe_v2",
            "--dataset: chair_v2/proposed is an experiment",
        ),
        ("system=proposed seed=one", "--seed: 'one' is not a whole number"),
        ("system=proposed model.nodess.dim=3", "model.nodess: Proposed has no such setting; use nodes"),
        ("system=b_siamese model.backbone.levels=3", "model.backbone.levels: Backbone has no such setting"),
        ("system=b_siamese data.rendering.size=3", "data.rendering.size: Rendering has no such setting"),
        ("system=b_siamese trainer.max_epoch=3", "trainer.max_epoch: Trainer has no such setting; use max_epochs"),
        ("system=b_siamese trainr.max_epochs=3", "trainr: no such setting; use trainer"),
        ("system=b_siamese wandb.mdoe=online", "wandb.mdoe: WandbOptions has no such setting; use mode"),
        ("system=b_siamese data.seed=4", "data.seed: the data has the seed of the run, 0; use --seed"),
        ("system=b_siamese model=null", "model: no system is named"),
        ("system=b_siamese trainer.precision=bf16-true", "would rank photos by rounded distances"),
        ("system=b_siamese experiment=../x", "leads out of the runs folder"),
    ],
)
def test_what_is_wrong_is_one_line(words, says):
    with pytest.raises(InputError) as error:
        resolved(words)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["proposed"], "'proposed': it is no option"), (["--system"], "--system: it has no value"), (["--"], "no option")],
)
def test_argv_that_is_no_list_of_options_is_refused(argv, says):
    with pytest.raises(InputError, match=says):
        Settings.parse(argv)


def test_the_name_of_a_folder_is_that_of_an_experiment():
    """Names of tables and folders, with their recipe, can be run."""
    for name, words in (
        ("chair_v2/b_siamese_paper", "system=b_siamese recipe=paper"),
        ("chair_v2/proposed_coarse_plus_paper", "system=proposed recipe=paper variant=coarse_plus"),
        ("chair_v2/sketchbert_variant", "system=sketchbert_variant"),
    ):
        run = resolved(f"experiment={name}")
        assert run == resolved(f"dataset=chair_v2 {words}")
        assert run.config["experiment"] == name


def test_a_folder_of_another_name_changes_neither_dataset_nor_backbone():
    mine = resolved("system=proposed dataset=swire experiment=chair_v2/mine")
    assert mine.folder.path.parent == Path("runs/chair_v2/mine")
    assert mine.backbone == resolved("system=b_siamese dataset=swire")


def test_text_stays_text_and_dates_are_text():
    run = resolved("system=b_siamese dataset=chair_v2 runs_dir=2024 wandb.group=7 wandb.project=true")
    assert run.folder.path.parts[0] == "2024"
    assert run.config["wandb"] == {"group": "7", "project": "true"}
    values = dict(Settings.parse(["--x", "2024-05-01"]).values)
    assert values == {"x": "2024-05-01"}


def test_empty_keys_of_a_file_are_no_settings(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\ntrainer:\ndata:\n")
    (tmp_path / "b.yaml").write_text("base:\nmodel: {class_path: RawPixels}\n")
    assert resolve(Settings(files=(tmp_path / "a.yaml",))).config["trainer"] == {}


def test_a_default_of_the_trainer_spelt_out_names_the_same_run():
    plain = resolved("system=b_siamese dataset=chair_v2")
    words = "trainer.fast_dev_run=false trainer.max_steps=-1 trainer.benchmark=null optimizer=null"
    assert resolved(f"system=b_siamese dataset=chair_v2 {words}") == plain
    assert resolved("system=b_siamese dataset=chair_v2 trainer.max_steps=5").hash != plain.hash


def test_a_class_by_another_path_keeps_its_arguments():
    plain = resolved("system=proposed dataset=chair_v2")
    assert resolved("system=proposed dataset=chair_v2 model=fgsbir.systems.Proposed") == plain
    assert resolved("system=proposed dataset=chair_v2 model=Proposed") == plain


def test_options_come_with_a_space_or_an_equals_sign():
    spaced = Settings.parse(["--config", "a.yaml", "-c", "b.yaml", "--seed", "3", "--data.batch_size", "8"])
    assert spaced == Settings.parse(["--config=a.yaml", "-c=b.yaml", "--seed_everything=3", "--data.batch_size=8"])
    assert spaced == Settings(files=(Path("a.yaml"), Path("b.yaml")), seed=3, values=(("data.batch_size", 8),))
    assert Settings.parse(["--experiment", "my/own.yaml"]).files == (Path("my/own.yaml"),)
    assert dict(Settings.parse(["--a=null", "--b", "-1", "--f=x=y", "--d=[1, 2]", "--e=a: b: c"]).values) == {
        **{"a": None, "b": -1, "f": "x=y", "d": [1, 2]},
        "e": "a: b: c",
    }


def test_a_file_has_no_other_dataset(tmp_path):
    (tmp_path / "own.yaml").write_text("model: {class_path: RawPixels}")
    with pytest.raises(InputError, match=r"--dataset: .*own\.yaml is a file, which has its own"):
        resolve(Settings(files=(tmp_path / "own.yaml",), dataset="chair_v2"))


def test_assign_follows_classes_lists_and_plus_signs():
    config = {"model": {"class_path": "A", "init_args": {"net": {"class_path": "B"}, "x": 1}}, "trainer": {}}
    assign(config, "model.x", 2)
    assign(config, "model.init_args.net.depth", 3)
    assign(config, "model.net.init_args.width", 4)
    assign(config, "trainer.callbacks+", "C")
    assign(config, "trainer.callbacks.y", 5)
    assign(config, "trainer.callbacks+", [{"class_path": "D"}])
    assign(config, "trainer.logger", "E")
    assign(config, "trainer.logger.name", "z")
    assign(config, "wandb.tags+", "night")
    assert config["model"]["init_args"] == {
        "x": 2,
        "net": {"class_path": "B", "init_args": {"depth": 3, "width": 4}},
    }
    first, second = config["trainer"]["callbacks"]
    assert (first, second) == ({"class_path": "C", "init_args": {"y": 5}}, {"class_path": "D"})
    assert config["trainer"]["logger"] == {"class_path": "E", "init_args": {"name": "z"}}
    assert config["wandb"]["tags"] == ["night"]
    assign(config, "trainer.logger+", "G")
    assert [logger["class_path"] for logger in config["trainer"]["logger"]] == ["E", "G"]
    assign(config, "model", "F")  # another class takes none of the arguments
    assert config["model"] == {"class_path": "F"}
    assign(config, "model.init_args", {"a": 1})
    assign(config, "model.b", 2)
    assert config["model"]["init_args"] == {"a": 1, "b": 2}
    assert merged({"a": {"b": 1}}, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}


def spelt(config):
    """Every configuration that shipped experiments have, as classes with their arguments."""
    if isinstance(config, dict):
        if "class_path" in config:
            yield config["class_path"]
        for value in config.values():
            yield from spelt(value)
    elif isinstance(config, list):
        for value in config:
            yield from spelt(value)


CLASSES = sorted(
    {path for file in ROOT.rglob("*.yaml") for path in spelt(load_experiment(file))}
    | {"fgsbir.data.datamodule.SketchPhotoDataModule", "fgsbir.data.datasets.Folder", "SelectiveSearch", "Proposed"}
)


@pytest.mark.parametrize("path", CLASSES)
def test_defaults_read_from_the_source_are_those_of_the_class(path):
    """Compared with what Python says of the imported class."""
    source = find_class(path)
    module, _, name = source.path.rpartition(".")
    kind = getattr(import_module(module), name)
    known, takes_more = arguments(source)
    parameters = dict(list(inspect.signature(kind).parameters.items()))
    assert takes_more == any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert list(known) == [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    for name, default in known.items():
        true = parameters[name].default
        if isinstance(default, Default):
            assert type(true).__name__ == default.source.node.name
        elif default is MISSING:
            assert true is inspect.Parameter.empty
        else:
            assert default == (list(true) if isinstance(true, tuple) else true)


def test_a_default_spelt_out_names_the_same_run_and_another_value_another():
    plain = resolved("system=b_siamese dataset=chair_v2")
    spelt_out = "data.rendering.line_width=2 model.loss.label_smoothing=1e-1"
    assert resolved(f"system=b_siamese dataset=chair_v2 {spelt_out}").hash == plain.hash
    short = resolved("system=b_siamese dataset=chair_v2 data.source=ChairV2 model.loss=InfoNCELoss")
    assert short.config["data"] == plain.config["data"]
    assert short.hash == plain.hash  # a class by another name keeps its arguments
    assert resolved("system=b_siamese dataset=chair_v2 data.rendering.line_width=3").hash != plain.hash


def test_paths_devices_workers_and_seeds_leave_the_hash_alone():
    plain = resolved("system=b_siamese dataset=chair_v2")
    for words in ("data.source.root=elsewhere", "trainer.devices=2", "data.num_workers=7", "seed=4", "runs_dir=there"):
        other = resolved(f"system=b_siamese dataset=chair_v2 {words}")
        assert other.hash == plain.hash
    assert other.folder.path == Path("there/chair_v2/b_siamese") / f"{plain.hash}-s0"


def test_a_full_configuration_names_the_same_run(tmp_path):
    """So a run folder's config.yaml, and the file of a Slurm job, are all that it takes to go on."""
    for words in ("system=proposed dataset=chair_v2 trainer.max_epochs=2 seed=5", "experiment=swire/proposed_coarse"):
        run = resolved(words)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(run.config))
        assert resolve(Settings(files=(tmp_path / "config.yaml",))) == run
        assert ResolvedRun.of(run.config) == run


def test_bases_are_merged_and_another_class_takes_no_arguments(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "base.yaml").write_text("a: {x: 1, y: 2}\nloss: {class_path: A, init_args: {margin: 1}}\n")
    (tmp_path / "deep" / "top.yaml").write_text("base: [../base.yaml]\na: {y: 3}\nloss: {class_path: B}\n")
    assert load_experiment(tmp_path / "deep" / "top.yaml") == {"a": {"x": 1, "y": 3}, "loss": {"class_path": "B"}}
    (tmp_path / "base.yaml").write_text("a: {x: 5}\n")  # read anew
    assert load_experiment(tmp_path / "deep" / "top.yaml")["a"] == {"x": 5, "y": 3}


def test_a_class_of_the_user_is_read_from_its_own_module(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Mine(torch.nn.Module):\n    def __init__(self, depth=3): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = {**TINY, "model": {"class_path": "mine.Mine"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    run = resolve(Settings(files=(tmp_path / "own.yaml",)))
    assert run.config["model"] == {"class_path": "mine.Mine", "init_args": {"depth": 3}}
    with pytest.raises(InputError, match=r"model\.width: Mine has no such setting"):
        resolve(Settings(files=(tmp_path / "own.yaml",), values=(("model.width", 3),)))


def test_a_run_is_resolved_without_torch():
    code = "import sys; from fgsbir.runs.config import Settings, resolve; from fgsbir.sweep.plan import make_plan; "
    code += "resolve(Settings.parse(sys.argv[1:])); sys.exit('torch' in sys.modules)"
    words = ["--system", "proposed", "--dataset", "chair_v2"]
    assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == 0
