"""What the paper claims, on rankings whose verdict is known by hand."""

import csv

import numpy as np
import pytest
from written import N_QUERIES, random_ranks, write_run

from fgsbir.report.claims import CLAIMS, claims_table
from fgsbir.report.collected import load_runs
from fgsbir.report.paper import published
from fgsbir.visualization.tables import to_csv

FIRST = "The whole model beats one vector an image"


def run(root, name, ranks, dataset="chair_v2", **changes):
    write_run(root, name, 0, f"{dataset}/{name}", dataset=dataset, ranks=ranks, **changes)


def claims(root):
    (dataset,) = load_runs(root)
    table = claims_table(dataset, "modern")
    return {row["claim"]: row for row in csv.DictReader(to_csv(table).splitlines())}


def found(n, worst=9):
    """Ranks of which the first `n` are 1."""
    return np.where(np.arange(N_QUERIES) < n, 1, worst)


@pytest.mark.parametrize(
    ("better", "worse", "verdict"),
    [(found(22), found(2), "holds"), (found(2), found(22), "reversed"), (found(12), found(11), "not shown")],
    ids=["holds", "reversed", "not shown"],
)
def test_a_verdict_needs_the_sign_and_the_p_value(better, worse, verdict, tmp_path):
    run(tmp_path, "proposed", better)
    run(tmp_path, "b_siamese", worse)
    row = claims(tmp_path)[FIRST]
    assert row["verdict"] == verdict
    expected = 100 * (np.mean(better == 1) - np.mean(worse == 1))
    assert float(row["difference"]) == pytest.approx(expected)
    assert float(row["low"]) <= expected <= float(row["high"])
    assert (float(row["p"]) < 0.05) == (verdict != "not shown")
    assert (float(row["low"]) > 0 or float(row["high"]) < 0) == (verdict != "not shown")


def test_only_seeds_that_both_have_are_compared(tmp_path):
    run(tmp_path, "proposed", found(5))
    for seed, n in enumerate((4, 20)):
        write_run(tmp_path, "b", seed, "chair_v2/b_siamese", dataset="chair_v2", ranks=found(n))
    assert float(claims(tmp_path)[FIRST]["difference"]) == pytest.approx(100 / N_QUERIES)
    for seed, name in ((2, "b_localised_coattn"), (0, "explicit_hierarchy")):
        write_run(tmp_path, "b", seed, f"chair_v2/{name}", dataset="chair_v2", ranks=found(3))
    verdicts = {row["claim"]: row["verdict"] for row in claims(tmp_path).values()}
    assert verdicts["The hierarchy adds to co-attention (w/o Hierarchy)"] == ""
    assert verdicts["A hierarchy found for the pair beats the hierarchy of containment"] == "not shown"


def test_equal_systems_show_nothing(tmp_path):
    for name in ("proposed", "b_siamese"):
        run(tmp_path, name, random_ranks(3))
    row = claims(tmp_path)[FIRST]
    assert (float(row["difference"]), float(row["p"]), row["verdict"]) == (0.0, 1.0, "not shown")


def test_the_papers_differences_are_those_of_its_tables(tmp_path):
    run(tmp_path, "proposed", found(5))
    run(tmp_path, "b_siamese", found(4))
    rows = claims(tmp_path)
    assert float(rows[FIRST]["paper_difference"]) == pytest.approx(62.45 - 49.54)
    coarse = rows["On coarse sketches the whole model beats one vector"]
    assert coarse["metric"] == "acc10"
    cells = published()
    printed = [float(cells[f"chair_v2/{name}"].acc10) for name in ("proposed_coarse", "b_siamese_coarse")]
    assert float(coarse["paper_difference"]) == pytest.approx(printed[0] - printed[1])


def test_what_was_not_run_or_is_not_one_configuration_is_empty(tmp_path):
    run(tmp_path, "proposed", found(5))
    run(tmp_path, "b_siamese", found(4))
    run(tmp_path, "b_localised_coattn", found(4))
    run(tmp_path, "b_localised_coattn", found(3), config_hash="another0")
    rows = claims(tmp_path)
    assert len(rows) == len(CLAIMS)
    assert [row["claim"] for row in rows.values() if row["verdict"]] == [FIRST]


def test_no_claims_without_a_comparison_or_the_papers_figures(tmp_path):
    run(tmp_path / "one", "proposed", found(5))
    for name in ("proposed", "b_siamese"):
        run(tmp_path / "own", name, found(5), dataset="chairs")
    for folder in ("one", "own"):
        (dataset,) = load_runs(tmp_path / folder)
        assert claims_table(dataset, "modern") is None
