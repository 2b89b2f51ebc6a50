"""Tables 1 to 3 of Sain et al. 2020: the paper, published re-runs and our runs side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fgsbir.metrics.ranking import accuracy_at, bootstrap_interval, paired_test, summarise
from fgsbir.report.cells import OWN_ROWS, detail_of, stem_of
from fgsbir.report.collected import Dataset, Group
from fgsbir.report.paper import Published, Rerun, of_dataset, published, read_table, reruns
from fgsbir.visualization.tables import EMPTY, Cell, Column, Row, Table, plain, spread

REFERENCE = "B-Siamese"
SIGNIFICANT = 0.05
NOT_PUBLISHED = Cell("–")
ACCURACIES = {"acc1": ("acc@1", 1), "acc10": ("acc@10", 10)}
"""Heading and k of the metrics in the tables."""


class PaperRow(NamedTuple):
    """A row of the paper's tables.

    Attributes:
        label: name of the row.
        stem: stem of the experiments that fill it.
        part: part of the table that it belongs to.
    """

    label: str
    stem: str
    part: str = ""


def paper_tables(dataset: Dataset, recipe: str, reference: str = REFERENCE) -> list[Table]:
    """Tables 1, 2 and 3 for one dataset and recipe; a table is left out if nothing in it is published or measured.

    Args:
        dataset: dataset with its runs, or with none.
        recipe: recipe of the runs under "Ours".
        reference: row that differences are tested against.

    Raises:
        KeyError: if the paper has no such row.
    """
    first = [PaperRow(row["system"], stem_of(row["system"]), row["group"]) for row in read_table("table1_comparison")]
    first += [
        PaperRow(f"{label} (ours)", stem, "ours") for label, stem in OWN_ROWS.items() if dataset.filling(recipe, stem)
    ]
    second = [PaperRow(row["system"], stem_of(row["system"])) for row in read_table("table2_ablation_acc1")]
    third = [
        PaperRow(f"{row['system']}, {row['sketch']}", stem_of(row["system"], row["sketch"]), row["system"])
        for row in read_table("table3_detail_acc10")
    ]
    tables = (
        _table("table1", "comparison (table 1 of the paper)", first, ("acc1", "acc10"), dataset, recipe, reference),
        _table("table2", "ablation (table 2 of the paper)", second, ("acc1",), dataset, recipe, reference),
        _table("table3", "less detail (table 3 of the paper)", third, ("acc10",), dataset, recipe, reference),
    )
    return [table for table in tables if table is not None]


def _table(
    name: str,
    title: str,
    listed: Sequence[PaperRow],
    scores: tuple[str, ...],
    dataset: Dataset,
    recipe: str,
    reference: str,
) -> Table | None:
    """One of the tables; None if it would be empty."""
    entries = list(dict.fromkeys(listed))  # the files have a line for each dataset
    paper, others = of_dataset(published(), dataset.name), of_dataset(reruns(), dataset.name)
    if not paper and not any(dataset.filling(recipe, entry.stem) for entry in entries):
        return None
    columns = [Column("", "System", ("system",), True)]
    if paper:
        columns += [Column("Paper", ACCURACIES[score][0], (f"paper_{score}",)) for score in scores]
        columns += [Column("Re-runs", ACCURACIES[score][0], (f"rerun_{score}",)) for score in scores]
    for score in scores:
        keys = (score, *(f"{score}_{statistic}" for statistic in ("sd", "low", "high", "p")))
        columns.append(Column("Ours", ACCURACIES[score][0], keys))
    columns.append(Column("Ours", "Seeds", ("seeds", "config_hash")))

    rows: list[tuple[PaperRow, Row]] = []
    for entry in entries:
        beside: list[Cell] = []
        if paper:
            beside += _published(paper.get(entry.stem), scores)
            beside += _published(others.get(entry.stem), scores)
        against = dataset.only(recipe, stem_of(reference, detail_of(entry.stem)))
        groups: Sequence[Group | None] = dataset.filling(recipe, entry.stem) or [None]
        for group in groups:
            # Several configurations in one cell are not averaged: each has a row.
            label = entry.label if group is None else dataset.label(group, entry.label)
            rows.append((entry, (Cell(label, (label,)), *beside, *_ours(group, against, scores))))
    rows = _with_best(rows, len(scores))
    parts = [tuple(row for entry, row in rows if entry.part == part) for part in dict.fromkeys(p.part for p in entries)]
    if dataset.groups:
        parts.append((_chance(dataset, scores, len(columns)),))
    shown = {entry.label: others[entry.stem] for entry in entries if entry.stem in others}
    return table_of(dataset, recipe, name, title, columns, parts, _notes(dataset, bool(paper), shown, reference))


def table_of(
    dataset: Dataset,
    recipe: str | None,
    name: str,
    title: str,
    columns: Sequence[Column],
    parts: Sequence[Sequence[Row]],
    notes: tuple[str, ...],
) -> Table:
    """A table of the runs of a recipe, or with None of all recipes; two compare only where their facts are equal."""
    facts: dict[str, object] = {"dataset": dataset.name}
    if dataset.groups:
        result = dataset.groups[0].first
        facts |= {} if recipe is None else {"recipe": recipe}
        facts |= {"N_test": result.n_test, "gallery": result.n_gallery, "split": result.split_hash}
    return Table(name, f"{dataset.title}: {title}", facts, tuple(columns), tuple(map(tuple, parts)), notes)


def _published(cell: Published | Rerun | None, scores: tuple[str, ...]) -> list[Cell]:
    """Scores of others; a dash where there is none."""
    values = [getattr(cell, score, None) for score in scores]
    return [NOT_PUBLISHED if value is None else plain(value) for value in values]


def _ours(group: Group | None, reference: Group | None, scores: tuple[str, ...]) -> list[Cell]:
    """Our scores; empty where there is no run."""
    if group is None:
        return [EMPTY] * (len(scores) + 1)
    seeds = " ".join(str(run.result.seed) for run in group.runs)
    return [
        *(accuracy(group, reference, ACCURACIES[score][1]) for score in scores),
        Cell(str(len(group.runs)), (seeds, group.first.config_hash)),
    ]


def accuracy(group: Group, reference: Group | None, k: int) -> Cell:
    """acc@k of a group: mean and deviation over seeds, interval, and p-value of the difference to the reference."""
    cell = spread([accuracy_at(ranks, k) for ranks in group.ranks])
    low, high = bootstrap_interval(group.ranks, group.photos, k)
    p = None
    if reference is not None and reference is not group:
        p = paired_test(group.ranks, reference.ranks, group.photos, k)[1]
    mark = "*" if p is not None and p < SIGNIFICANT else ""
    return cell._replace(values=(*cell.values, low, high, p), note=f"[{low:.1f}, {high:.1f}]", mark=mark)


def _with_best(rows: list[tuple[PaperRow, Row]], scores: int) -> list[tuple[PaperRow, Row]]:
    """The rows with the best of ours in bold, among at least two rows on the same sketches."""
    changed = [(entry, list(row)) for entry, row in rows]
    for column in range(-1 - scores, -1):
        measured: dict[str, list[list[Cell]]] = defaultdict(list)
        for entry, row in changed:
            if row[column].values:
                measured[detail_of(entry.stem)].append(row)
        for same in measured.values():
            means = [row[column].values[0] for row in same]
            for row, value in zip(same, means, strict=True):
                row[column] = row[column]._replace(is_best=len(same) > 1 and value == max(means))
    return [(entry, tuple(row)) for entry, row in changed]


def chance(gallery: int) -> dict[str, float]:
    """What guessing scores on average: the true photo is equally likely at each of `gallery` ranks."""
    return summarise(np.arange(1, gallery + 1))


def _chance(dataset: Dataset, scores: tuple[str, ...], width: int) -> Row:
    guess = chance(dataset.groups[0].first.n_gallery)
    cells = [Cell(f"{guess[score]:.2f}", (guess[score], None, None, None, None)) for score in scores]
    return (Cell("chance", ("chance",)), *[EMPTY] * (width - 2 - len(scores)), *cells, EMPTY)


def _notes(dataset: Dataset, with_paper: bool, others: dict[str, Rerun], reference: str) -> tuple[str, ...]:
    notes = ["In percent. An empty cell was not run."]
    if with_paper:
        notes.append("Paper: Sain et al. 2020, who do not state N_test. – is not published.")
        sources: dict[str, list[str]] = defaultdict(list)
        for label, rerun in others.items():
            sources[rerun.how].append(label)
        notes += [f"Re-run of {', '.join(labels)}: {how}." for how, labels in sources.items()]
    else:
        notes.append("The paper has no scores for this dataset.")
    if dataset.groups:
        notes.append(
            "Ours: mean ± standard deviation over seeds; in brackets the 95 % interval of the mean, by a bootstrap over"
            " photos. Bold: the best on the same sketches."
        )
        notes.append(
            f"* differs from {reference} on the same sketches: paired bootstrap over photos, p < {SIGNIFICANT}, not "
            "corrected for the number of rows."
        )
    return tuple(notes)
