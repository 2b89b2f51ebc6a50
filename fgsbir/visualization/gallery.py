"""Retrieval grids: the same queries with ever less detail, answered by several systems side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from fgsbir.metrics.ranking import Ranking

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """One retrieved photo: its id, its picture as a data URI, and whether it is the true one."""

    photo_id: str
    image: str
    is_true: bool


@dataclass(frozen=True)
class Answer:
    """What one run retrieved for a query: the sketch as it saw it, the true photo's rank, the nearest photos."""

    detail: str
    sketch: str
    rank: int
    photos: tuple[Photo, ...]


@dataclass(frozen=True)
class Query:
    """One sketch and its true photo, and of each system the answers from full detail to least."""

    query_id: str
    photo_id: str
    photo: str
    answers: tuple[tuple[str, tuple[Answer, ...]], ...]


class Shown(NamedTuple):
    """One run as a gallery shows it.

    Attributes:
        ranking: of its test; all runs of a gallery have the same queries and photos in the same order.
        sketches: thumbnails of the sketches as it saw them, in query order, `(Q, H, W, 3)`.
    """

    ranking: Ranking
    sketches: UInt8Array


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
    systems: Mapping[str, Mapping[str, Shown]], photos: UInt8Array, count: int = 6, top: int = 6, seed: int = 0
) -> list[Query]:
    """The answers of several systems to the same queries, at several levels of detail.

    Args:
        systems: by the name of a system, and in it by level of detail, the run that is shown. The queries are chosen by
            the first level of each.
        photos: thumbnails in gallery order, `(G, H, W, 3)`.
        count: number of queries.
        top: photos shown a run.
        seed: seed of the choice of queries.
    """
    first = [next(iter(levels.values())).ranking for levels in systems.values()]
    chosen = pick_queries(np.stack([ranking.ranks for ranking in first]), count, seed)
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
