"""The hierarchy that a system discovers in one sketch and one photo, drawn as inline SVG.

After Sain et al. 2020, slides 6 to 8: each level applies co-attention between the two sets of nodes and
then fuses one pair of nodes in each branch, until one node is left in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

from fgsbir.metrics.ranking import Ranking
from fgsbir.models.merge_tree import Explanation, MergeTree
from fgsbir.sketch.formats.svg import svg_points
from fgsbir.visualization.html import UInt8Array, data_uri, templates

CELL = 54  # pixels from one node of a drawn tree to the next
THUMB = 46  # side of a node's thumbnail
HEAT = 26  # side of a cell in the large attention map
INK = (59, 130, 246)  # colour of full attention; readable on light and dark
WHOLE = '<rect class="whole" x="2" y="2" width="96" height="96" rx="6"/>'  # marks a node that contains the whole
EXAMPLES = 2
"""Stored pairs of a run that are drawn."""

Strokes = Sequence[Sequence[Sequence[float]]]
Boxes = Sequence[Sequence[float]]


class LevelView(NamedTuple):
    """One level: its nodes over sketch and photo, and two small maps of co-attention, rows sketch, columns photo nodes.

    A system without co-attention has no maps.
    """

    title: str
    image: Markup
    to_photo: Markup | None
    to_sketch: Markup | None


class HierarchyView(NamedTuple):
    """Everything a page shows of one pair; the SVGs refer to the symbols in `symbols`."""

    query_id: str
    photo_id: str
    title: str
    symbols: Markup
    sketch: Markup
    photo: Markup
    sketch_tree: Markup
    photo_tree: Markup
    attention: Markup | None
    levels: tuple[LevelView, ...]


def build_hierarchy(
    explanation: Explanation,
    strokes: Strokes,
    boxes: Boxes,
    photo: UInt8Array,
    *,
    query_id: str,
    photo_id: str,
    title: str,
    prefix: str,
) -> HierarchyView:
    """Draws what a hierarchy did to one pair.

    Args:
        explanation: merges and attention of the pair.
        strokes: points of each stroke, x and y in [0, 1]; the node of the whole sketch, if any, is not among them.
        boxes: x1, y1, x2, y2 of each region, in [0, 1].
        photo: thumbnail of the photo, `(H, W, 3)`; it is centred in the square frame of the boxes.
        query_id: id of the sketch.
        photo_id: id of the photo.
        title: heading of the drawing.
        prefix: start of every SVG id of this pair, unique on the page.
    """
    sketch_tree = MergeTree.from_merges(explanation.sketch_merges)
    photo_tree = MergeTree.from_merges(explanation.photo_merges)
    symbols = [
        *_stroke_shapes(strokes, prefix),
        *(_sketch_symbol(node, members, strokes, prefix) for node, members in enumerate(sketch_tree.members)),
        f'<image id="{prefix}-photo" width="100" height="100" href="{data_uri(photo)}"/>',
        *(_photo_symbol(node, members, boxes, prefix) for node, members in enumerate(photo_tree.members)),
    ]
    branches = _Branches(strokes, boxes, sketch_tree.members, photo_tree.members)
    levels = explanation.levels
    return HierarchyView(
        query_id=query_id,
        photo_id=photo_id,
        title=title,
        symbols=Markup("".join(symbols)),
        sketch=_frame(f"Sketch {query_id}, each stroke in its own colour", f'<use href="#{prefix}-ink"/>'),
        photo=_frame(
            f"Photo {photo_id} with its regions",
            f'<use href="#{prefix}-photo"/>' + "".join(_box(box, _colour(i)) for i, box in enumerate(boxes)),
        ),
        sketch_tree=_tree(sketch_tree, f"{prefix}-s", "Merge tree of the strokes"),
        photo_tree=_tree(photo_tree, f"{prefix}-p", "Merge tree of the photo regions"),
        attention=_attention(levels[0], prefix) if levels and _has_maps(levels[0]) else None,
        levels=tuple(
            _level(i, level, later, branches, prefix)
            for i, (level, later) in enumerate(zip(levels, [*levels[1:], None], strict=True), start=1)
        ),
    )


def stored_hierarchies(
    examples: Sequence[Mapping[str, Any]], ranking: Ranking, photos: UInt8Array, prefix: str
) -> tuple[HierarchyView, ...]:
    """The best and the worst ranked of the pairs that a run stored, at most `EXAMPLES` of them.

    Args:
        examples: entries of its `hierarchy.json`: ids, rank, strokes and boxes, and the fields of an `Explanation`.
        ranking: ranking of its test.
        photos: thumbnails in gallery order, `(G, H, W, 3)`.
        prefix: start of every SVG id, unique on the page.
    """
    # A pair of one stroke and one region has nothing to fuse.
    ranked = sorted((example for example in examples if example["levels"]), key=lambda example: int(example["rank"]))
    index = {str(photo_id): i for i, photo_id in enumerate(ranking.gallery_ids)}
    return tuple(
        build_hierarchy(
            Explanation(*(example[name] for name in Explanation._fields)),
            example["strokes"],
            example["region_boxes"],
            photos[index[str(example["photo"])]],
            query_id=str(example["query"]),
            photo_id=str(example["photo"]),
            title=f"Sketch {example['query']}: true photo at rank {example['rank']}",
            prefix=f"{prefix}e{i}",
        )
        for i, example in enumerate((ranked[:1] + ranked[:0:-1])[:EXAMPLES])
    )


def hierarchy_page(view: HierarchyView) -> str:
    """A drawn hierarchy as an HTML page that needs no other file."""
    return templates().get_template("hierarchy_page.html.j2").render(view=view)


def _colour(index: int) -> str:
    """Colour of a leaf; steps of the golden angle keep neighbours apart."""
    return f"hsl({index * 137.5 % 360:.0f} 70% {(40, 48)[index % 2]}%)"


def _stroke_shapes(strokes: Strokes, prefix: str) -> list[str]:
    """One shape a stroke in a 100 x 100 frame, and all of them in colour as one group."""
    shapes = [
        f'<polyline id="{prefix}-k{i}" class="ink" points="{svg_points(stroke, 100)}"/>'
        for i, stroke in enumerate(strokes)
    ]
    coloured = (f'<use href="#{prefix}-k{i}" stroke="{_colour(i)}"/>' for i in range(len(strokes)))
    return [*shapes, f'<g id="{prefix}-ink">{"".join(coloured)}</g>']


def _sketch_symbol(node: int, members: Sequence[int], strokes: Strokes, prefix: str) -> str:
    """A node's strokes in colour over the rest in grey; framed if the whole-sketch node is among its leaves."""
    uses = [f'<use href="#{prefix}-k{i}" class="faint"/>' for i in range(len(strokes)) if i not in members]
    uses += [f'<use href="#{prefix}-k{i}" stroke="{_colour(i)}"/>' for i in members if i < len(strokes)]
    holds_whole = any(i >= len(strokes) for i in members)
    if holds_whole and len(members) == 1:
        uses = [f'<use href="#{prefix}-ink"/>']
    # Only the part of the frame that has ink, so that small strokes can be seen.
    points = 100 * np.concatenate([np.asarray(stroke, dtype=np.float64).reshape(-1, 2) for stroke in strokes])
    side = max(float(np.ptp(points, axis=0).max()), 1.0) + 8
    left, top = (points.min(axis=0) + points.max(axis=0) - side) / 2
    ink = f'<svg viewBox="{left:.1f} {top:.1f} {side:.1f} {side:.1f}" width="100" height="100">{"".join(uses)}</svg>'
    return _symbol(f"{prefix}-s{node}", ink + (WHOLE if holds_whole else ""))


