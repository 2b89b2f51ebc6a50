"""Pictures of one run's test, from its folder alone."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fgsbir.metrics.ranking import Ranking
from fgsbir.report.collected import Run
from fgsbir.report.formats import templates
from fgsbir.report.page import QUERIES, SEED, TOP, hierarchies
from fgsbir.runs.folder import RunFolder
from fgsbir.visualization.gallery import UInt8Array, pick_queries

GAP = 6
"""Pixels between two pictures."""
HEADING = 14
"""Height of the line that tells a query's rank, in pixels."""
TRUE = (18, 146, 79)
"""Colour of the frame of the true photo, as on the report's page."""


def retrieval_grid(
    ranking: Ranking, photos: UInt8Array, sketches: UInt8Array, count: int = QUERIES, top: int = TOP
) -> UInt8Array:
    """Queries from easy to hard, a row each: rank, sketch, its photo, and the nearest photos, nearest first.

    Args:
        ranking: of the test.
        photos: thumbnails in gallery order, `(G, S, S, 3)`.
        sketches: thumbnails in query order, `(Q, S, S, 3)`.
        count: number of rows.
        top: nearest photos shown.

    Returns:
        One picture, `(H, W, 3)` uint8; the true photo is framed in green among the nearest.
    """
    side = photos.shape[1]
    row, column = side + GAP + HEADING, side + GAP
    chosen = pick_queries(ranking.ranks[None], count, SEED)
    columns = 2 + min(top, ranking.top.shape[1])
    canvas = Image.new("RGB", (columns * column + 3 * GAP, len(chosen) * row + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for i, query in enumerate(chosen):
        y, target = GAP + i * row + HEADING, int(ranking.target[query])
        draw.text((GAP, y - HEADING), f"{ranking.query_ids[query]}: rank {ranking.ranks[query]}", fill="black")
        shown = [sketches[query], photos[target], *(photos[g] for g in ranking.top[query, : columns - 2])]
        for j, picture in enumerate(shown):
            x = GAP + j * column + (2 * GAP if j > 1 else 0)  # what was asked stands apart from what was found
            canvas.paste(Image.fromarray(picture), (x, y))
            if j > 1 and ranking.top[query, j - 2] == target:
                draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=TRUE, width=3)
    return np.asarray(canvas)


def hierarchy_pages(folder: RunFolder) -> list[str]:
    """The merge trees of the best and the worst ranked of the stored pairs, an HTML page each that needs no other file.

    Raises:
        InputError: if a file of the run is missing or damaged.
    """
    run = Run(folder, folder.read_result(), folder.read_ranking())
    page = templates().get_template("hierarchy_page.html.j2")
    return [page.render(view=view) for view in hierarchies(run, "h")]
