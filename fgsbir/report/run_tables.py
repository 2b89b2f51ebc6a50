"""Tables of our runs alone: costs, the region study, scores while drawing, and every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgsbir.metrics.on_the_fly import MOMENTS, drawing_scores
from fgsbir.metrics.ranking import bootstrap_interval, mean_interval, summarise
from fgsbir.report.cells import REGIONS, stem_of
from fgsbir.report.collected import Dataset, Group
from fgsbir.report.paper import region_curve
from fgsbir.report.paper_tables import accuracy, chance, table_of
from fgsbir.runs.result import Result
from fgsbir.visualization.tables import EMPTY, Cell, Column, Row, Table, plain, rounded, short_number, spread


def cost_table(dataset: Dataset, recipe: str) -> Table | None:
    """Costs of each system on full sketches; None without runs."""
    groups = dataset.on_full_sketches(recipe)
    if not groups:
        return None
    columns = (
        Column("", "System", ("system", "experiment", "config_hash"), True),
        Column("Parameters", "all", ("parameters",)),
        Column("Parameters", "trained", ("trained_parameters",)),
        Column("FLOPs", "sketch", ("sketch_flops",)),
        Column("FLOPs", "photo", ("photo_flops",)),
        Column("FLOPs", "pair", ("pair_flops",)),
        Column("Test", "ms a query", ("query_ms", "query_ms_sd")),
        Column("Test", "MiB", ("peak_memory_mib", "peak_memory_mib_sd")),
        Column("Training", "s", ("train_seconds", "train_seconds_sd")),
    )
    tested, trained = machines([run.result for group in groups for run in group.runs])
    notes = (
        "FLOPs of convolutions and matrix products, to encode a sketch of 10 strokes, to encode a photo with the "
        "experiment's number of regions, and to match the two; distances between vectors count 0.",
        f"ms a query: to encode a test sketch and match it with the whole gallery of {groups[0].first.n_gallery:,} "
        "encoded photos, in batches. MiB: the peak until the end of the test, of the GPU's tensors, else of the "
        "process. Means ± deviations over seeds; an empty cell was not measured.",
        f"Tested on {tested}. Trained on {trained}.",
    )
    rows = [_cost_row(dataset, group) for group in groups]
    return table_of(dataset, recipe, "costs", "costs", columns, [rows], notes)


def machines(results: Sequence[Result]) -> tuple[str, str]:
    """The machines of the tests and of the trainings, each in one line."""
    tested = {result.hardware for result in results}
    trained = {result.train_hardware for result in results if result.best_epoch is not None}
    named = sorted(name for name in trained if name is not None)
    named += ["not noted (earlier versions)"] if None in trained else []
    return "; ".join(sorted(tested)), "; ".join(named) or "none"


def _cost_row(dataset: Dataset, group: Group) -> Row:
    first, results = group.first, [run.result for run in group.runs]
    label = dataset.label(group)
    numbers = (first.all_parameters, first.parameters, first.sketch_flops, first.photo_flops, first.pair_flops)
    return (
        Cell(label, (label, first.experiment, first.config_hash)),
        *(EMPTY if number is None else Cell(short_number(number), (number,)) for number in numbers),
        spread([result.query_ms for result in results]),
        spread([result.peak_memory_mib for result in results], "{:.0f}".format),
        spread([result.train_seconds for result in results], "{:.0f}".format),
    )


def region_table(dataset: Dataset, recipe: str) -> Table | None:
    """Accuracy and time of Proposed over the number of regions; None unless two numbers were run.

    A number of regions that several configurations ran with has an empty cell.
    """
    groups = {k: dataset.only(recipe, stem_of("Proposed", regions=k)) for k in sorted(REGIONS)}
    if sum(group is not None for group in groups.values()) < 2:
        return None
    curve = {point.regions: point for point in region_curve()}
    rows = []
    for k, group in groups.items():
        ours = [EMPTY] * 3
        if group is not None:
            times = [None if run.result.query_ms is None else run.result.query_ms / 1000 for run in group.runs]
            ours = [accuracy(group, None, 1), spread(times, "{:.4f}".format), plain(len(group.runs))]
        rows.append((plain(k), rounded(curve[k].acc1), rounded(curve[k].seconds), *ours))
    columns = (
        Column("", "Regions", ("regions",)),
        Column("Paper", "acc@1", ("paper_acc1",)),
        Column("Paper", "s a query", ("paper_seconds",)),
        Column("Ours", "acc@1", ("acc1", "acc1_sd", "acc1_low", "acc1_high", "acc1_p")),
        Column("Ours", "s a query", ("seconds", "seconds_sd")),
        Column("Ours", "Seeds", ("seeds",)),
    )
    notes = (
        "Paper: the region figure of Sain et al. 2020, on ChairV2; its axis says “Time (s)”, which we take to be of a"
        " query against 100 photos.",
        "Ours: mean ± deviation over seeds, in brackets the 95 % interval by a bootstrap over photos; a query is"
        " encoded and matched with the whole gallery.",
    )
    return table_of(dataset, recipe, "regions", "Proposed with more or fewer regions", columns, [rows], notes)


def measured_while_drawing(dataset: Dataset, recipe: str) -> list[Group]:
    """The groups of a recipe, or without training, that have ranks while drawing."""
    return [g for g in dataset.groups if g.first.recipe in (recipe, "none") and g.drawing is not None]


def drawing_table(dataset: Dataset, recipe: str) -> Table | None:
    """How soon each system finds the photo while the sketch is drawn; None where that was not measured."""
    groups = measured_while_drawing(dataset, recipe)
    if not groups:
        return None
    columns = (
        Column("", "System", ("system", "experiment", "config_hash"), True),
        *(
            Column("", title, (key, *(f"{key}_{statistic}" for statistic in ("sd", "low", "high"))))
            for title, key in (("m@A", "m_a"), ("m@B", "m_b"))
        ),
        Column("", "Seeds", ("seeds",)),
    )
    guess = drawing_scores(np.arange(1, groups[0].first.n_gallery + 1), groups[0].first.n_gallery)
    last = [Cell(f"{score.mean():.2f}", (score.mean(), None, None, None)) for score in guess]
    notes = (
        f"In percent, means over {MOMENTS} moments of each drawing, at equal shares of its ink, and over sketches. m@A:"
        " the ranking percentile (100 % where the true photo is first, 0 % where it is last). m@B: 1/rank. After"
        " Bhunia et al., CVPR 2020, whose moments differ.",
        "Mean ± deviation over seeds; in brackets the 95 % interval of the mean, by a bootstrap over photos.",
    )
    rows = [_drawing_row(dataset, group) for group in groups]
    parts = [rows, [(Cell("chance", ("chance", None, None)), *last, EMPTY)]]
    return table_of(dataset, recipe, "on_the_fly", "while the sketch is being drawn", columns, parts, notes)


def _drawing_row(dataset: Dataset, group: Group) -> Row:
    assert group.drawing is not None
    label, cells = dataset.label(group), []
    for scores in group.drawing:
        low, high = mean_interval(scores.mean((0, 2)), group.photos)
        cell = spread(scores.mean((1, 2)).tolist())
        cells.append(cell._replace(values=(*cell.values, low, high), note=f"[{low:.1f}, {high:.1f}]"))
    seeds = " ".join(str(run.result.seed) for run in group.runs if run.drawing is not None)
    return (
        Cell(label, (label, group.first.experiment, group.first.config_hash)),
        *cells,
        Cell(str(len(seeds.split())), (seeds,)),
    )


def every_run(dataset: Dataset) -> Table:
    """One row a run, best first, then guessing."""
    columns = (
        Column("", "System", ("system",), True),
        Column("", "Experiment", ("experiment",), True),
        Column("", "Recipe", ("recipe",), True),
        Column("", "Seed", ("seed",)),
        Column("", "acc@1", ("acc1", "acc1_low", "acc1_high")),
        Column("", "acc@5", ("acc5",)),
        Column("", "acc@10", ("acc10",)),
        Column("", "Mean rank", ("mean_rank",)),
        Column("", "MRR", ("mrr",)),
        Column("", "val acc@1", ("val_acc1",)),
        Column("", "Best epoch", ("best_epoch",)),
        Column("", "Configuration", ("config_hash",), True),
        Column("", "Commit", ("commit",), True),
    )
    rows = []
    runs = [run for group in dataset.groups for run in group.runs]
    for run in sorted(runs, key=lambda run: (-run.result.acc1, run.result.experiment, run.result.seed)):
        result, metrics = run.result, summarise(run.ranking.ranks)
        low, high = bootstrap_interval(run.ranking.ranks, run.ranking.target)
        first = Cell(f"{metrics['acc1']:.2f}", (metrics["acc1"], low, high), f"[{low:.1f}, {high:.1f}]")
        rows.append(
            (
                *map(plain, (result.system, result.experiment, result.recipe, result.seed)),
                first,
                *_metrics(metrics),
                rounded(result.val_acc1),
                plain(result.best_epoch),
                plain(result.config_hash),
                EMPTY if result.commit is None else Cell(result.commit[:7], (result.commit,)),
            )
        )
    guess = chance(dataset.groups[0].first.n_gallery)
    last = (Cell("chance", ("chance",)), *[EMPTY] * 3, Cell(f"{guess['acc1']:.2f}", (guess["acc1"], None, None)))
    notes = (
        "Accuracies and MRR in percent. The checkpoint tested is the best on val; epochs count from 0. “chance”"
        " is computed, not run: the mean score of guessing.",
    )
    parts = [rows, [(*last, *_metrics(guess), *[EMPTY] * 4)]]
    return table_of(dataset, None, "runs", "every run", columns, parts, notes)


def _metrics(metrics: dict[str, float]) -> list[Cell]:
    return [rounded(metrics[name]) for name in ("acc5", "acc10", "mean_rank", "mrr")]
