import csv

import numpy as np
import pytest
from written import N_GALLERY, N_QUERIES, write_drawing, write_run

from fgsbir.report.collected import load_runs
from fgsbir.report.paper_tables import chance
from fgsbir.report.run_tables import cost_table, drawing_table, every_run, region_table
from fgsbir.visualization.tables import to_csv

COSTS = {"all_parameters": 2000, "sketch_flops": 30, "photo_flops": 40, "pair_flops": 0, "peak_memory_mib": 512.0}


def rows(table):
    return list(csv.DictReader(to_csv(table).splitlines()))


def test_costs_are_those_of_the_results(tmp_path):
    for seed, milliseconds in ((0, 2.0), (1, 4.0)):
        write_run(tmp_path, "Near", seed, query_ms=milliseconds, **COSTS)
    write_run(tmp_path, "Near", experiment="chairs/near_coarse", query_ms=9.0, **COSTS)
    (dataset,) = load_runs(tmp_path)
    (row,) = rows(cost_table(dataset, "modern"))  # the run on coarse sketches costs the same
    assert (row["parameters"], row["trained_parameters"], row["pair_flops"]) == ("2000", "1234567", "0")
    assert (float(row["query_ms"]), float(row["query_ms_sd"])) == (3.0, pytest.approx(2**0.5))
    assert float(row["peak_memory_mib"]) == 512.0


def test_machines_of_tests_and_trainings_stand_below_their_costs(tmp_path):
    write_run(tmp_path, "Near", 0, train_hardware="1 x Trainer")
    write_run(tmp_path, "Near", 1, best_epoch=None)  # learns nothing
    (dataset,) = load_runs(tmp_path)
    assert cost_table(dataset, "modern").notes[-1] == "Tested on 2 x Test CPU, 8 GiB. Trained on 1 x Trainer."
    write_run(tmp_path, "Near", 2, hardware="Another")  # of an earlier version
    (dataset,) = load_runs(tmp_path)
    assert cost_table(dataset, "modern").notes[-1] == (
        "Tested on 2 x Test CPU, 8 GiB; Another. Trained on 1 x Trainer; not noted (earlier versions)."
    )


def test_costs_of_an_earlier_version_are_empty(tmp_path):
    write_run(tmp_path, "Near", train_seconds=None)
    (dataset,) = load_runs(tmp_path)
    (row,) = rows(cost_table(dataset, "modern"))
    measured = {name for name in row if row[name]}
    assert not measured & {*COSTS, "parameters", "query_ms", "train_seconds"}
    assert row["trained_parameters"] == "1234567"


def test_regions_have_the_papers_figures_and_empty_cells_where_not_run(tmp_path):
    for name, hits in (("proposed_k8", 6), ("proposed", 12)):
        for seed in range(2):
            ranks = np.where(np.arange(N_QUERIES) < hits + seed, 1, 2)
            write_run(tmp_path, "Proposed", seed, f"chair_v2/{name}", ranks, dataset="chair_v2", query_ms=50.0)
    (dataset,) = load_runs(tmp_path)
    table = {row["regions"]: row for row in rows(region_table(dataset, "modern"))}
    assert [(k, row["paper_acc1"], row["paper_seconds"]) for k, row in table.items()] == [
        ("8", "58.37", "0.16"),
        ("12", "60.92", "0.36"),
        ("16", "62.45", "0.67"),
        ("20", "62.46", "1.06"),
    ]
    assert [float(table[k]["acc1"]) for k in ("8", "16")] == pytest.approx([100 * 6.5 / 24, 100 * 12.5 / 24])
    assert float(table["8"]["seconds"]) == 0.05
    for k in ("12", "20"):
        assert (table[k]["acc1"], table[k]["seconds"], table[k]["seeds"]) == ("", "", "")
    assert region_table(dataset, "paper") is None


def test_one_number_of_regions_is_no_table(tmp_path):
    write_run(tmp_path, "Proposed", experiment="chairs/proposed")
    (dataset,) = load_runs(tmp_path)
    assert region_table(dataset, "modern") is None