def _photo_symbol(node: int, members: Sequence[int], boxes: Boxes, prefix: str) -> str:
    """A leaf is its region cut out; a fused node is the photo with its regions lit and the rest dimmed."""
    photo = f'<use href="#{prefix}-photo"/>'
    if len(members) == 1:
        x1, y1, x2, y2 = boxes[members[0]]
        width, height = max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)
        scale = 88 / max(width, height)
        w, h = width * scale, height * scale
        frame = f'x="{50 - w / 2:.1f}" y="{50 - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}"'
        view = f"{100 * x1:.2f} {100 * y1:.2f} {100 * width:.2f} {100 * height:.2f}"
        crop = f'<svg {frame} viewBox="{view}" preserveAspectRatio="none">{photo}</svg>'
        return _symbol(f"{prefix}-p{node}", f'{crop}<rect {frame} class="box" stroke="{_colour(members[0])}"/>')
    # The whole image would light everything: it is shown as a frame instead.
    parts = [i for i in members if (boxes[i][2] - boxes[i][0]) * (boxes[i][3] - boxes[i][1]) <= 0.98]
    lit = "".join(_box(boxes[i], "none") for i in parts)
    clip = f'<clipPath id="{prefix}-c{node}">{lit}</clipPath>'
    body = f'<g opacity="0.25">{photo}</g><g clip-path="url(#{prefix}-c{node})">{photo}</g>'
    body += "".join(_box(boxes[i], _colour(i)) for i in parts)
    body += WHOLE if len(parts) < len(members) else ""
    return clip + _symbol(f"{prefix}-p{node}", body)


