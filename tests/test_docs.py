"""What the pages of docs/systems and experiments/README.md say of code, configurations and results."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from fgsbir.cli import main
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.transforms import Augmentation
from fgsbir.models.backbone import Backbone
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.report.cells import DATASETS, experiment_of
from fgsbir.report.docs_tables import refreshed
from fgsbir.report.paper import published
from fgsbir.runs.config import load_experiment
from fgsbir.runs.table import read_runs_csv
from fgsbir.systems import SYSTEMS
from fgsbir.systems.base import Optimisation

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "systems"
NAMES = [name for name in SYSTEMS if name != "raw_pixels"]
"""Raw pixels learn nothing and are a line of the index."""
PARTS = {
    "optimisation": Optimisation,
    "data": SketchPhotoDataModule,
    "data.rendering": Rendering,
    "data.augmentation": Augmentation,
    "backbone": Backbone,
    "strokes": StrokeTransformer,
}
"""Classes of the groups of settings, where a configuration does not name them."""


def flat(config, group=""):
    """Settings by their dotted names, without `init_args`; a class stands under the name of its group."""
    settings = {}
    for key, value in config.items():
        name = f"{group}.{key}" if group else key
        if isinstance(value, dict):
            settings |= flat(value, group if key == "init_args" else name)
        else:
            settings[group if key == "class_path" else name] = value
    return settings


def recipe(path):
    """The settings of a recipe that a system may change, by their names on the command line less `model.`"""
    config = load_experiment(ROOT / "experiments" / path)
    config["trainer"].pop("callbacks", None)
    model = config.pop("model")
    return flat({key: config[key] for key in ("data", "trainer")}) | flat(model["init_args"])


def kind(group, settings):
    """The class of a group of settings."""
    if group not in settings:
        return PARTS.get(group)
    module, _, name = settings[group].rpartition(".")
    return getattr(import_module(module), name)


def meaning(group_class, name):
    """What the docstring of a class says of one of its arguments, up to its first stop."""
    for base in inspect.getmro(group_class):
        arguments = (inspect.getdoc(base) or "").partition("Args:\n")[2]
        if text := re.search(rf"^    {name}: (.*(?:\n     .*)*)", arguments, re.MULTILINE):
            return re.split(r"(?<=\w)\.(?=\s|$)", " ".join(text[1].split()))[0].removesuffix(".").replace("|", "\\|")
    return ""


def shown(value):
    """A value as it is printed: classes by their short names."""
    if value is inspect.Parameter.empty:
        return "–"
    if isinstance(value, str) and value.startswith("fgsbir."):
        return f"`{value.rpartition('.')[2]}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    words = {True: "true", False: "false", None: "null"}
    return f"`{words.get(value, value) if isinstance(value, bool | None) else value}`"


def settings_table(name):
    """All settings of a system, and those beyond in which its recipes differ from those of `_base`."""
    system, recipes = SYSTEMS[name], []
    own = [key for key in inspect.signature(system).parameters if key not in ("backbone", "loss", "optimisation")]
    changed = []
    for suffix, base in (("", "modern"), ("_paper", "paper")):
        settings, common = recipe(f"_systems/{name}{suffix}.yaml"), recipe(f"_base/{base}.yaml")
        recipes.append(settings)
        for key in settings:
            group = key.rpartition(".")[0]
            other_class = settings.get(group) != common.get(group)
            if key not in own and (other_class or settings[key] != common.get(key, ...)):
                changed.append(key)
    lines = ["| Setting | Default | Modern recipe | Paper recipe | Meaning |", "| --- | --- | --- | --- | --- |"]
    for key in [*own, *sorted(set(changed))]:
        group, _, last = key.rpartition(".")
        kinds = [kind(group, settings) if group else system for settings in recipes]
        known = [inspect.signature(k).parameters if k else {} for k in kinds]
        default = next((p[last].default for p in known if last in p), inspect.Parameter.empty)
        values = [
            settings.get(key, parameters[last].default if last in parameters else inspect.Parameter.empty)
            for settings, parameters in zip(recipes, known, strict=True)
        ]
        text = next((meaning(k, last) for k, p in zip(kinds, known, strict=True) if last in p), "")
        lines.append(f"| `{key}` | {' | '.join(map(shown, [default, *values]))} | {text} |")
    return "\n".join(lines) + "\n"


def recipes_table():
    """What the two recipes of `_base` set."""
    both = [recipe(f"_base/{name}.yaml") for name in ("modern", "paper")]
    lines = ["| Setting | Modern recipe | Paper recipe |", "| --- | --- | --- |"]
    for key in sorted({key for settings in both for key in settings}):
        values = [shown(settings.get(key, inspect.Parameter.empty)) for settings in both]
        lines.append(f"| `{key}` | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def page(name):
    return (PAGES / f"{name}.md").read_text("utf-8")


def named_experiments():
    """The experiments that experiments/README.md links to, by what its links say."""
    text = (ROOT / "experiments" / "README.md").read_text("utf-8")
    links = re.findall(r"\[(\w+/\w+)\]\((\w+/\w+)\.yaml\)", text)
    assert [said for said, file in links if said != file] == []
    return {file for _, file in links}


def test_every_system_has_a_page_and_a_line_in_the_index():
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted([*NAMES, "README"])
    index = page("README")
    lines = [line.split(" | ") for line in index.splitlines() if line.startswith("| ")]
    rows = {line[0].removeprefix("| "): line[-1].removesuffix(" |") for line in lines if len(line) == 6}
    assert {SYSTEMS[name].name: f"[{name}]({name}.md)" for name in NAMES}.items() <= rows.items()
    assert rows.keys() == {system.name for system in SYSTEMS.values()} | {"System", "---"}


@pytest.mark.parametrize("name", NAMES)
def test_page_has_all_its_parts(name):
    text = page(name)
    assert text.startswith(f"# {SYSTEMS[name].name}\n")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts == ["Equations", "Settings", "Deviations", "Run", "Variants", "Results"]
    assert text.count("$$") % 2 == 0
    assert text.count("$$") >= 2
    for recipe_name in ("", "_paper"):
        assert f"fgsbir fit --config experiments/chair_v2/{name}{recipe_name}.yaml " in text


@pytest.mark.parametrize("name", NAMES)
def test_page_shows_the_settings_of_code_and_recipes(name):
    assert settings_table(name) in page(name)


def test_index_shows_the_common_recipes():
    assert recipes_table() in page("README")


def test_a_table_of_settings_notices_a_change(monkeypatch):
    before = settings_table("b_siamese")
    assert "| `dim` | `64` | `null` | `64` | size of a linear embedding" in before
    assert "| `data.batch_size` | `32` | `32` | `12` | pairs a training step |" in before
    monkeypatch.setattr(SYSTEMS["b_siamese"].__init__, "__defaults__", ("mean", 65, None, Optimisation()))
    assert "| `dim` | `65` | `null` | `64` |" in settings_table("b_siamese")


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_committed_table(name):
    text = page(name)
    assert f"<!-- results: {SYSTEMS[name].name} -->" in text
    rows = read_runs_csv(ROOT / "results" / "runs.csv")
    assert refreshed(PAGES / f"{name}.md", text, rows) == text, "run: fgsbir results --docs docs"


def test_experiments_readme_names_what_there_is():
    files = {
        path.relative_to(ROOT / "experiments").with_suffix("").as_posix()
        for path in (ROOT / "experiments").glob("*/*.yaml")
        if not path.name.startswith("_") and not path.parent.name.startswith("_")
    }
    assert named_experiments() == files


def test_experiments_readme_names_the_experiment_of_every_cell():
    assert len(published()) == 41
    assert published().keys() <= named_experiments()


@pytest.mark.parametrize("line", ["| Sketch-coarse++ |", "| w/o Hierarchy |", "| Explicit Hierarchy |", "| SWIRE |"])
def test_experiments_readme_puts_cells_where_the_paper_does(line):
    """Links in italics have no published figure, the others have one."""
    (text,) = [x for x in (ROOT / "experiments" / "README.md").read_text("utf-8").splitlines() if x.startswith(line)]
    cells = [cell.strip() for cell in text.split("|")[2:-1]]
    method = line.strip("| ")
    assert len(cells) == len(DATASETS)
    for cell, dataset in zip(cells, DATASETS, strict=True):
        experiment = experiment_of(method, dataset)
        link = f"[{experiment}]({experiment}.yaml)"
        assert cell == (link if experiment in published() else f"*{link}*")


@pytest.mark.parametrize(
    ("files", "experiment"),
    [
        (["_systems/proposed_paper.yaml", "chair_v2/_data.yaml"], "chair_v2/proposed_paper"),
        (["_systems/swire.yaml", "swire/_data.yaml"], "swire/swire"),
        (["_systems/triplet_sn.yaml", "embedded/_data.yaml", "embedded/_small.yaml"], "embedded/triplet_sn"),
    ],
)
def test_several_configurations_are_merged_as_an_experiment_file_does(files, experiment, capsys):
    def resolved(configs, *words):
        named = [word for config in configs for word in ("--config", str(ROOT / "experiments" / config))]
        with pytest.raises(SystemExit):
            main(["fit", *named, *words, "--print_config"])
        return yaml.safe_load(capsys.readouterr().out)

    merged = resolved(files, "--experiment", experiment)
    assert merged == resolved([f"{experiment}.yaml"])
    assert merged["experiment"] == experiment


def write_tables():
    """Writes all tables of settings anew, for whoever changed a default or a recipe."""
    table = re.compile(r"^\| Setting \|.*\n(?:\|.*\n)+", re.MULTILINE)
    for name in (*NAMES, "README"):
        new = recipes_table() if name == "README" else settings_table(name)
        text, count = table.subn(lambda _, new=new: new, page(name))
        assert count == 1, name
        (PAGES / f"{name}.md").write_text(text, "utf-8")


if __name__ == "__main__":
    write_tables()
