import shutil

import numpy as np
import pytest
from written import N_QUERIES, write_run

from fgsbir.errors import InputError
from fgsbir.report.collected import load_runs


def test_seeds_of_one_configuration_are_one_group(tmp_path):
    for seed in (10, 2, 0):
        write_run(tmp_path, "Near", seed)
    write_run(tmp_path, "Near", 0, config_hash="other")
    (dataset,) = load_runs(tmp_path)
    assert [[run.result.seed for run in group.runs] for group in dataset.groups] == [[0, 2, 10], [0]]
    group = dataset.groups[0]
    assert group.ranks.shape == (3, N_QUERIES)
    np.testing.assert_array_equal(group.ranks[1], np.load(tmp_path / "chairs/near/0123abcd-s2/ranking.npz")["ranks"])


def test_a_copied_run_counts_once_the_later_one(tmp_path):
    write_run(tmp_path, "Near")
    shutil.copytree(tmp_path / "chairs", tmp_path / "backup" / "chairs")
    write_run(tmp_path / "again", "Near", finished="2027-01-01T00:00:00+00:00", ranks=np.ones(N_QUERIES, int))
    (dataset,) = load_runs(tmp_path)
    (group,) = dataset.groups
    assert [run.result.acc1 for run in group.runs] == [100.0]


def test_runs_with_another_order_of_queries_are_refused(tmp_path):
    write_run(tmp_path, "Near")
    write_run(tmp_path, "Other", ranks=np.ones(N_QUERIES, int))
    path = next(tmp_path.rglob("other/*/ranking.npz"))
    arrays = dict(np.load(path))
    np.savez(path, **{name: value[::-1] if len(value) == N_QUERIES else value for name, value in arrays.items()})
    with pytest.raises(InputError, match="query_ids are in another order"):
        load_runs(tmp_path)


def test_a_result_that_is_not_that_of_its_ranking_is_refused(tmp_path):
    write_run(tmp_path, "Near", ranks=np.ones(N_QUERIES, int), acc1=99.0)
    with pytest.raises(InputError, match=r"result\.json: it says acc@1 99\.00 where ranking\.npz has 100\.00"):
        load_runs(tmp_path)


def test_systems_without_training_are_no_recipe_beside_others(tmp_path):
    write_run(tmp_path, "RawPixels", recipe="none")
    assert load_runs(tmp_path)[0].recipes == ["none"]
    write_run(tmp_path, "Near", recipe="paper")
    assert load_runs(tmp_path)[0].recipes == ["paper"]