def _symbol(name: str, body: str) -> str:
    """A thumbnail in a 100 x 100 frame on white paper."""
    paper = '<rect class="paper" x="1" y="1" width="98" height="98" rx="8"/>'
    return f'<symbol id="{name}" class="node" viewBox="0 0 100 100">{paper}{body}</symbol>'


def _box(box: Sequence[float], colour: str) -> str:
    """A region's outline in a 100 x 100 frame."""
    x1, y1, x2, y2 = (100 * float(v) for v in box)
    size = f'width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"'
    return f'<rect class="box" x="{x1:.1f}" y="{y1:.1f}" {size} stroke="{colour}"/>'


def _frame(label: str, body: str) -> Markup:
    """A large image in a 100 x 100 frame on white paper."""
    paper = '<rect class="paper" width="100" height="100" rx="2"/>'
    return Markup(
        f'<svg class="picture" viewBox="0 0 100 100" role="img" aria-label="{escape(label)}">{paper}{body}</svg>'
    )


def _tree(tree: MergeTree, symbols: str, label: str) -> Markup:
    """A dendrogram, leaves on the left, one column a fusion; node `i` shows the symbol `{symbols}{i}`."""
    head = 18
    places = [(THUMB / 2 + 2 + CELL * column, head + CELL * (row + 0.5)) for column, row in tree.places()]
    edges, nodes = [], []
    for k, pair in enumerate(tree.merges):
        x, y = places[tree.leaves + k]
        edges += [f"M{places[child][0]:.0f} {places[child][1]:.1f}H{x:.0f}V{y:.1f}" for child in pair]
        nodes.append(f'<text x="{x:.0f}" y="12">{k + 1}</text>')
    for node, (x, y) in enumerate(places):
        corner = f'x="{x - THUMB / 2:.0f}" y="{y - THUMB / 2:.1f}"'
        nodes.append(f'<use href="#{symbols}{node}" {corner} width="{THUMB}" height="{THUMB}"/>')
    width, height = CELL * (len(tree.merges) + 1), head + CELL * tree.leaves
    label = f"{label}: {tree.leaves} leaves, {len(tree.merges)} fusions"
    return Markup(
        f'<svg class="tree" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><path class="edge" d="{"".join(edges)}"/>{"".join(nodes)}</svg>'
    )


def _heat(values: Any) -> tuple[str, int, int, float]:
    """An attention map as a tiny PNG, opacity the weight over its maximum: URI, rows, columns, maximum."""
    weights = np.atleast_2d(np.asarray(values, dtype=np.float64))
    peak = float(weights.max())
    image = np.empty((*weights.shape, 4), dtype=np.uint8)
    image[..., :3] = INK
    image[..., 3] = np.rint(255 * weights / max(peak, 1e-12))
    return data_uri(image, "PNG"), weights.shape[0], weights.shape[1], peak


class _Branches(NamedTuple):
    """The leaves of one pair, and those under each node of its trees."""

    strokes: Strokes
    boxes: Boxes
    sketch: list[list[int]]
    photo: list[list[int]]


def _has_maps(level: Mapping[str, Any]) -> bool:
    return level.get("sketch_to_photo") is not None


def _level(
    number: int, level: Mapping[str, Any], later: Mapping[str, Any] | None, branches: _Branches, prefix: str
) -> LevelView:
    """A level; nodes that are missing in the `later` level are fused in this one."""

    def small(values: Any, label: str) -> Markup:
        uri, rows, columns, peak = _heat(values)
        text = f"Level {number}, {label}: {rows} by {columns}, maximum {peak:.2f}"
        return Markup(
            f'<svg class="heat" width="{7 * columns}" height="{7 * rows}" role="img" aria-label="{text}"><title>{text}'
            f'</title><image class="pixels" href="{uri}" width="100%" height="100%" preserveAspectRatio="none"/></svg>'
        )

    to_photo = to_sketch = None
    if _has_maps(level):
        to_photo = small(level["sketch_to_photo"], "attention of the sketch over the photo")
        to_sketch = small(np.asarray(level["photo_to_sketch"]).T, "attention of the photo over the sketch")
    title = f"Level {number}: {len(level['sketch_nodes'])} × {len(level['photo_nodes'])}"
    return LevelView(title, _level_image(title, level, later, branches, prefix), to_photo, to_sketch)


