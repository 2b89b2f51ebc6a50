"""Claims of Sain et al. 2020, and of ours, tested on our runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fgsbir.metrics.ranking import paired_interval, paired_test
from fgsbir.report.cells import stem_of
from fgsbir.report.collected import Dataset
from fgsbir.report.paper import Published, of_dataset, published
from fgsbir.report.paper_tables import SIGNIFICANT, table_of
from fgsbir.visualization.tables import EMPTY, Cell, Column, Row, Table


class Claim(NamedTuple):
    """One system is better than another.

    Attributes:
        text: the claim, the paper's or ours.
        better: stem of the experiment claimed to be better.
        worse: stem of the experiment claimed to be worse.
        k: k of the acc@k that decides.
    """

    text: str
    better: str
    worse: str
    k: int = 1


CLAIMS = (
    Claim("The whole model beats one vector an image", "proposed", "b_siamese"),
    Claim("Matching in pairs by a gate beats one vector", "b_gated_siamese", "b_siamese"),
    Claim("Strokes and regions that attend to each other beat one vector", "b_localised_coattn", "b_siamese"),
    Claim("The hierarchy adds to co-attention (w/o Hierarchy)", "proposed", "b_localised_coattn"),
    Claim("Co-attention adds to the hierarchy (w/o Localised-Coattn)", "proposed", "without_localised_coattn"),
    Claim("A hierarchy found for the pair beats the hierarchy of containment", "proposed", "explicit_hierarchy"),
    Claim("Fusing two nodes at a time beats pooling graphs", "proposed", "b_graph_hierarchy"),
    Claim("Ours: keeping the spatial layout beats one pooled vector (Layout-Siamese)", "layout_siamese", "b_siamese"),
    Claim("Ours: strokes, regions and hierarchy add to the layout", "proposed", "layout_siamese"),
    Claim("On coarse sketches the whole model beats one vector", "proposed_coarse", "b_siamese_coarse", 10),
    Claim("On coarse++ sketches the whole model beats one vector", "proposed_coarse_plus", "b_siamese_coarse_plus", 10),
    Claim("16 regions beat 8", stem_of("Proposed"), stem_of("Proposed", regions=8)),
)


def claims_table(dataset: Dataset, recipe: str) -> Table | None:
    """The claims with the paper's difference and ours; None for a dataset without both.

    A claim *holds* if our difference has its sign and p < 0.05 by a paired bootstrap over photos,
    is *reversed* if it has the other sign and p < 0.05, and else is *not shown*.
    """
    paper = of_dataset(published(), dataset.name)
    rows = [_row(claim, dataset, recipe, paper) for claim in CLAIMS]
    if not paper or not any(row[-1].values for row in rows):
        return None
    columns = (
        Column("", "Claim", ("claim",), True),
        Column("", "Metric", ("metric",), True),
        Column("Paper", "Difference", ("paper_difference",)),
        Column("Ours", "Difference", ("difference", "low", "high")),
        Column("Ours", "p", ("p",)),
        Column("Ours", "Verdict", ("verdict",), True),
    )
    notes = (
        "Differences in percentage points. Paper: differences of its tables, one run each, chosen on the test split.",
        "Ours: between means over the seeds that both have; in brackets the 95 % interval, and p, by a paired"
        " bootstrap over photos.",
        f"A claim holds if our difference has the same sign and p < {SIGNIFICANT}; it is reversed if it has the other"
        " sign and such a p; else it is not shown. An empty cell was not run.",
    )
    return table_of(dataset, recipe, "claims", "what the paper claims, tested on our runs", columns, [rows], notes)


def _row(claim: Claim, dataset: Dataset, recipe: str, published: dict[str, Published]) -> Row:
    first = (Cell(claim.text, (claim.text,)), Cell(f"acc@{claim.k}", (f"acc{claim.k}",)))
    printed = [getattr(published.get(stem), f"acc{claim.k}", None) for stem in (claim.better, claim.worse)]
    theirs = [float(score) for score in printed if score is not None]
    paper = Cell("–")
    if len(theirs) == 2:
        apart = round(theirs[0] - theirs[1], 2)
        paper = Cell(f"{apart:+.2f}", (apart,))
    better, worse = (dataset.only(recipe, stem) for stem in (claim.better, claim.worse))
    if better is None or worse is None:
        return (*first, paper, EMPTY, EMPTY, EMPTY)
    seeds = {run.result.seed for run in better.runs} & {run.result.seed for run in worse.runs}
    if not seeds:
        return (*first, paper, EMPTY, EMPTY, EMPTY)
    ours, other = (
        np.stack([run.ranking.ranks for run in group.runs if run.result.seed in seeds]) for group in (better, worse)
    )
    difference, p = paired_test(ours, other, better.photos, claim.k)
    low, high = paired_interval(ours, other, better.photos, claim.k)
    verdict = "not shown" if p >= SIGNIFICANT else "holds" if difference > 0 else "reversed"
    apart_by = Cell(f"{difference:+.2f}", (difference, low, high), f"[{low:+.1f}, {high:+.1f}]")
    return (*first, paper, apart_by, Cell(f"{p:.3f}", (p,)), Cell(verdict, (verdict,)))
