"""The paper's tables, against numbers recomputed from the files of the runs in plain loops."""

import csv
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from written import N_QUERIES, random_ranks, write_run

from fgsbir.report.collected import Dataset, load_runs
from fgsbir.report.paper_tables import paper_tables
from fgsbir.visualization.tables import to_csv

PUBLISHED = Path(__file__).parents[2] / "fgsbir" / "report" / "published"


def rows(root, number, recipe="modern", **options):
    """The CSV of a table of the one dataset below `root`, by system."""
    (dataset,) = load_runs(root)
    table = next(t for t in paper_tables(dataset, recipe, **options) if t.name == f"table{number}")
    return {row["system"]: row for row in csv.DictReader(to_csv(table).splitlines())}


def cells(root, number, title, **options):
    """The printed cells of a column of ours, by system."""
    (dataset,) = load_runs(root)
    table = next(t for t in paper_tables(dataset, "modern", **options) if t.name == f"table{number}")
    column = [(c.group, c.title) for c in table.columns].index(("Ours", title))
    return {row[0].text: row[column] for part in table.parts for row in part}


def chair(root, system, name, seed=0, **changes):
    return write_run(root, system, seed, f"chair_v2/{name}", dataset="chair_v2", **changes)


def accuracies(root, name, k):
    """acc@k of every run of an experiment, from ranking.npz."""
    paths = sorted((root / "chair_v2" / name).glob("*/ranking.npz"))
    return [100 * sum(rank <= k for rank in np.load(path)["ranks"].tolist()) / N_QUERIES for path in paths]


def redrawn(root, name, k, draws=1500):
    """acc@k of every run of an experiment on photos drawn with replacement, one by one; the mean over the runs."""
    archives = [np.load(path) for path in sorted((root / "chair_v2" / name).glob("*/ranking.npz"))]
    target, rng, out = archives[0]["target"], np.random.default_rng(9), []
    for _ in range(draws):
        queries = [q for photo in rng.choice(np.unique(target), 12) for q in np.flatnonzero(target == photo)]
        out.append(fmean(100 * float(np.mean(archive["ranks"][queries] <= k)) for archive in archives))
    return np.array(out)


@pytest.fixture
def chairs(tmp_path):
    for seed in range(3):
        chair(tmp_path, "B-Siamese", "b_siamese", seed, ranks=random_ranks(seed))
    for seed in range(2):
        chair(tmp_path, "Proposed", "proposed", seed, ranks=random_ranks(10 + seed, worst=7))
    chair(tmp_path, "B-Siamese", "b_siamese_coarse", ranks=random_ranks(20))
    return tmp_path


@pytest.mark.parametrize("name", ["b_siamese", "proposed"])
def test_mean_deviation_and_interval_are_those_of_the_rankings(chairs, name):
    row = rows(chairs, 1)[{"b_siamese": "B-Siamese", "proposed": "Proposed"}[name]]
    for k in (1, 10):
        found = accuracies(chairs, name, k)
        assert float(row[f"acc{k}"]) == pytest.approx(fmean(found))
        assert float(row[f"acc{k}_sd"]) == pytest.approx(stdev(found))
        expected = np.quantile(redrawn(chairs, name, k), [0.025, 0.975])
        assert [float(row[f"acc{k}_{end}"]) for end in ("low", "high")] == pytest.approx(expected, abs=2.0)
    assert row["seeds"].split() == [str(seed) for seed in range(len(found))]


def test_the_p_value_is_that_of_redrawn_photos(chairs):
    row = rows(chairs, 1)["Proposed"]
    differences = redrawn(chairs, "proposed", 10) - redrawn(chairs, "b_siamese", 10)
    observed = fmean(accuracies(chairs, "proposed", 10)) - fmean(accuracies(chairs, "b_siamese", 10))
    share = np.mean(np.abs(differences - observed) >= abs(observed) - 1e-9)
    assert float(row["acc10_p"]) == pytest.approx(share, abs=0.03)
    assert rows(chairs, 1)["B-Siamese"]["acc10_p"] == ""  # against itself


