from pathlib import Path

import pytest

from fgsbir.errors import InputError
from fgsbir.report.docs_tables import refresh_docs, refreshed, results_block
from fgsbir.report.paper import Published, published
from fgsbir.runs.table import COLUMNS

PAGE = "# B-Siamese\n\nWords.\n\n<!-- results: B-Siamese -->\nold\n<!-- /results -->\n\nMore | words.\n"


def row(**changes):
    some = {"system": "B-Siamese", "dataset": "chair_v2", "recipe": "modern", "experiment": "chair_v2/b_siamese"}
    numbers = {"seed": 0, "n_test": 323, "n_gallery": 100, "acc1": 59.754, "acc10": 94.7, "config_hash": "aaaa"}
    return dict.fromkeys(COLUMNS) | some | numbers | {"commit": "0123456789abcdef"} | changes


def cells(text, first):
    """The cells of the lines whose first cell is `first`."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    return [line for line in lines if line[0] == first]


def test_published_figures_stand_at_their_experiments():
    figures = published()
    assert figures["chair_v2/proposed"] == Published("62.45", "90.71")
    assert figures["chair_v2/proposed_coarse"] == Published("47.64", "87.58")  # of tables 2 and 3
    assert figures["swire/proposed_coarse"] == Published("51.26", None)
    assert figures["shoe_v2/b_siamese_coarse_plus"] == Published(None, "54.32")
    assert figures["chair_v2/proposed_k8"] == Published("58.37", None)
    assert figures["chair_v2/b_localised_coattn"] == Published("55.24", "88.21")
    assert figures["swire/explicit_hierarchy"] == Published("71.54", None)
    assert not any(name.startswith("embedded") for name in figures)


def test_a_row_stands_beside_the_published_figures():
    (line,) = cells(results_block("B-Siamese", [row()]), "chair_v2/b_siamese")
    run = ["chair_v2/b_siamese", "chair_v2", "modern", "0", "323"]
    assert line == [*run, "59.75 (1.00)", "94.70 (10.00)", "49.54", "85.98", "0123456"]


def test_every_row_of_the_system_is_shown_and_none_of_another():
    rows = [row(), row(seed=1, acc1=58.0), row(config_hash="bbbb"), row(system="Proposed", seed=7)]
    found = cells(results_block("B-Siamese", rows), "chair_v2/b_siamese")
    assert [line[3] for line in found] == ["0", "0", "1"]


def test_what_was_not_measured_says_so():
    text = results_block("B-Siamese", [row()])
    (line,) = cells(text, "swire/b_siamese")
    assert line == ["swire/b_siamese", "swire", "", "", "", "not measured yet", "", "54.21", "82.15", ""]
    assert text.count("not measured yet") == 6
    assert results_block("B-Siamese", []).count("not measured yet") == 7


def test_the_paper_recipe_measures_the_same_cell():
    text = results_block("B-Siamese", [row(recipe="paper", experiment="chair_v2/b_siamese_paper")])
    (line,) = cells(text, "chair_v2/b_siamese_paper")
    assert line[7:9] == ["49.54", "85.98"]
    assert cells(text, "chair_v2/b_siamese") == []


@pytest.mark.parametrize(
    "changes",
    [{"dataset": "folder"}, {"experiment": "chair_v2/b_siamese_frozen"}, {"experiment": "my/tests"}],
    ids=str,
)
def test_other_data_and_settings_have_no_published_figure(changes):
    text = results_block("B-Siamese", [row(**changes)])
    (line,) = [line for line in cells(text, changes.get("experiment", "chair_v2/b_siamese")) if line[4]]
    assert line[7:9] == ["–", "–"]
    assert len(cells(text, "chair_v2/b_siamese")) == (2 if "dataset" in changes else 1)  # still to be measured


def test_a_small_gallery_and_no_commit():
    (line,) = cells(results_block("B-Siamese", [row(n_gallery=8, commit=None)]), "chair_v2/b_siamese")
    assert line[5:7] == ["59.75 (12.50)", "94.70 (100.00)"]
    assert line[-1] == "–"


def test_refreshing_changes_nothing_outside_the_block():
    text = refreshed(Path("p.md"), PAGE, [row()])
    before, after = "# B-Siamese\n\nWords.\n\n<!-- results: B-Siamese -->\n", "<!-- /results -->\n\nMore | words.\n"
    assert text == before + results_block("B-Siamese", [row()]) + after
    assert refreshed(Path("p.md"), text, [row()]) == text
    assert refreshed(Path("p.md"), text.replace("59.75", "99.99"), [row()]) == text


def test_a_backslash_in_a_row_is_only_a_backslash():
    assert r"\g<0>" in refreshed(Path("p.md"), PAGE, [row(experiment=r"my/\g<0>")])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# B-Siamese\n", "no block of results"),
        (PAGE.replace("<!-- results: B-Siamese -->\n", ""), "no block of results"),
        (PAGE.replace("<!-- /results -->\n", ""), "no block of results"),
        (PAGE + PAGE, "2 blocks of results"),
        (PAGE.replace("results: B-Siamese", "results: B-Siamse"), "'B-Siamse'"),
    ],
)
def test_a_missing_or_wrong_marker_is_one_clear_line(text, problem, tmp_path):
    (tmp_path / "a.md").write_text(PAGE)
    (tmp_path / "b_siamese.md").write_text(text)
    with pytest.raises(InputError) as error:
        refresh_docs(tmp_path, [row()])
    assert problem in str(error.value)
    assert "b_siamese.md" in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "a.md").read_text() == PAGE  # all pages or none


def test_a_folder_is_refreshed_but_for_its_readme(tmp_path):
    for name in ("b_siamese.md", "README.md", "notes.txt"):
        (tmp_path / name).write_text(PAGE)
    refresh_docs(tmp_path, [row()])
    assert (tmp_path / "b_siamese.md").read_text() == refreshed(Path("p.md"), PAGE, [row()])
    assert (tmp_path / "README.md").read_text() == PAGE
    assert (tmp_path / "notes.txt").read_text() == PAGE


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_pages_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pages"):
        refresh_docs(tmp_path / name, [])
