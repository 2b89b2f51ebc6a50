"""The answer to a search as one self-contained HTML page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fgsbir.data.reading import placed
from fgsbir.files import atomic_write
from fgsbir.search.searcher import Found, Searcher
from fgsbir.sketch.formats.svg import svg_points
from fgsbir.sketch.strokes import VectorSketch
from fgsbir.visualization.html import encoded_uri, templates
from fgsbir.visualization.trees import HierarchyView, build_hierarchy

EXPLAINED = 3
"""Number of photos whose merge trees are shown."""


def write_page(searcher: Searcher, name: str, sketch: VectorSketch, found: Found, page: Path) -> None:
    """Writes the page: the sketch and its name, the photos found, and the merge trees of the nearest ones.

    Raises:
        InputError: if it cannot be written.
    """
    shown = placed(sketch, searcher.index.manifest.margin)
    model = searcher.index.manifest.model
    html = (
        templates("fgsbir.search")
        .get_template("search.html.j2")
        .render(
            sketch=name,
            system=model.system,
            experiment=model.experiment,
            photos=f"{len(searcher):,}",
            milliseconds=f"{found.encode_ms + found.first_ms + found.match_ms:.0f}",
            ink=[svg_points(stroke, 100) for stroke in shown.strokes],
            hits=[
                {
                    "photo": hit.photo,
                    "distance": f"{hit.distance:.4f}",
                    "image": encoded_uri(searcher.thumbnail(hit.photo)),
                }
                for hit in found.hits
            ],
            views=_views(searcher, name, sketch, found),
        )
    )
    with atomic_write(page, "w") as file:
        file.write(html)


def _views(searcher: Searcher, name: str, sketch: VectorSketch, found: Found) -> list[HierarchyView]:
    """The merge trees of the first photos; none if the system has none or there is nothing to merge."""
    views = []
    for rank, hit in enumerate(found.hits[:EXPLAINED], start=1):
        pair = searcher.explain(sketch, hit.photo)
        if pair is None or not pair.explanation.levels:
            continue
        view = build_hierarchy(
            pair.explanation,
            [stroke for stroke in pair.strokes if stroke],
            pair.photo_boxes,
            np.asarray(Image.open(io.BytesIO(searcher.thumbnail(hit.photo)))),
            query_id=name,
            photo_id=hit.photo,
            title=f"{name} and {hit.photo}",
            prefix=f"p{rank}",
        )
        views.append(view)
    return views
