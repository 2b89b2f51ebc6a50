"""One self-contained HTML page about the finished runs below a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from fgsbir.errors import InputError
from fgsbir.files import atomic_write
from fgsbir.report.gallery import Query, build_gallery
from fgsbir.report.hierarchy import HierarchyView, build_hierarchy
from fgsbir.retrieval.ranking import Ranking, bootstrap_interval
from fgsbir.runs.folder import Result, RunFolder, find_runs

SEED = 0  # of every choice by chance on the page; the page says so
QUERIES = 8
TOP = 8
EXAMPLES = 2


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and from it the scores and the test ranking."""

    folder: RunFolder
    result: Result
    ranking: Ranking

    @property
    def name(self) -> str:
        """How the run's system is called on the page."""
        return f"{self.result.system} ({self.result.recipe})"


@dataclass(frozen=True)
class Column:
    """A column of the results table: its heading, the field of `result.json`, and how to print a value.

    Args:
        best: `max` or `min` where the best value of a dataset is set in bold, else None.
    """

    title: str
    field: str
    show: Callable[[Any], str] = str
    best: Callable[[Sequence[float]], float] | None = None


@dataclass(frozen=True)
class TableCell:
    """One printed value."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Section:
    """All the page says of one dataset; `facts` are pairs of a term and its text."""

    title: str
    anchor: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    curves: Markup | None
    gallery: tuple[Query, ...]
    hierarchy_system: str
    hierarchies: tuple[HierarchyView, ...]


def write_report(runs: Path, out: Path) -> Path:
    """Writes the report page.

    Args:
        runs: a folder with run folders at any depth below it; unfinished runs are passed over.
        out: the folder of the page, made if it is missing.

    Returns:
        The page, `out/index.html`; it needs no other file and no network.

    Raises:
        InputError: if there is no finished run, a run is damaged, or the page cannot be written.
    """
    found = [Run(folder, folder.read_result(), folder.read_ranking()) for folder in find_runs(runs)]
    if not found:
        raise InputError(
            runs, "holds no finished run", "make some with `make demo`, or with `fgsbir fit` and `fgsbir test`"
        )
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in found:
        groups[run.result.dataset, run.result.split_hash].append(run)
    html = template("report.html.j2").render(
        sections=[_section(i, members) for i, (_, members) in enumerate(sorted(groups.items()))],
        n_runs=len(found),
        finished=max(run.result.finished for run in found),
        seed=SEED,
        top=TOP,
    )
    page = out / "index.html"
    with atomic_write(page, "w") as file:
        file.write(html)
    return page


def template(name: str) -> Template:
    """One of this package's templates."""
    environment = Environment(
        loader=PackageLoader("fgsbir.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _section(number: int, runs: Sequence[Run]) -> Section:
    """One dataset and split: its runs best first, then chance."""
    runs = sorted(runs, key=lambda run: (-run.result.acc1, run.name, run.result.seed))
    shown = _one_run_a_system(runs)
    illustrated = [run for run in shown if run.folder.thumbnails.exists()]
    explained = [run for run in illustrated if run.folder.hierarchy.exists()]
    columns, rows = _table(runs)
    return Section(
        title=runs[0].result.dataset,
        anchor=f"dataset-{number}",
        facts=_facts([run.result for run in runs]),
        columns=columns,
        rows=rows,
        curves=_curves([(f"{run.name}, seed {run.result.seed}", _val_curve(run.folder)) for run in runs]),
        gallery=_gallery(shown, illustrated[0].folder) if illustrated else (),
        hierarchy_system=explained[0].name if explained else "",
        hierarchies=hierarchies(explained[0], f"h{number}") if explained else (),
    )


def _one_run_a_system(runs: Sequence[Run]) -> list[Run]:
    """The run of lowest seed of each system and recipe, in the order of `runs`."""
    chosen: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.result.seed):
        chosen.setdefault(run.name, run)
    return [run for run in runs if chosen[run.name] is run]


def _facts(results: Sequence[Result]) -> tuple[tuple[str, str], ...]:
    """How the runs of one dataset were measured."""
    first = results[0]
    return (
        ("Test sketches", f"{first.n_test:,}"),
        ("Gallery photos", f"{first.n_gallery:,}"),
        ("Split", first.split_hash),
        ("Hardware", "; ".join(sorted({result.hardware for result in results}))),
        ("Commit", ", ".join(sorted({result.commit or "unknown" for result in results}))),
    )


def _table(runs: Sequence[Run]) -> tuple[tuple[Column, ...], tuple[tuple[TableCell, ...], ...]]:
    """The results table: one row a run, then the row of guessing."""
    columns = (
        Column("System", "system"),
        Column("Recipe", "recipe"),
        Column("Seed", "seed"),
        Column("acc@1 %", "acc1", "{:.2f}".format, max),
        Column("95 % interval", "interval"),
        Column("acc@5 %", "acc5", "{:.2f}".format, max),
        Column("acc@10 %", "acc10", "{:.2f}".format, max),
        Column("Mean rank", "mean_rank", "{:.2f}".format, min),
        Column("MRR", "mrr", "{:.3f}".format, max),
        Column("Parameters", "parameters", _count),
        Column("Training", "train_seconds", _duration),
        Column("Sketches", "n_test", "{:,}".format),
    )
    values = [{**run.result.to_dict(), "interval": _interval(run.ranking)} for run in runs]
    best = {c.field: c.best([row[c.field] for row in values]) for c in columns if c.best is not None}
    rows = [
        tuple(TableCell(c.show(row[c.field]), c.field in best and row[c.field] == best[c.field]) for c in columns)
        for row in values
    ]
    guess: dict[str, Any] = {"system": "chance", **chance(runs[0].result.n_gallery)}
    rows.append(tuple(TableCell(c.show(guess[c.field]) if c.field in guess else "–") for c in columns))
    return columns, tuple(rows)


def chance(gallery: int) -> dict[str, float]:
    """What guessing scores on average: the true photo is equally likely at each of `gallery` ranks."""
    ranks = np.arange(1, gallery + 1)
    return {
        **{f"acc{k}": 100 * min(k, gallery) / gallery for k in (1, 5, 10)},
        "mean_rank": float(ranks.mean()),
        "mrr": float((1 / ranks).mean()),
    }


def _interval(ranking: Ranking) -> str:
    """The bootstrap interval of acc@1 in percent; the sketches of one photo are drawn together."""
    low, high = bootstrap_interval(ranking.ranks, ranking.target)
    return f"{low:.1f} – {high:.1f}"


def _count(value: int | None) -> str:
    """A number of parameters."""
    if not value:
        return "none"
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:,}"