def test_a_missing_run_is_an_empty_cell(chairs):
    ours = ["acc10", "acc10_sd", "acc10_low", "acc10_high", "acc10_p", "seeds", "config_hash"]
    table = rows(chairs, 3)
    for system, row in table.items():
        measured = system in ("B-Siamese, full", "B-Siamese, coarse", "Proposed, full", "chance")
        assert bool(row["acc10"]) == measured
        if not measured:
            assert [row[name] for name in ours] == [""] * len(ours)
    assert cells(chairs, 3, "acc@10")["Proposed, coarse"].text == ""
    assert table["B-Siamese, coarse"]["acc10_sd"] == ""  # one seed has no deviation
    assert "±" not in cells(chairs, 3, "acc@10")["B-Siamese, coarse"].text


def test_the_papers_figures_and_the_reruns_stand_beside_ours(chairs):
    tables = {number: rows(chairs, number) for number in (1, 2, 3)}
    for number, file in ((1, "table1_comparison"), (2, "table2_ablation_acc1"), (3, "table3_detail_acc10")):
        printed = [r for r in csv.DictReader((PUBLISHED / f"{file}.csv").open()) if r["dataset"] == "ChairV2"]
        for row in printed:
            system = f"{row['system']}, {row['sketch']}" if "sketch" in row else row["system"]
            for score in {"acc1", "acc10"} & set(row):
                assert tables[number][system][f"paper_{score}"] == row[score]
        filled = [m for m, row in tables[number].items() if row.get("paper_acc1") or row.get("paper_acc10")]
        assert len(filled) == len(printed)
    reruns = list(csv.DictReader((PUBLISHED / "published_reruns.csv").open()))
    rerun = {row["system"]: row for row in reruns if row["dataset"] == "ChairV2"}
    for system in ("B-Siamese", "Triplet-SN", "Triplet-Attn-SN"):
        row = tables[1][system]
        assert [row[f"rerun_{score}"] for score in ("acc1", "acc10")] == [
            rerun[system][score] for score in ("acc1", "acc10")
        ]
    assert tables[1]["Proposed"]["rerun_acc1"] == tables[2]["Proposed"]["rerun_acc1"] == "51.70"
    assert tables[3]["Proposed, coarse"]["rerun_acc10"] == ""
    (dataset,) = load_runs(chairs)
    notes = " ".join(paper_tables(dataset, "modern")[0].notes)
    for system, row in rerun.items():
        note = notes[notes.index(f"Re-run of {system.partition(' (')[0]}: ") :].split(". ")[0]
        assert all(part in note for part in (f"N_test {row['n_test']}", row["selection"], row["source"]))


def test_every_table_says_test_set_split_and_recipe(chairs):
    (dataset,) = load_runs(chairs)
    for table in paper_tables(dataset, "modern"):
        for fact in ("ChairV2", "N_test 24", "gallery 12", "split 5p1it0id", "recipe modern"):
            assert fact in table.caption
    row = rows(chairs, 1)["Proposed"]
    assert [row[name] for name in ("dataset", "recipe", "N_test", "split")] == ["chair_v2", "modern", "24", "5p1it0id"]


def test_recipes_and_splits_are_never_mixed(chairs):
    chair(chairs, "Proposed", "proposed_paper", ranks=np.ones(N_QUERIES, int), recipe="paper")
    assert rows(chairs, 1)["Proposed"]["seeds"] == "0 1"
    paper = rows(chairs, 1, "paper")
    assert (paper["Proposed"]["acc1"], paper["B-Siamese"]["acc1"]) == ("100.0", "")
    chair(chairs / "x", "Proposed", "proposed", ranks=np.ones(N_QUERIES, int), split_hash="0ther")
    assert [dataset.groups[0].first.split_hash for dataset in load_runs(chairs)] == ["0ther", "5p1it0id"]


def test_configurations_are_not_averaged(tmp_path):
    chair(tmp_path, "Proposed", "proposed", ranks=np.ones(N_QUERIES, int), config_hash="aaaa")
    chair(tmp_path, "Proposed", "proposed", ranks=np.full(N_QUERIES, 2), config_hash="bbbb")
    table = rows(tmp_path, 1)
    assert {system: row["acc1"] for system, row in table.items() if system.startswith("Proposed")} == {
        "Proposed (aaaa)": "100.0",
        "Proposed (bbbb)": "0.0",
    }