def test_scores_while_drawing_are_means_over_moments_sketches_and_seeds(tmp_path):
    # Found at once after half of the ink, and last before; the second seed is first throughout, the third unmeasured.
    half = np.where(np.arange(20) < 10, N_GALLERY, 1) + np.zeros((N_QUERIES, 1), int)
    for seed in range(3):
        write_run(tmp_path, "Near", seed, ranks=np.ones(N_QUERIES, int))
    for seed, ranks in enumerate((half, np.ones_like(half))):
        write_drawing(tmp_path / "chairs" / "near" / f"0123abcd-s{seed}", ranks)
    (dataset,) = load_runs(tmp_path)
    near, guess = rows(drawing_table(dataset, "modern"))
    low = 50 * (1 + 1 / N_GALLERY)
    assert float(near["m_a"]) == pytest.approx((50 + 100) / 2)
    assert float(near["m_a_sd"]) == pytest.approx(50 / 2**0.5)
    assert float(near["m_b"]) == pytest.approx((low + 100) / 2)
    assert [float(near[f"m_a_{end}"]) for end in ("low", "high")] == pytest.approx([75, 75])  # all photos alike
    assert near["seeds"] == "0 1"
    assert float(guess["m_a"]) == pytest.approx(50)
    assert float(guess["m_b"]) == pytest.approx(100 * np.mean(1 / np.arange(1, N_GALLERY + 1)))
    assert drawing_table(dataset, "paper") is None


def test_the_interval_of_scores_while_drawing_is_over_photos(tmp_path):
    write_run(tmp_path, "Near", ranks=np.ones(N_QUERIES, int))
    of_photo = np.where(np.arange(N_QUERIES) // 2 < 6, 1, N_GALLERY)  # half of the photos are first, with both sketches
    write_drawing(tmp_path / "chairs" / "near" / "0123abcd-s0", of_photo[:, None] + np.zeros((1, 20), int))
    (dataset,) = load_runs(tmp_path)
    near, _ = rows(drawing_table(dataset, "modern"))
    # Of 12 photos the number drawn that are first is binomial: 50 % ± 1.96 * 14.4 % or so.
    assert (float(near["m_a_low"]), float(near["m_a_high"])) == (pytest.approx(25, abs=9), pytest.approx(75, abs=9))


def test_every_run_is_a_row_best_first_then_chance(tmp_path):
    for seed, hits in ((0, 6), (1, 18)):
        write_run(tmp_path, "Near", seed, ranks=np.where(np.arange(N_QUERIES) < hits, 1, 7))
    write_run(
        tmp_path, "Pixels", ranks=np.full(N_QUERIES, 3), recipe="none", val_acc1=None, best_epoch=None, commit=None
    )
    (dataset,) = load_runs(tmp_path)
    found = rows(every_run(dataset))
    assert [(row["system"], row["seed"]) for row in found] == [
        ("Near", "1"), ("Near", "0"), ("Pixels", "0"), ("chance", "")
    ]  # fmt: skip
    best = found[0]
    assert [float(best[name]) for name in ("acc1", "acc5", "acc10", "mean_rank")] == [75.0, 75.0, 100.0, 2.5]
    assert float(best["mrr"]) == pytest.approx(100 * (0.75 + 0.25 / 7))
    assert float(best["acc1_low"]) <= 75.0 <= float(best["acc1_high"])
    assert (found[2]["val_acc1"], found[2]["best_epoch"], found[2]["commit"]) == ("", "", "")
    assert [float(found[3][name]) for name in ("acc1", "acc5", "acc10", "mean_rank")] == pytest.approx(
        [100 / 12, 500 / 12, 1000 / 12, 6.5]
    )


def test_chance_is_what_guessing_scores() -> None:
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 8, size=200_000)  # the true photo is at any of 7 ranks
    expected = chance(7)
    assert expected["acc1"] == pytest.approx(100 * np.mean(ranks <= 1), abs=0.5)
    assert expected["acc5"] == pytest.approx(100 * np.mean(ranks <= 5), abs=0.5)
    assert expected["acc10"] == 100
    assert expected["mean_rank"] == 4
    assert expected["mrr"] == pytest.approx(100 * np.mean(1 / ranks), abs=0.5)
