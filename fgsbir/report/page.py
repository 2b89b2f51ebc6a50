"""The report on the finished runs below a folder: one self-contained page, and its tables and figures as files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.metrics.on_the_fly import SHARES
from fgsbir.report.cells import DATASETS, DETAILS, PAPER_ROWS, split_stem, stem_of
from fgsbir.report.claims import claims_table
from fgsbir.report.collected import Dataset, Group, load_runs
from fgsbir.report.paper_tables import REFERENCE, paper_tables
from fgsbir.report.run_tables import (
    cost_table,
    drawing_table,
    every_run,
    machines,
    measured_while_drawing,
    region_table,
)
from fgsbir.runs.result import Result
from fgsbir.visualization.curves import Curve, drawing_figure, inline, region_figure, training_figure, write_figure
from fgsbir.visualization.grids import SEED, TOP, Query, Shown, build_gallery
from fgsbir.visualization.html import templates
from fgsbir.visualization.tables import Table, write_table
from fgsbir.visualization.trees import HierarchyView, stored_hierarchies

SYSTEM = "Proposed"
"""Row shown beside the reference in the galleries."""

FIGURES: dict[str, tuple[Callable[[Sequence[Curve], Sequence[Curve]], Figure], str]] = {
    "regions": (
        region_figure,
        "acc@1 and seconds a query over the number of regions, the paper's and ours; the table has the numbers",
    ),
    "training": (training_figure, "acc@1 on the val split and training loss over epochs, a line a system"),
    "on_the_fly": (
        drawing_figure,
        "ranking percentile and 1/rank over the share of the ink drawn, a line a system; the table has the means",
    ),
}
"""The figures of a recipe by the names of their files: what draws them, and their descriptions for screen readers."""


class Drawn(NamedTuple):
    """A figure: name of its files, the figure, and its markup on the page."""

    name: str
    figure: Figure
    markup: Markup


class Part(NamedTuple):
    """All the page says of one recipe on one dataset.

    Args:
        name: recipe.
        anchor: id, unique on the page.
        folder: name of the folder of its files.
        tables: tables of the paper, claims and regions.
        costs: costs of the systems.
        regions: region figure; None where not run.
        curves: training figure; None where nothing was trained.
        drawing: scores while drawing; None where not measured.
        drawing_curves: figure of the scores while drawing.
        gallery: queries with what was retrieved; none without thumbnails.
        hierarchy_system: system whose hierarchies are shown.
        hierarchies: best and worst ranked of the stored hierarchies.
    """

    name: str
    anchor: str
    folder: str
    tables: tuple[Table, ...]
    costs: Table | None
    regions: Drawn | None
    curves: Drawn | None
    drawing: Table | None
    drawing_curves: Drawn | None
    gallery: tuple[Query, ...]
    hierarchy_system: str
    hierarchies: tuple[HierarchyView, ...]


class Section(NamedTuple):
    """All the page says of one dataset; `facts` are pairs of a term and its text."""

    title: str
    anchor: str
    folder: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    runs: Table


def write_report(runs: Path, out: Path, reference: str = REFERENCE, system: str = SYSTEM) -> Path:
    """Writes the report.

    Args:
        runs: folder of run folders, searched at any depth; unfinished runs are skipped.
        out: folder of the report, made if it is missing. Files of an earlier report are overwritten.
        reference: row of the paper's tables that differences are tested against.
        system: row shown beside the reference in the galleries; the best other one where it was not run.

    Returns:
        The page, `out/index.html`, which needs no other file and no network. Beside it are `tables/` (Markdown, LaTeX,
        CSV, HTML) and `figures/` (SVG, PDF, PNG).

    Raises:
        InputError: if there is no finished run, a run is damaged, a row is unknown, or a file cannot be written.
    """
    for option, row in (("--reference", reference), ("--system", system)):
        if row not in PAPER_ROWS:
            raise InputError(option, f"'{row}' is no row of the paper's tables", f"use one of {', '.join(PAPER_ROWS)}")
    found = load_runs(runs)
    sections = [_section(i, dataset, found, reference, system) for i, dataset in enumerate(found)]
    html = _render(found, sections, reference)  # first: a page that cannot be made leaves no files
    for section in sections:
        _write_files(section, out)
    page = out / "index.html"
    with atomic_write(page, "w") as file:
        file.write(html)
    return page


def _render(found: Sequence[Dataset], sections: Sequence[Section], reference: str) -> str:
    names = {dataset.name for dataset in found}
    others = [Dataset(name) for name in DATASETS.values() if name not in names]
    results = [run.result for dataset in found for group in dataset.groups for run in group.runs]
    return (
        templates("fgsbir.report")
        .get_template("report.html.j2")
        .render(
            sections=sections,
            others=[(dataset.title, tables) for dataset in others if (tables := paper_tables(dataset, "", reference))],
            n_runs=len(results),
            finished=max(result.finished for result in results).replace("T", " ").removesuffix("+00:00"),
            seed=SEED,
            top=TOP,
            first_share=f"{100 * SHARES[0]:g}",
            reference=reference,
        )
    )


def _write_files(section: Section, out: Path) -> None:
    """The tables and figures of a section."""
    write_table(section.runs, out / "tables" / section.folder)
    for part in section.parts:
        for table in (*part.tables, part.costs, part.drawing):
            if table is not None:
                write_table(table, out / "tables" / section.folder / part.folder)
        for drawn in (part.regions, part.curves, part.drawing_curves):
            if drawn is not None:
                write_figure(drawn.figure, out / "figures" / section.folder / part.folder, drawn.name)


def _section(number: int, dataset: Dataset, found: Sequence[Dataset], reference: str, system: str) -> Section:
    results = [run.result for group in dataset.groups for run in group.runs]
    several = sum(other.name == dataset.name for other in found) > 1
    return Section(
        title=f"{dataset.title}, split {results[0].split_hash}" if several else dataset.title,
        anchor=f"dataset-{number}",
        folder=_as_folder(f"{dataset.name}-{results[0].split_hash}" if several else dataset.name),
        facts=_facts(results),
        parts=tuple(
            _part(f"d{number}r{i}", dataset, recipe, reference, system) for i, recipe in enumerate(dataset.recipes)
        ),
        runs=every_run(dataset),
    )


def _as_folder(name: str) -> str:
    """A name that a run gave itself, made into the name of one folder."""
    return re.sub(r"[^\w+-]+", "-", name)


def _facts(results: Sequence[Result]) -> tuple[tuple[str, str], ...]:
    """How the runs of one dataset were measured."""
    first, (tested, trained) = results[0], machines(results)

    def values(of: Callable[[Result], str]) -> str:
        return "; ".join(sorted({of(result) for result in results}))

    return (
        ("Test sketches (N_test)", f"{first.n_test:,}"),
        ("Gallery photos", f"{first.n_gallery:,}"),
        ("Split", first.split_hash),
        ("Runs", f"{len(results)}, seeds {', '.join(map(str, sorted({result.seed for result in results})))}"),
        ("Tested on", tested),
        ("Trained on", trained),
        ("Commit", values(lambda result: (result.commit or "unknown")[:7])),
        ("torch", values(lambda result: result.versions.get("torch", "unknown"))),
    )


def _part(anchor: str, dataset: Dataset, recipe: str, reference: str, system: str) -> Part:
    regions, claims = region_table(dataset, recipe), claims_table(dataset, recipe)
    pair = _two_systems(dataset, recipe, reference, system)
    explained = [group for group in reversed(pair) if _is_explained(group)]
    explained += sorted(filter(_is_explained, dataset.on_full_sketches(recipe)), key=lambda group: -group.first.acc1)
    return Part(
        name=recipe,
        anchor=anchor,
        folder=_as_folder(recipe),
        tables=(*paper_tables(dataset, recipe, reference), *(table for table in (claims, regions) if table)),
        costs=cost_table(dataset, recipe),
        regions=_drawn(anchor, "regions", *region_curves(regions, f"ours, {dataset.title}, {recipe}")),
        curves=_drawn(anchor, "training", *training_curves(dataset, recipe)),
        drawing=drawing_table(dataset, recipe),
        drawing_curves=_drawn(anchor, "on_the_fly", *drawing_curves(dataset, recipe)),
        gallery=_gallery(dataset, recipe, pair),
        hierarchy_system=explained[0].first.system if explained else "",
        hierarchies=_hierarchies(explained[0], anchor) if explained else (),
    )


def _drawn(anchor: str, name: str, upper: Sequence[Curve], lower: Sequence[Curve]) -> Drawn | None:
    """One of `FIGURES`; None without curves."""
    if not upper:
        return None
    draw, label = FIGURES[name]
    figure = draw(upper, lower)
    return Drawn(name, figure, inline(figure, f"{anchor}-{name}", label))


def _two_systems(dataset: Dataset, recipe: str, reference: str, system: str) -> list[Group]:
    """On full sketches, those that were run: the reference, then `system` or else the best of the others."""
    ranked = sorted(dataset.on_full_sketches(recipe), key=lambda group: -group.first.acc1)
    first = [group for group in ranked if group.stem == stem_of(reference)][:1]
    others = [group for group in ranked if group not in first]
    return first + sorted(others, key=lambda group: group.stem != stem_of(system))[:1]


def _is_explained(group: Group) -> bool:
    """Whether the run of lowest seed has hierarchies and the thumbnails to draw them over."""
    folder = group.runs[0].folder
    return folder.hierarchy.exists() and folder.thumbnails.exists()


def region_curves(table: Table | None, ours: str) -> tuple[list[Curve], list[Curve]]:
    """acc@1 and seconds a query over the number of regions, the paper's and ours, from a region table if any."""
    if table is None:
        return [], []
    rows = [[cell.values for cell in row] for row in table.parts[0]]

    def curve(name: str, column: int) -> Curve:
        return Curve(name, [(row[0][0], row[column][0] if row[column] else nan) for row in rows])

    accuracies = [(own[0], own[2], own[3]) if own else (nan,) * 3 for *_, own, _, _ in rows]
    bars = [(mean - low, high - mean) for mean, low, high in accuracies]
    theirs = "paper, ChairV2"
    return [curve(theirs, 1), curve(ours, 3)._replace(bars=bars)], [curve(theirs, 2), curve(ours, 4)]


