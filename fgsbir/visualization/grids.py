"""Retrieval grids: queries and the photos that one or several systems retrieve for them, nearest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from fgsbir.metrics.ranking import Ranking
from fgsbir.visualization.html import UInt8Array, data_uri

SEED = 0
"""Seed of the draw of queries."""
QUERIES = 6
"""Queries shown."""
TOP = 6
"""Nearest photos shown of each."""
GAP = 6
"""Pixels between two images."""
HEADING = 14
"""Height of the line above a row, in pixels."""
TRUE = (18, 146, 79)
"""Colour of the frame of the true photo, as on the report's page."""


class Photo(NamedTuple):
    """One retrieved photo: its id, its thumbnail as a data URI, and whether it is the true one."""

    photo_id: str
    image: str
    is_true: bool


class Answer(NamedTuple):
    """What one run retrieved for a query: the sketch as it saw it, the true photo's rank, the nearest photos."""

    detail: str
    sketch: str
    rank: int
    photos: tuple[Photo, ...]


class Query(NamedTuple):
    """One sketch and its true photo, and of each system the answers from full detail to least."""

    query_id: str
    photo_id: str
    photo: str
    answers: tuple[tuple[str, tuple[Answer, ...]], ...]


class Shown(NamedTuple):
    """One run as a gallery shows it.

    Attributes:
        ranking: ranking of its test; all runs of a gallery have the same queries and photos in the same order.
        sketches: thumbnails of the sketches as it saw them, in query order, `(Q, H, W, 3)`.
    """

    ranking: Ranking
    sketches: UInt8Array


def pick_queries(ranks: npt.NDArray[np.int64], count: int = QUERIES, seed: int = SEED) -> list[int]:
    """Queries from easy to hard, chosen by chance and not by eye.

    The queries are ordered by their mean rank over the systems and cut into `count` bands of equal
    size; a seeded generator draws one query from each.

    Args:
        ranks: rank of the true photo, `(systems, Q)`.
        count: number of bands; fewer queries are returned where there are fewer.
        seed: seed of the draw.

    Returns:
        Query indices, easiest band first.
    """
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    rng = np.random.default_rng(seed)
    bands = np.array_split(order, min(count, len(order)))
    return [int(rng.choice(band)) for band in bands]


def build_gallery(
    systems: Mapping[str, Mapping[str, Shown]], photos: UInt8Array, count: int = QUERIES, top: int = TOP
) -> list[Query]:
    """The answers of several systems to the same queries, at several levels of detail.

    Args:
        systems: shown runs by system, then by level of detail. The first level of each decides which queries are shown.
        photos: thumbnails in gallery order, `(G, H, W, 3)`.
        count: number of queries.
        top: photos shown a run.
    """
    first = [next(iter(levels.values())).ranking for levels in systems.values()]
    chosen = pick_queries(np.stack([ranking.ranks for ranking in first]), count)
    target = first[0].target

    def answer(detail: str, shown: Shown, query: int) -> Answer:
        nearest = shown.ranking.top[query][:top]
        found = (
            Photo(str(shown.ranking.gallery_ids[g]), data_uri(photos[g]), int(g) == int(target[query])) for g in nearest
        )
        return Answer(detail, data_uri(shown.sketches[query]), int(shown.ranking.ranks[query]), tuple(found))

    return [
        Query(
            query_id=str(first[0].query_ids[q]),
            photo_id=str(first[0].gallery_ids[int(target[q])]),
            photo=data_uri(photos[int(target[q])]),
            answers=tuple(
                (system, tuple(answer(detail, shown, q) for detail, shown in levels.items()))
                for system, levels in systems.items()
            ),
        )
        for q in chosen
    ]


def retrieval_grid(
    ranking: Ranking, photos: UInt8Array, sketches: UInt8Array, count: int = QUERIES, top: int = TOP
) -> UInt8Array:
    """Queries from easy to hard, a row each: rank, sketch, its photo, and the nearest photos, nearest first.

    Args:
        ranking: ranking of the test.
        photos: thumbnails in gallery order, `(G, S, S, 3)`.
        sketches: thumbnails in query order, `(Q, S, S, 3)`.
        count: number of rows.
        top: nearest photos shown.

    Returns:
        Image, `(H, W, 3)` uint8; the true photo is framed in green among the nearest.
    """
    side = photos.shape[1]
    row, column = side + GAP + HEADING, side + GAP
    chosen = pick_queries(ranking.ranks[None], count)
    columns = 2 + min(top, ranking.top.shape[1])
    canvas = Image.new("RGB", (columns * column + 3 * GAP, len(chosen) * row + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for i, query in enumerate(chosen):
        y, target = GAP + i * row + HEADING, int(ranking.target[query])
        draw.text((GAP, y - HEADING), f"{ranking.query_ids[query]}: rank {ranking.ranks[query]}", fill="black")
        shown = [sketches[query], photos[target], *(photos[g] for g in ranking.top[query, : columns - 2])]
        for j, image in enumerate(shown):
            x = GAP + j * column + (2 * GAP if j > 1 else 0)  # the query stands apart from what it retrieves
            canvas.paste(Image.fromarray(image), (x, y))
            if j > 1 and ranking.top[query, j - 2] == target:
                draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=TRUE, width=3)
    return np.asarray(canvas)
