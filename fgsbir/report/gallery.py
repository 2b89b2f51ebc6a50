"""Retrieval grids: the same queries, answered by several systems side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from fgsbir.retrieval.ranking import Ranking

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Cell:
    """One retrieved photo: its id, its picture as a data URI, and whether it is the true one."""

    photo_id: str
    image: str
    is_true: bool


@dataclass(frozen=True)
class Answer:
    """What one system retrieved for a query: the true photo's rank and the nearest photos, nearest first."""

    system: str
    rank: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Query:
    """One sketch, its true photo, and the answer of each system; images are data URIs."""

    query_id: str
    photo_id: str
    sketch: str
    photo: str
    answers: tuple[Answer, ...]


def data_uri(image: UInt8Array, kind: Literal["JPEG", "PNG"] = "JPEG") -> str:
    """An image, `(H, W, 3)` or `(H, W, 4)` uint8, as a `data:` URI that needs no other file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, quality=85, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def pick_queries(ranks: npt.NDArray[np.int64], count: int = 8, seed: int = 0) -> list[int]:
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
    rankings: Sequence[tuple[str, Ranking]],
    photos: UInt8Array,
    sketches: UInt8Array,
    count: int = 8,
    top: int = 8,
    seed: int = 0,
) -> list[Query]:
    """The answers of several systems to the same queries.

    Args:
        rankings: system name and ranking; all over the same queries and the same gallery.
        photos: thumbnails in gallery order, `(G, H, W, 3)`.
        sketches: thumbnails in query order, `(Q, H, W, 3)`.
        count: number of queries.
        top: photos shown a system.
        seed: seed of the choice of queries.
    """
    first = rankings[0][1]
    chosen = pick_queries(np.stack([np.asarray(ranking.ranks) for _, ranking in rankings]), count, seed)

    def answer(system: str, ranking: Ranking, query: int) -> Answer:
        true = int(ranking.target[query])
        cells = (
            Cell(str(ranking.gallery_ids[g]), data_uri(photos[g]), int(g) == true) for g in ranking.top[query][:top]
        )
        return Answer(system, int(ranking.ranks[query]), tuple(cells))

    return [
        Query(
            query_id=str(first.query_ids[q]),
            photo_id=str(first.gallery_ids[int(first.target[q])]),
            sketch=data_uri(sketches[q]),
            photo=data_uri(photos[int(first.target[q])]),
            answers=tuple(answer(system, ranking, q) for system, ranking in rankings),
        )
        for q in chosen
    ]
