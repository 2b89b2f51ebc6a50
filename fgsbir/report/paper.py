"""Scores that Sain et al. 2020 publish, and scores of re-runs by others."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple, TypeVar

from fgsbir.report.cells import experiment_of

T = TypeVar("T")


class Published(NamedTuple):
    """Scores of the paper in one cell, in percent; None where it has none."""

    acc1: str | None = None
    acc10: str | None = None


class Rerun(NamedTuple):
    """Scores of a re-run in one cell, in percent.

    Attributes:
        acc1: acc@1 as printed.
        acc10: acc@10 as printed.
        how: number of test sketches, what was run, how the epoch was chosen, and the source.
    """

    acc1: str
    acc10: str
    how: str


class RegionPoint(NamedTuple):
    """A point of the paper's region figure: ChairV2, percent, and what its axis calls "Time (s)"."""

    regions: int
    acc1: float
    seconds: float


def published() -> dict[str, Published]:
    """The paper's scores by the experiment that fills their cell, e.g. "chair_v2/proposed"."""
    cells: defaultdict[str, Published] = defaultdict(Published)

    def add(experiment: str, **values: str) -> None:
        cells[experiment] = cells[experiment]._replace(**values)

    for row in read_table("table1_comparison"):
        add(experiment_of(row["system"], row["dataset"]), acc1=row["acc1"], acc10=row["acc10"])
    for row in read_table("table2_ablation_acc1"):
        add(experiment_of(row["system"], row["dataset"]), acc1=row["acc1"])
    for row in read_table("table3_detail_acc10"):
        add(experiment_of(row["system"], row["dataset"], row["sketch"]), acc10=row["acc10"])
    for point in region_curve():
        add(experiment_of("Proposed", "ChairV2", regions=point.regions), acc1=f"{point.acc1:.2f}")
    return dict(cells)


def reruns() -> dict[str, Rerun]:
    """Scores of re-runs by the experiment that fills their cell."""
    cells = {}
    for row in read_table("published_reruns"):
        system, _, remark = row["system"].partition(" (")
        how = [f"N_test {row['n_test'] or 'not stated'}", remark.removesuffix(")"), row["selection"], row["source"]]
        cells[experiment_of(system, row["dataset"])] = Rerun(row["acc1"], row["acc10"], "; ".join(filter(None, how)))
    return cells


def of_dataset(cells: Mapping[str, T], dataset: str) -> dict[str, T]:
    """The cells of one dataset, by stem."""
    return {name.partition("/")[2]: cell for name, cell in cells.items() if name.startswith(f"{dataset}/")}


def region_curve() -> list[RegionPoint]:
    """The paper's region figure."""
    return [
        RegionPoint(int(row["regions"]), float(row["acc1"]), float(row["seconds_per_query"]))
        for row in read_table("figure_regions")
    ]


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of one of the files in `published/`."""
    text = files("fgsbir.report").joinpath(f"published/{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