def _level_image(
    title: str, level: Mapping[str, Any], later: Mapping[str, Any] | None, branches: _Branches, prefix: str
) -> Markup:
    """The nodes of a level over sketch and photo, a colour each, and from each sketch node to where it attends most.

    A node has the colour of its first leaf. The nodes that are fused next are drawn heavier.
    """
    right = 120  # where the photo's frame begins; both are 100 x 100
    kept = {name: set(later[name] if later else []) for name in ("sketch_nodes", "photo_nodes")}

    def weight(name: str, node: int) -> str:
        return ' class="fused"' if len(level[name]) > 1 and node not in kept[name] else ""

    ink, regions, links = [], [], []
    for node in level["sketch_nodes"]:
        leaves = branches.sketch[node]
        uses = [
            f'<use href="#{prefix}-k{i}" stroke="{_colour(min(leaves))}"/>'
            for i in leaves
            if i < len(branches.strokes)  # behind the strokes is the node of the whole sketch, without ink of its own
        ]
        ink.append(f"<g{weight('sketch_nodes', node)}>{''.join(uses)}</g>")
    for node in level["photo_nodes"]:
        leaves = branches.photo[node]
        boxes = "".join(_box(branches.boxes[i], _colour(min(leaves))) for i in leaves)
        regions.append(f"<g{weight('photo_nodes', node)}>{boxes}</g>")
    if _has_maps(level):
        attention = np.asarray(level["sketch_to_photo"], dtype=np.float64).reshape(len(level["sketch_nodes"]), -1)
        for node, weights in zip(level["sketch_nodes"], attention, strict=True):
            x1, y1 = _centre_of_strokes(branches, branches.sketch[node])
            x2, y2 = _centre_of_boxes(branches, branches.photo[level["photo_nodes"][int(weights.argmax())]])
            links.append(
                f'<path class="link" d="M{x1:.1f} {y1:.1f}L{right + x2:.1f} {y2:.1f}" '
                f'stroke="{_colour(min(branches.sketch[node]))}" stroke-opacity="{0.25 + 0.75 * weights.max():.2f}"/>'
            )
    paper = '<rect class="paper" width="100" height="100" rx="2"/>'
    return Markup(
        f'<svg class="level" viewBox="0 0 {right + 100} 100" role="img" aria-label="{escape(title)}">'
        f'{paper}{"".join(ink)}<g transform="translate({right})">{paper}<use href="#{prefix}-photo" opacity="0.45"/>'
        f"{''.join(regions)}</g>{''.join(links)}</svg>"
    )


def _centre_of_strokes(branches: _Branches, leaves: Sequence[int]) -> tuple[float, float]:
    """Middle of the ink of a sketch node; the node of the whole sketch, behind the strokes, has all of it."""
    own = range(len(branches.strokes)) if max(leaves) >= len(branches.strokes) else leaves
    points = 100 * np.concatenate([np.asarray(branches.strokes[i], dtype=np.float64).reshape(-1, 2) for i in own])
    x, y = (points.min(axis=0) + points.max(axis=0)) / 2
    return float(x), float(y)


def _centre_of_boxes(branches: _Branches, leaves: Sequence[int]) -> tuple[float, float]:
    """Mean of the middles of the regions of a photo node."""
    boxes = 100 * np.asarray([branches.boxes[i] for i in leaves], dtype=np.float64)
    x, y = (boxes[:, :2] + boxes[:, 2:]).mean(axis=0) / 2
    return float(x), float(y)


def _attention(level: Mapping[str, Any], prefix: str) -> Markup:
    """The first level's attention of strokes over regions, with the nodes' thumbnails along both sides."""
    uri, rows, columns, peak = _heat(level["sketch_to_photo"])
    side = HEAT - 2
    headers = [
        f'<use href="#{prefix}-s{node}" x="0" y="{HEAT * (i + 1)}" width="{side}" height="{side}"/>'
        for i, node in enumerate(level["sketch_nodes"])
    ] + [
        f'<use href="#{prefix}-p{node}" x="{HEAT * (i + 1)}" y="0" width="{side}" height="{side}"/>'
        for i, node in enumerate(level["photo_nodes"])
    ]
    width, height = HEAT * (columns + 1), HEAT * (rows + 1)
    label = f"Attention of {rows} sketch nodes over {columns} photo nodes at level 1, maximum {peak:.2f}"
    return Markup(
        f'<svg class="heat" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><title>{label}</title>{"".join(headers)}<image class="pixels" href="{uri}" x="{HEAT}" '
        f'y="{HEAT}" width="{HEAT * columns}" height="{HEAT * rows}" preserveAspectRatio="none"/></svg>'
    )