def test_the_best_on_the_same_sketches_is_bold(tmp_path):
    for name, hits in (("b_siamese", 12), ("proposed", 18), ("b_siamese_coarse", 6), ("proposed_coarse", 3)):
        chair(tmp_path, name, name, ranks=np.where(np.arange(N_QUERIES) < hits, 1, 12))
    chair(tmp_path, "w/o", "without_localised_coattn", ranks=np.where(np.arange(N_QUERIES) < 18, 1, 12))
    bold = [system for system, cell in cells(tmp_path, 3, "acc@10").items() if cell.is_best]
    assert bold == ["B-Siamese, coarse", "Proposed, full"]
    # Equal ones are both best; the one row of coarse sketches has nothing to be better than; chance is no system.
    bold = [system for system, cell in cells(tmp_path, 2, "acc@1").items() if cell.is_best]
    assert bold == ["w/o Localised-Coattn", "Proposed"]


def test_a_difference_to_the_reference_on_the_same_sketches_is_marked(tmp_path):
    clear = {"b_siamese": 9, "proposed": 1, "b_siamese_coarse": 1, "proposed_coarse": 1, "b_graph_hierarchy": 9}
    for name, rank in clear.items():
        chair(tmp_path, name, name, ranks=np.full(N_QUERIES, rank))
    marked = [system for system, cell in cells(tmp_path, 1, "acc@1").items() if cell.mark == "*"]
    assert marked == ["Proposed"]
    # Proposed on coarse sketches is better than B-Siamese on full ones, but not on coarse ones.
    assert [system for system, cell in cells(tmp_path, 2, "acc@1").items() if cell.mark == "*"] == ["Proposed"]
    found = cells(tmp_path, 1, "acc@1", reference="Proposed")
    assert [system for system, cell in found.items() if cell.mark == "*"] == ["B-Siamese", "B-Graph-Hierarchy"]


def test_a_small_difference_is_not_marked(tmp_path):
    ranks = random_ranks(3, worst=3)
    chair(tmp_path, "B-Siamese", "b_siamese", ranks=ranks)
    chair(tmp_path, "Proposed", "proposed", ranks=np.where(np.arange(N_QUERIES) == 0, 1, ranks))
    assert not any(cell.mark for cell in cells(tmp_path, 1, "acc@1").values())


def test_without_the_reference_nothing_is_marked(tmp_path):
    chair(tmp_path, "Proposed", "proposed", ranks=np.ones(N_QUERIES, int))
    row = rows(tmp_path, 1)["Proposed"]
    assert (row["acc1"], row["acc1_p"]) == ("100.0", "")


def test_a_dataset_that_was_not_run_has_the_papers_figures_alone():
    tables = {table.name: table for table in paper_tables(Dataset("swire"), "")}
    assert list(tables) == ["table1", "table2", "table3"]
    text = to_csv(tables["table2"])
    row = next(r for r in csv.DictReader(text.splitlines()) if r["system"] == "Explicit Hierarchy")
    assert (row["paper_acc1"], row["acc1"]) == ("71.54", "")


def test_a_dataset_that_the_paper_lacks_has_no_columns_for_it(tmp_path):
    write_run(tmp_path, "Proposed", experiment="embedded/proposed", dataset="embedded_chairs")
    (dataset,) = load_runs(tmp_path)
    first, second, third = paper_tables(dataset, "modern")
    assert {column.group for table in (first, second, third) for column in table.columns} == {"", "Ours"}
    assert [len(part) for part in first.parts] == [3, 4, 2, 1, 1]


def test_a_row_of_our_own_stands_below_the_papers_where_it_was_run(chairs):
    assert "Layout-Siamese (ours)" not in rows(chairs, 1)
    chair(chairs, "Layout-Siamese", "layout_siamese", ranks=random_ranks(30))
    table = rows(chairs, 1)
    assert list(table)[-3:] == ["Proposed", "Layout-Siamese (ours)", "chance"]
    assert table["Layout-Siamese (ours)"]["paper_acc1"] == ""
    assert float(table["Layout-Siamese (ours)"]["acc1"]) == pytest.approx(accuracies(chairs, "layout_siamese", 1)[0])
    assert "Layout-Siamese (ours)" not in rows(chairs, 2)


def test_chance_is_the_last_row(chairs):
    row = list(rows(chairs, 1).values())[-1]
    assert row["system"] == "chance"
    assert [float(row[name]) for name in ("acc1", "acc10")] == pytest.approx([100 / 12, 1000 / 12])


def test_rows_stand_in_the_order_of_the_paper(chairs):
    order = [r["system"] for r in csv.DictReader((PUBLISHED / "table1_comparison.csv").open())]
    expected = [a for a, b in pairwise([*order, ""]) if a != b]
    assert list(rows(chairs, 1)) == [*expected, "chance"]
