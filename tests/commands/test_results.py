"""`fgsbir results`: keeping runs, and making everything from what is kept."""

import csv
import shutil
from pathlib import Path

import pytest
from written import random_ranks, write_drawing, write_run

from fgsbir.cli import main

ROOT = Path(__file__).parents[2]
PAGE = "# Results\n\nWords.\n\n<!-- table: chair_v2/modern/table1 -->\nold\n<!-- /table -->\n\nMore words.\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working folder with two finished runs, and pages for their tables."""
    monkeypatch.chdir(tmp_path)
    for system, name in (("B-Siamese", "b_siamese"), ("Proposed", "proposed")):
        write_run(Path("runs"), system, 0, f"chair_v2/{name}", dataset="chair_v2")
    for run in Path("runs").glob("*/*/*"):
        (run / "checkpoints").mkdir()
        (run / "checkpoints" / "best.ckpt").write_bytes(b"weights")
        (run / "env.json").write_text("{}")
    pages = tmp_path / "docs" / "systems"
    pages.mkdir(parents=True)
    (pages / "b_siamese.md").write_text("<!-- results: B-Siamese -->\n<!-- /results -->\n")
    (tmp_path / "docs" / "results.md").write_text(PAGE)
    return tmp_path


def only_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_figures_and_rankings_are_kept_and_no_weights_and_no_pictures(project):
    assert main(["results", "runs"]) == 0
    kept = files(project / "results" / "runs")
    assert {path.name for path in kept} == {"env.json", "metrics.csv", "ranking.npz", "result.json"}
    assert len({path.parent for path in kept}) == 2
    for path, content in kept.items():
        assert (project / "runs" / path).read_bytes() == content


def test_ranks_while_drawing_are_kept_where_they_were_measured(project):
    (run,) = project.glob("runs/chair_v2/proposed/*")
    write_drawing(run)
    assert main(["results", "runs"]) == 0
    (kept,) = project.glob("results/runs/*/*/*/on_the_fly.npz")
    assert kept.read_bytes() == (run / "on_the_fly.npz").read_bytes()
    assert (project / "results" / "report" / "tables" / "chair_v2" / "modern" / "on_the_fly.md").exists()


def test_everything_is_made_anew_from_what_is_kept(project):
    assert main(["results", "runs", "--docs", "docs"]) == 0
    before = files(project / "results") | files(project / "docs")
    shutil.rmtree(project / "runs")
    shutil.rmtree(project / "results" / "report" / "tables")
    (project / "results" / "runs.csv").unlink()
    assert main(["results", "--docs", "docs"]) == 0
    after = files(project / "results") | files(project / "docs")
    pictures = (".svg", ".pdf", ".png", ".html")  # matplotlib writes dates and random ids
    assert {p: c for p, c in before.items() if p.suffix not in pictures} == {
        p: c for p, c in after.items() if p.suffix not in pictures
    }


def test_pages_hold_the_tables_of_the_report(project):
    assert main(["results", "runs", "--docs", "docs"]) == 0
    table = (project / "results" / "report" / "tables" / "chair_v2" / "modern" / "table1.md").read_text()
    assert (project / "docs" / "results.md").read_text() == PAGE.replace("old\n", table)
    assert "| chair_v2/b_siamese | chair_v2 | modern |" in (project / "docs" / "systems" / "b_siamese.md").read_text()


def test_a_run_that_is_made_again_takes_the_place_of_the_old_one(project):
    assert main(["results", "runs"]) == 0
    shutil.rmtree(project / "runs" / "chair_v2" / "proposed")
    write_run(project / "runs", "Proposed", 0, "chair_v2/proposed", dataset="chair_v2", ranks=random_ranks(77))
    assert main(["results", "runs"]) == 0
    with (project / "results" / "runs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "Proposed"]
    assert [row["acc1"] for row in rows] == [f"{100 * (random_ranks(77) == 1).mean():.2f}"]


def test_a_damaged_run_is_refused_before_it_is_kept(project, capsys):
    (ranking,) = project.glob("runs/chair_v2/proposed/*/ranking.npz")
    ranking.write_bytes(ranking.read_bytes()[:100])
    assert main(["results", "runs"]) == 2
    assert "ranking.npz" in only_error(capsys)
    assert not list(project.glob("results/runs/chair_v2/proposed/*/*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere"),
        (["results/runs"], "archived already"),
        (["results/runs/chair_v2"], "archived already"),
        (["--docs", "nowhere"], "nowhere"),
        (["--out", "empty"], "runs.csv"),
    ],
    ids=str,
)
def test_bad_words_are_one_line(words, said, project, capsys):
    assert main(["results", "runs"]) == 0
    capsys.readouterr()
    assert main(["results", *words]) == 2
    assert said in only_error(capsys)


@pytest.mark.parametrize(("page", "text"), [("results.md", "words\n"), ("systems/b_siamese.md", "words\n")])
def test_a_page_without_a_place_for_its_table_is_named(page, text, project, capsys):
    (project / "docs" / page).write_text(text)
    assert main(["results", "runs", "--docs", "docs"]) == 2
    assert page in only_error(capsys)
    assert (project / "docs" / page).read_text() == text


def test_a_page_that_asks_for_a_table_that_is_not_there_stays_as_it_is(project, capsys):
    page = project / "docs" / "results.md"
    page.write_text(PAGE.replace("table1", "table9"))
    assert main(["results", "runs", "--docs", "docs"]) == 2
    assert "table9" in only_error(capsys)
    assert "old" in page.read_text()


def test_committed_tables_and_pages_are_those_of_the_committed_runs(tmp_path):
    for folder in ("results", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.rmtree(tmp_path / "results" / "report")
    assert main(["results", "--out", str(tmp_path / "results"), "--docs", str(tmp_path / "docs")]) == 0
    for folder in ("results/report/tables", "docs"):
        assert files(tmp_path / folder) == files(ROOT / folder), "run: fgsbir results --docs docs"
    assert (tmp_path / "results" / "runs.csv").read_bytes() == (ROOT / "results" / "runs.csv").read_bytes()
