"""What the documentation says of code, configurations and results, and that its site holds together."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from docs.site_hooks import LINK, REPOSITORY, moved_link
from fgsbir import cli
from fgsbir.errors import InputError
from fgsbir.report import docs_settings
from fgsbir.report.cells import DATASETS, DETAILS, PAPER_ROWS, REGIONS, experiment_of, stem_of
from fgsbir.report.docs_settings import recipes_table, refresh_settings, refreshed_settings, system_table
from fgsbir.report.docs_tables import refreshed
from fgsbir.report.paper import published
from fgsbir.runs.table import read_runs_csv
from fgsbir.systems import SYSTEMS
from fgsbir.systems.base import Optimisation

ROOT = Path(__file__).parents[1]
DOCS, PAGES, EXPERIMENTS = ROOT / "docs", ROOT / "docs" / "systems", ROOT / "experiments"
NAMES = [name for name in SYSTEMS if name != "raw_pixels"]
"""Raw pixels learn nothing and are a line of the index."""
STALE = "run: fgsbir results --docs docs"


def read(path):
    return path.read_text("utf-8")


def page(name):
    return read(PAGES / f"{name}.md")


def table_under(title, text):
    """The rows of the first table below a heading, by their first cell."""
    lines = text.partition(f"\n### {title}\n")[2].partition("\n#")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}, rows[0]


def test_pages_that_code_names_are_there():
    named = {
        (page, path) for path in (ROOT / "fgsbir").rglob("*.py") for page in re.findall(r"docs/[\w/-]+\.md", read(path))
    }
    assert len(named) > 4
    assert [f"{path}: {page}" for page, path in named if not (ROOT / page).exists()] == []


# Systems


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
    assert parts == ["Run", "Equations", "Settings", "Deviations", "Variants", "Results"]
    assert text.count("$$") % 2 == 0
    assert text.count("$$") >= 2
    for recipe in ("", " --recipe paper"):
        assert re.search(rf"^fgsbir run --system {name} --dataset chair_v2{recipe} +#", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: str(path.relative_to(DOCS)))
def test_page_shows_the_settings_of_code_and_recipes(path):
    assert refreshed_settings(path, read(path), EXPERIMENTS) == read(path), STALE


def test_every_page_that_owes_a_table_of_settings_has_it():
    for name in (*NAMES, "README"):
        assert f"<!-- settings: {'recipes' if name == 'README' else name} -->\n| Setting |" in page(name)
    assert recipes_table(EXPERIMENTS) in page("README")


def test_a_table_of_settings_notices_a_change(monkeypatch):
    before = system_table("b_siamese", EXPERIMENTS)
    assert re.search(r"^\| `dim` \| `64` \| `null` \| `64` \| \w", before, re.MULTILINE)
    assert re.search(r"^\| `data.batch_size` \| `32` \| `32` \| `12` \| \w", before, re.MULTILINE)
    monkeypatch.setattr(SYSTEMS["b_siamese"].__init__, "__defaults__", ("mean", 65, None, Optimisation()))
    assert "| `dim` | `65` | `null` | `64` |" in system_table("b_siamese", EXPERIMENTS)


def test_settings_in_a_dataclass_are_shown_one_by_one(monkeypatch, tmp_path):
    @dataclass(frozen=True)
    class Nodes:
        """Nodes.

        Args:
            dim: Size of a node. More is slower.
            gate: Kind of gate.
        """

        dim: int = 512
        gate: str = "concat"

    class Grouped:
        def __init__(self, nodes: Nodes = Nodes(), columns: int = 3) -> None:
            """Nothing."""

    monkeypatch.setitem(docs_settings.SYSTEMS, "grouped", Grouped)
    for recipe, dim in (("modern", 128), ("paper", 512)):
        files = tmp_path / "recipes" / f"{recipe}.yaml", tmp_path / "systems" / recipe / "grouped.yaml"
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
        files[0].write_text("trainer: {max_epochs: 8}\n")
        model = {"class_path": "my.Grouped", "init_args": {"nodes": {"dim": dim}}}
        files[1].write_text(yaml.safe_dump({"base": [f"../../recipes/{recipe}.yaml"], "model": model}))
    rows = system_table("grouped", tmp_path).splitlines()[2:]
    assert rows == [
        "| `nodes.dim` | `512` | `128` | `512` | Size of a node |",
        "| `nodes.gate` | `concat` | `concat` | `concat` | Kind of gate |",
        "| `columns` | `3` | `3` | `3` |  |",
    ]


def test_refreshing_settings_changes_only_what_is_stale_between_markers(tmp_path):
    docs, table = tmp_path / "docs", recipes_table(EXPERIMENTS)
    (docs / "deep").mkdir(parents=True)
    (docs / "a.md").write_text("Before.\n<!-- settings: recipes -->\nold\n<!-- /settings -->\nAfter.\n")
    (docs / "deep" / "b.md").write_text("No table.\n")
    refresh_settings(docs, EXPERIMENTS)
    fresh = f"Before.\n<!-- settings: recipes -->\n{table}<!-- /settings -->\nAfter.\n"
    assert (docs / "a.md").read_text() == fresh
    assert (docs / "deep" / "b.md").read_text() == "No table.\n"
    (docs / "c.md").write_text("<!-- settings: resipes -->\n<!-- /settings -->\n")
    (docs / "a.md").write_text(fresh.replace("Setting", "old"))
    with pytest.raises(InputError, match=r"c\.md.*'resipes'"):
        refresh_settings(docs, EXPERIMENTS)
    assert "old" in (docs / "a.md").read_text()  # all pages or none


# Results


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_committed_table(name):
    text = page(name)
    assert f"<!-- results: {SYSTEMS[name].name} -->" in text
    rows = read_runs_csv(ROOT / "results" / "runs.csv")
    assert refreshed(PAGES / f"{name}.md", text, rows) == text, STALE


@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "results.md"], ids=["README", "results"])
def test_tables_are_those_of_the_committed_report(path):
    blocks = re.findall(r"<!-- table: ([\w/+-]+) -->\n(.*?)<!-- /table -->", read(path), re.DOTALL)
    assert blocks
    for name, table in blocks:
        assert table == read(ROOT / "results" / "report" / "tables" / f"{name}.md"), STALE


# Experiments


def test_experiments_readme_names_every_file():
    text = read(EXPERIMENTS / "README.md")
    linked = set(re.findall(r"\]\(([\w/]+\.yaml)\)", text))
    files = {path.relative_to(EXPERIMENTS).as_posix() for path in EXPERIMENTS.rglob("*.yaml")}
    assert linked == {file for file in files if not file.startswith("systems/")}
    for said, file in re.findall(r"\[([\w/]+)\]\(([\w/]+)\.yaml\)", text):
        assert file.endswith(said)


def test_experiments_readme_puts_cells_where_the_paper_does():
    """A name in each row, and a mark where the paper has a score."""
    text, datasets, seen = read(EXPERIMENTS / "README.md"), ["ChairV2", "ShoeV2", "SWIRE"], set()
    rows = {(method, "full", 16): ("Table 1: comparison", method) for method in list(PAPER_ROWS)[:10]}
    ablation = ("Explicit Hierarchy", "w/o Localised-Coattn", "w/o Hierarchy", "Sketch-coarse", "Sketch-coarse++")
    rows |= {(method, "full", 16): ("Table 2: ablation", method) for method in ablation}
    for method in ("B-Siamese", "Proposed"):
        rows |= {(method, d, 16): ("Table 3: less detail", f"{method}, {d}") for d in ("coarse", "coarse++")}
    rows |= {("Proposed", "full", k): ("Region figure", str(k)) for k in REGIONS if k != 16}
    for (method, detail, regions), (title, label) in rows.items():
        table, header = table_under(title, text)
        assert header[2:] == datasets
        name, *marks = table[label]
        assert name == f"`{stem_of(method, detail, regions)}`"
        cells = [experiment_of(method, dataset, detail, regions) for dataset in datasets]
        assert marks == ["✓" if cell in published() else "" for cell in cells]
        seen |= {cell for cell, mark in zip(cells, marks, strict=True) if mark}
    assert len(published()) == 41
    assert seen == published().keys()
    for title, labels in {
        "Table 2: ablation": ["Proposed"],
        "Table 3: less detail": [f"{method}, {d}" for method in ("B-Siamese", "Proposed") for d in DETAILS],
        "Region figure": [str(k) for k in REGIONS],
    }.items():
        assert set(labels) <= table_under(title, text)[0].keys()
    assert list(DATASETS) == [*datasets, "Embedded"]


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (
            ["systems/paper/proposed.yaml", "datasets/chair_v2.yaml"],
            "--system proposed --dataset chair_v2 --recipe paper",
        ),
        (["systems/modern/swire.yaml", "datasets/swire.yaml"], "--system swire --dataset swire"),
        (["systems/modern/triplet_sn.yaml", "datasets/embedded.yaml"], "--system triplet_sn --dataset embedded"),
    ],
)
def test_several_configurations_are_merged_as_a_composition_does(files, options, capsys):
    def resolved(words):
        assert cli.main(["fit", *words, "--print_config"]) == 0
        return yaml.safe_load(capsys.readouterr().out)

    composed = resolved(options.split())
    merged = [word for file in files for word in ("--config", str(EXPERIMENTS / file))]
    assert resolved([*merged, "--experiment", composed["experiment"]]) == composed


# The site


def test_every_page_asks_a_question_first_and_stands_in_the_navigation():
    navigation = re.findall(r"([\w/.-]+\.md)$", read(ROOT / "mkdocs.yml"), re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert len(navigation) == len(set(navigation))
    assert set(navigation) == pages | {where for where in REPOSITORY.values() if where != "index.md"}
    for name in pages:
        first = read(DOCS / name).split("\n\n")[1]
        assert "?" in first, f"{name}: {first}"


def test_the_command_line_page_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    commands = set(re.findall(r"^  fgsbir ([a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert len(commands) >= 15
    text = read(DOCS / "reference" / "command-line.md")
    assert {name for name in commands if f"| `fgsbir {name}" not in text} == set()


def test_images_have_a_text():
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", read(path)):
            assert len(text) > 20, f"{path}: {target}"


@pytest.mark.parametrize(
    ("link", "source", "page", "moved"),
    [
        ("[log](../log.md#the-tree)", "docs/systems/proposed.md", "systems/proposed.md", "[log](../log.md#the-tree)"),
        ("[kept](../results/README.md)", "docs/results.md", "results.md", "[kept](repository/results.md)"),
        ("[data](docs/how-to/data.md)", "CONTRIBUTING.md", "repository/contributing.md", "[data](../how-to/data.md)"),
        ("[`a.py`](../../fgsbir/a.py)", "docs/systems/swire.md", "systems/swire.md", "`a.py`"),
        ("![x](docs/images/x.png)", "README.md", "index.md", "![x](images/x.png)"),
        ("[up](README.md#run)", "docs/systems/swire.md", "systems/swire.md", "[up](README.md#run)"),
        ("[web](https://example.org/a.md)", "docs/log.md", "log.md", "[web](https://example.org/a.md)"),
        ("[here](#splits)", "docs/log.md", "log.md", "[here](#splits)"),
    ],
)
def test_links_are_moved_to_where_pages_stand_on_the_site(link, source, page, moved):
    assert LINK.sub(lambda match: moved_link(match, source, page), link) == moved