def training_curves(dataset: Dataset, recipe: str) -> tuple[list[Curve], list[Curve]]:
    """Val acc@1 and training loss over epochs, of the systems that were trained; variants are left out."""
    accuracies, losses = [], []
    for group in dataset.groups:
        if group.first.recipe != recipe or split_stem(group.stem)[1]:
            continue
        if points := _mean_curve(group, "val/acc1"):
            accuracies.append(Curve(dataset.label(group), points))
            losses.append(Curve(dataset.label(group), _mean_curve(group, "train/loss") or [(nan, nan)]))
    return accuracies, losses


def drawing_curves(dataset: Dataset, recipe: str) -> tuple[list[Curve], list[Curve]]:
    """Ranking percentile and 1/rank over the share of the ink, all in percent, of the systems that were measured."""
    percentiles: list[Curve] = []
    reciprocals: list[Curve] = []
    for group in measured_while_drawing(dataset, recipe):
        assert group.drawing is not None
        for scores, curves in zip(group.drawing, (percentiles, reciprocals), strict=True):
            points = zip((100 * SHARES).tolist(), scores.mean((0, 1)).tolist(), strict=True)
            curves.append(Curve(dataset.label(group), list(points)))
    return percentiles, reciprocals


def _mean_curve(group: Group, metric: str) -> list[tuple[float, float]]:
    """A logged metric over epochs, the mean of the seeds where all have it; empty where nothing was trained."""
    by_epoch: dict[float, list[float]] = defaultdict(list)
    for run in group.runs:
        for row in run.folder.read_metrics() if run.folder.metrics.exists() else []:
            if metric in row and "epoch" in row:
                by_epoch[row["epoch"]].append(row[metric])
    return [(epoch, mean(found)) for epoch, found in sorted(by_epoch.items()) if len(found) == len(group.runs)]


def _gallery(dataset: Dataset, recipe: str, pair: Sequence[Group]) -> tuple[Query, ...]:
    """The answers of two systems at all levels of detail, each from the run of lowest seed."""
    photos, systems = None, {}
    for group in pair:
        levels = {}
        for detail, variant in DETAILS.items():
            same = dataset.filling(recipe, f"{group.stem}_{variant}") if variant else [group]
            if same and same[0].runs[0].folder.thumbnails.exists():
                thumbnails = same[0].runs[0].folder.read_thumbnails()
                photos = thumbnails.photos if photos is None else photos
                levels[detail] = Shown(same[0].runs[0].ranking, thumbnails.sketches)
        if levels:
            systems[group.first.system] = levels
    return tuple(build_gallery(systems, photos)) if photos is not None else ()


def _hierarchies(group: Group, prefix: str) -> tuple[HierarchyView, ...]:
    """The best and the worst ranked of the hierarchies that the run of lowest seed stored."""
    run = group.runs[0]
    return stored_hierarchies(run.folder.read_hierarchy(), run.ranking, run.folder.read_thumbnails().photos, prefix)