def _duration(seconds: float | None) -> str:
    """A span of time in its natural unit."""
    if not seconds:
        return "none"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _val_curve(folder: RunFolder) -> list[tuple[float, float]]:
    """Epoch and val acc@1 (percent) of every validation in `metrics.csv`; none where nothing was trained."""
    if not folder.metrics.exists():
        return []
    return [(row["epoch"], row["val/acc1"]) for row in folder.read_metrics() if "val/acc1" in row and "epoch" in row]


def _curves(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> Markup | None:
    """A line a run, val acc@1 (0 to 100 %) over epochs; the template's CSS colours the lines `c0`, `c1`, ..."""
    drawn = [(name, points) for name, points in curves if points]
    if not drawn:
        return None
    left, top, width, height = 44, 12, 640, 250
    last = max(x for _, points in drawn for x, _ in points) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + width * x / last, top + height * (1 - y / 100)

    parts = []
    for percent in range(0, 101, 20):
        down = place(0, percent)[1]
        parts.append(f'<path class="grid" d="M{left} {down:.1f}h{width}"/>')
        parts.append(f'<text x="{left - 8}" y="{down + 4:.1f}" text-anchor="end">{percent}</text>')
    for tick in range(0, int(last) + 1, max(1, round(last / 8))):
        across = place(tick, 0)[0]
        parts.append(f'<text x="{across:.1f}" y="{top + height + 20}" text-anchor="middle">{tick}</text>')
    for i, (name, points) in enumerate(drawn):
        places = [place(x, y) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<g class="c{i % 6}"><polyline points="{line}"/>')
        for (epoch, value), (x, y) in zip(points, places, strict=True):
            text = f"{escape(name)}, epoch {epoch:.0f}: {value:.2f} %"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{text}</title></circle>')
        parts.append("</g>")
    legend = "".join(f'<li class="c{i % 6}">{escape(name)}</li>' for i, (name, _) in enumerate(drawn))
    view = f"0 0 {left + width + 16} {top + height + 28}"
    return Markup(
        f'<svg class="curves" viewBox="{view}" role="img" aria-label="acc@1 on the val split over epochs, in percent">'
        f'{"".join(parts)}</svg><ul class="legend">{legend}</ul>'
    )


def _gallery(runs: Sequence[Run], pictures: RunFolder) -> tuple[Query, ...]:
    """The answers of all `runs` to the same queries, with the thumbnails of one of them."""
    first = runs[0]
    for run in runs[1:]:
        for name in ("query_ids", "gallery_ids"):
            if not np.array_equal(getattr(run.ranking, name), getattr(first.ranking, name)):
                problem = f"its {name} are in another order than those of {first.folder.path}"
                raise InputError(run.folder.ranking, problem, "test both runs again with one version")
    photos, sketches = pictures.read_thumbnails()
    return tuple(build_gallery([(run.name, run.ranking) for run in runs], photos, sketches, QUERIES, TOP, SEED))


def hierarchies(run: Run, prefix: str) -> tuple[HierarchyView, ...]:
    """The stored examples of one run, best and worst rank first, at most `EXAMPLES` of them."""
    # A pair of one stroke and one region has nothing to fuse.
    examples = [example for example in run.folder.read_hierarchy() if example["levels"]]
    examples.sort(key=lambda example: int(example["rank"]))
    chosen = (examples[:1] + examples[:0:-1])[:EXAMPLES]
    place = {str(photo_id): i for i, photo_id in enumerate(run.ranking.gallery_ids)}
    photos = run.folder.read_thumbnails().photos
    return tuple(
        build_hierarchy(example, photos[place[str(example["photo"])]], f"{prefix}e{i}")
        for i, example in enumerate(chosen)
    )
