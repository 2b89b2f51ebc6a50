import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from fgsbir.errors import InputError
from fgsbir.runs.folder import Result, RunFolder
from fgsbir.runs.table import COLUMNS, collect, read_runs_csv, write_runs_csv

MakeResult = Callable[..., Result]


def save(root: Path, result: Result) -> None:
    RunFolder(root / result.experiment / f"{result.config_hash}-s{result.seed}").write_result(result)


def test_a_row_in_full(tmp_path: Path, make_result: MakeResult) -> None:
    costs = {"all_parameters": 23000064, "sketch_flops": 5 * 10**9, "photo_flops": 51 * 10**8, "pair_flops": 27 * 10**6}
    unknown = dict.fromkeys(("val_acc1", "best_epoch", "commit", "peak_memory_mib"))
    save(tmp_path / "runs", make_result(query_ms=41.23456, train_hardware="8 x GPU host", **costs, **unknown))
    write_runs_csv(tmp_path / "runs", tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == (
        "system,dataset,recipe,seed,n_test,n_gallery,split_hash,acc1,acc5,acc10,mean_rank,mrr,val_acc1,best_epoch,"
        "train_seconds,test_seconds,parameters,commit,config_hash,experiment,hardware,torch,finished,all_parameters,"
        "sketch_flops,photo_flops,pair_flops,query_ms,peak_memory_mib,versions,train_hardware\n"
        "proposed,chair_v2,paper,0,323,100,0123abcd,62.46,85.00,90.71,3.14,71.23,,,"
        '3600.2,7.0,23000000,,12345678,chair_v2/proposed,"2 x AMD EPYC, 24 GiB",2.9.1,2025-11-24T00:00:00+00:00,'
        "23000064,5000000000,5100000000,27000000,41.235,,fgsbir 0.2.0; torch 2.9.1,8 x GPU host\n"
    )


def test_rows_are_sorted_by_dataset_system_recipe_and_seed(tmp_path: Path, make_result: MakeResult) -> None:
    keys = [
        ("chair_v2", "b_siamese", "modern", 10),
        ("chair_v2", "proposed", "modern", 0),
        ("chair_v2", "proposed", "paper", 2),
        ("chair_v2", "proposed", "paper", 10),
        ("shoe_v2", "b_siamese", "modern", 0),
    ]
    for number, (dataset, system, recipe, seed) in enumerate(reversed(keys)):
        save(
            tmp_path,
            make_result(dataset=dataset, system=system, recipe=recipe, seed=seed, experiment=f"experiment_{number}"),
        )
    assert [(r["dataset"], r["system"], r["recipe"], r["seed"]) for r in collect(tmp_path)] == keys


def test_a_table_is_read_back_with_its_types(tmp_path: Path, make_result: MakeResult) -> None:
    save(
        tmp_path,
        make_result(
            config_hash="00001234",
            acc1=62.46,
            acc10=90.7,
            mean_rank=3.5,
            mrr=75.0,
            test_seconds=7.0,
            train_seconds=None,
        ),
    )
    out = tmp_path / "runs.csv"
    write_runs_csv(tmp_path, out)
    (row,) = read_runs_csv(out)
    expected = collect(tmp_path)[0]
    assert row == expected
    assert {name: type(value) for name, value in row.items()} == {name: type(expected[name]) for name in COLUMNS}


def test_results_of_several_machines_add_up(tmp_path: Path, make_result: MakeResult) -> None:
    out = tmp_path / "results" / "runs.csv"
    save(tmp_path / "one", make_result(seed=0, acc1=50.0))
    save(tmp_path / "one", make_result(seed=1, acc1=51.0))
    write_runs_csv(tmp_path / "one", out)
    save(tmp_path / "two", make_result(seed=1, acc1=61.0))  # run again
    save(tmp_path / "two", make_result(seed=1, acc1=71.0, config_hash="87654321"))
    save(tmp_path / "two", make_result(seed=1, acc1=81.0, experiment="chair_v2/other"))
    rows = write_runs_csv(tmp_path / "two", out)
    found = {(row["experiment"], row["config_hash"], row["seed"]): row["acc1"] for row in read_runs_csv(out)}
    assert found == {
        ("chair_v2/proposed", "12345678", 0): 50.0,
        ("chair_v2/proposed", "12345678", 1): 61.0,
        ("chair_v2/proposed", "87654321", 1): 71.0,
        ("chair_v2/other", "12345678", 1): 81.0,
    }
    assert len(rows) == 4


@pytest.mark.parametrize("last", ["finished", "query_ms"])
def test_a_table_of_an_earlier_version_is_read_and_gets_the_later_columns(
    tmp_path: Path, make_result: MakeResult, last: str
) -> None:
    out = tmp_path / "runs.csv"
    save(tmp_path / "runs", make_result(query_ms=2.0))
    (new,) = write_runs_csv(tmp_path / "runs", out)
    with out.open(newline="") as file:
        lines = [line[: list(COLUMNS).index(last) + 1] for line in csv.reader(file)]
    with out.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    (old,) = read_runs_csv(out)
    assert old["acc1"] == 62.46
    assert {name for name in old if old[name] is None} >= {"peak_memory_mib", "versions", "train_hardware"}
    (tmp_path / "empty").mkdir()
    write_runs_csv(tmp_path / "empty", out)
    assert out.read_text().splitlines()[0].split(",") == list(COLUMNS)
    assert read_runs_csv(out) == [old]
    assert new["query_ms"] == 2.0


@pytest.mark.parametrize(("written", "percent"), [("0.7121", 71.21), ("1.0000", 100.0), ("0.0104", 1.04)])
def test_the_reciprocal_rank_of_version_0_1_is_read_as_percent(
    tmp_path: Path, make_result: MakeResult, written: str, percent: float
) -> None:
    out = tmp_path / "runs.csv"
    save(tmp_path / "runs", make_result())
    write_runs_csv(tmp_path / "runs", out)
    out.write_text(out.read_text().replace(",71.23,", f",{written},"))
    (row,) = read_runs_csv(out)
    assert row["mrr"] == percent
    (tmp_path / "empty").mkdir()
    write_runs_csv(tmp_path / "empty", out)  # in percent from now on
    assert read_runs_csv(out)[0]["mrr"] == percent


def test_writing_again_changes_nothing(tmp_path: Path, make_result: MakeResult) -> None:
    out = tmp_path / "runs.csv"
    (tmp_path / "empty").mkdir()
    save(tmp_path / "runs", make_result(acc1=62.465, mrr=71.2345, train_seconds=None))
    write_runs_csv(tmp_path / "runs", out)
    first = out.read_bytes()
    write_runs_csv(tmp_path / "runs", out)
    write_runs_csv(tmp_path / "empty", out)
    assert out.read_bytes() == first


def test_a_damaged_result_stops_the_table(tmp_path: Path, make_result: MakeResult) -> None:
    save(tmp_path / "runs", make_result())
    (tmp_path / "runs" / "result.json").write_text("{")
    with pytest.raises(InputError, match=r"runs/result\.json: damaged"):
        write_runs_csv(tmp_path / "runs", tmp_path / "runs.csv")
    assert not (tmp_path / "runs.csv").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "columns"),
        (lambda text: text.replace("acc1,", "accuracy,", 1), "columns"),
        (lambda text: text.replace("62.46", "high"), r"line 2: .*high"),
        (lambda text: text.replace(",paper,0,", ",paper,,"), "line 2"),
        (lambda text: text + "a,b\n", "line 3"),
    ],
)
def test_a_damaged_table_is_reported_not_overwritten(
    tmp_path: Path, make_result: MakeResult, damage: Callable[[str], str], message: str
) -> None:
    out = tmp_path / "runs.csv"
    save(tmp_path / "runs", make_result())
    write_runs_csv(tmp_path / "runs", out)
    damaged = damage(out.read_text())
    out.write_text(damaged)
    with pytest.raises(InputError, match=message):
        write_runs_csv(tmp_path / "runs", out)
    assert out.read_text() == damaged


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_runs_csv(tmp_path / "runs.csv")
