"""Experiments as compositions, and what they are called in tables and figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgsbir.report.cells import (
    DATASETS,
    DETAILS,
    REGIONS,
    ROWS,
    detail_of,
    experiment_of,
    label_of,
    split_stem,
    stem_of_experiment,
)

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_every_cell_is_composed_of_files_that_exist() -> None:
    cells = {experiment_of(row, dataset) for row in ROWS for dataset in DATASETS}
    cells |= {experiment_of("B-Siamese", dataset, detail) for detail in DETAILS for dataset in DATASETS}
    cells |= {experiment_of("Proposed", dataset, regions=k) for k in REGIONS for dataset in DATASETS}
    assert len(cells) == 4 * (14 + 1 + 2 + 3)  # of 16 rows two are one system; and the variants that are no row
    for cell in cells:
        dataset, _, stem = cell.partition("/")
        system, variant = split_stem(stem)
        assert (EXPERIMENTS / "datasets" / f"{dataset}.yaml").is_file()
        assert all((EXPERIMENTS / "systems" / recipe / f"{system}.yaml").is_file() for recipe in ("modern", "paper"))
        assert not variant or (EXPERIMENTS / "variants" / f"{variant}.yaml").is_file()


@pytest.mark.parametrize(
    ("experiment", "system", "variant", "detail"),
    [
        ("chair_v2/proposed", "proposed", "", "full"),
        ("chair_v2/proposed_coarse", "proposed", "coarse", "coarse"),
        ("swire/b_siamese_coarse_plus_paper", "b_siamese", "coarse_plus", "coarse++"),
        ("embedded/proposed_k12_paper", "proposed", "k12", "full"),
        ("embedded/b_siamese_frozen", "b_siamese_frozen", "", "full"),
        ("coarse", "coarse", "", "full"),
    ],
)
def test_the_name_of_an_experiment_is_taken_apart(experiment: str, system: str, variant: str, detail: str) -> None:
    stem = stem_of_experiment(experiment)
    assert split_stem(stem) == (system, variant)
    assert detail_of(stem) == detail


@pytest.mark.parametrize(
    ("stem", "label"),
    [
        ("proposed", "Proposed"),
        ("layout_siamese", "Layout-Siamese"),
        ("b_localised_coattn", "B-Localised-Coattn"),  # it fills "w/o Hierarchy" too
        ("proposed_coarse", "Sketch-coarse"),  # a row of its own
        ("b_siamese_coarse", "B-Siamese, coarse"),
        ("b_siamese_coarse_plus", "B-Siamese, coarse++"),
        ("proposed_k8", "Proposed, 8 regions"),
        ("proposed_k20", "Proposed, 20 regions"),
        ("mine", "mine"),
        ("mine_k8", "mine_k8"),
    ],
)
def test_label(stem: str, label: str) -> None:
    assert label_of(stem) == label
