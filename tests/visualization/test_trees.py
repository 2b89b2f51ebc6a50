import base64
import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from fgsbir.metrics.ranking import Ranking
from fgsbir.models.merge_tree import Explanation
from fgsbir.visualization.trees import HierarchyView, build_hierarchy, hierarchy_page, stored_hierarchies

SVG = "{http://www.w3.org/2000/svg}"


def example() -> dict[str, Any]:
    """Two strokes and the whole-sketch node (leaf 2) against two regions, the first the whole photo."""
    return {
        "query": "q",
        "photo": "p",
        "rank": 4,
        "strokes": [[[0.0, 0.5], [1.0, 0.5]], [[0.5, 0.0], [0.5, 1.0]]],
        "region_boxes": [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]],
        "sketch_merges": [[0, 1], [2, 3]],
        "photo_merges": [[0, 1]],
        "levels": [
            {
                "sketch_nodes": [0, 1, 2],
                "photo_nodes": [0, 1],
                "sketch_to_photo": [[0.5, 0.25], [0.0, 0.1], [0.2, 0.4]],
                "photo_to_sketch": [[0.2, 0.0, 0.8], [0.4, 0.6, 0.0]],
            }
        ],
    }


def drawn(pair: dict[str, Any]) -> HierarchyView:
    """An entry of hierarchy.json, drawn."""
    explanation = Explanation(*(pair[name] for name in Explanation._fields))
    names = {"query_id": "q", "photo_id": "p", "title": "q and p", "prefix": "e"}
    photo = np.zeros((96, 96, 3), np.uint8)
    return build_hierarchy(explanation, pair["strokes"], pair["region_boxes"], photo, **names)


def view() -> tuple[HierarchyView, ElementTree.Element]:
    built = drawn(example())
    return built, ElementTree.fromstring(f"<svg xmlns='http://www.w3.org/2000/svg'>{built.symbols}</svg>")


def symbol(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [node for node in root.iter(f"{SVG}symbol") if node.get("id") == name]
    return found


def test_a_sketch_node_colours_its_strokes_and_greys_the_others() -> None:
    _, root = view()

    def strokes(name: str) -> tuple[set[str], set[str]]:
        uses = list(symbol(root, name).iter(f"{SVG}use"))
        grey = {str(use.get("href")) for use in uses if use.get("class") == "faint"}
        return {str(use.get("href")) for use in uses} - grey, grey

    assert strokes("e-s0") == ({"#e-k0"}, {"#e-k1"})
    assert strokes("e-s1") == ({"#e-k1"}, {"#e-k0"})
    assert strokes("e-s3") == ({"#e-k0", "#e-k1"}, set())
    framed = [i for i in range(5) if any(r.get("class") == "whole" for r in symbol(root, f"e-s{i}").iter())]
    assert framed == [2, 4]  # the whole-sketch node and the root, which contains it


def test_a_region_is_cut_out_of_the_photo() -> None:
    _, root = view()
    (crop,) = symbol(root, "e-p1").findall(f"{SVG}svg")
    assert [float(v) for v in str(crop.get("viewBox")).split()] == [25, 50, 50, 50]
    lit = next(node for node in root.iter(f"{SVG}clipPath") if node.get("id") == "e-c2")
    (box,) = list(lit)  # the whole-photo region is a frame, not a light
    assert [float(str(box.get(k))) for k in ("x", "y", "width", "height")] == [25, 50, 50, 50]


def test_the_maps_show_the_weights_rows_sketch_columns_photo() -> None:
    built, _ = view()

    def weights(markup: object) -> np.ndarray:
        code = re.search(r"data:image/png;base64,([^\"]+)", str(markup))
        assert code is not None
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(code[1]))))[..., 3] / 255

    expected = np.array([[1.0, 0.5], [0.0, 0.2], [0.4, 0.8]])
    (level,) = built.levels
    assert np.allclose(weights(built.attention), expected, atol=0.01)
    assert np.allclose(weights(level.to_photo), expected, atol=0.01)
    assert np.allclose(weights(level.to_sketch), np.array([[0.25, 0.5], [0.0, 0.75], [1.0, 0.0]]), atol=0.01)


def test_the_tree_shows_every_node_once() -> None:
    built, root = view()
    names = {f"#{node.get('id')}" for node in root.iter(f"{SVG}symbol")}
    shown = re.findall(r'href="(#[^"]+)"', str(built.sketch_tree) + str(built.photo_tree))
    assert sorted(shown) == sorted(names)


def test_without_attention_the_trees_are_still_drawn() -> None:
    plain = example()
    plain["levels"] = [
        {"sketch_nodes": [0, 1, 2], "photo_nodes": [0, 1], "sketch_to_photo": None, "photo_to_sketch": None}
    ]
    built = drawn(plain)
    assert built.attention is None
    (level,) = built.levels
    assert (level.to_photo, level.to_sketch) == (None, None)
    assert "3 leaves" in built.sketch_tree
    assert 'class="link"' not in level.image
    assert level.image.count("-k0") == level.image.count("-k1") == 1


def three_levels() -> dict[str, Any]:
    """Three strokes and two regions: strokes 0 and 2 are fused, then 1 joins them; the regions are fused first."""
    maps = [([0, 1, 2], [0, 1], [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), ([1, 3], [2], [[1.0], [1.0]])]
    return example() | {
        "strokes": [[[0.0, 0.0], [0.2, 0.0]], [[0.5, 0.5]], [[0.8, 1.0], [1.0, 1.0]]],
        "region_boxes": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]],
        "sketch_merges": [[0, 2], [1, 3]],
        "photo_merges": [[0, 1]],
        "levels": [
            {"sketch_nodes": s, "photo_nodes": p, "sketch_to_photo": a, "photo_to_sketch": np.transpose(a).tolist()}
            for s, p, a in maps
        ],
    }


def test_a_level_is_drawn_over_strokes_and_regions_a_colour_for_each_node() -> None:
    first, second = drawn(three_levels()).levels
    assert (first.title, second.title) == ("Level 1: 3 × 2", "Level 2: 2 × 1")

    def colours(picture: object) -> tuple[dict[str, str], list[str]]:
        strokes = dict(re.findall(r'href="#e-(k\d)" stroke="([^"]+)"', str(picture)))
        return strokes, re.findall(r'class="box"[^>]* stroke="([^"]+)"', str(picture))

    strokes, boxes = colours(first.image)
    assert len(set(strokes.values())) == 3
    assert len(set(boxes)) == 2
    strokes, boxes = colours(second.image)
    assert strokes["k0"] == strokes["k2"] != strokes["k1"]
    assert len(boxes) == 2
    assert len(set(boxes)) == 1


def test_what_is_fused_next_is_drawn_heavier() -> None:
    first, second = drawn(three_levels()).levels

    def heavy(picture: object) -> list[set[str]]:
        groups = re.findall(r'<g class="fused">(.*?)</g>', str(picture))
        return [set(re.findall(r"e-(k\d)", group)) for group in groups]

    assert heavy(first.image) == [{"k0"}, {"k2"}, set(), set()]  # two strokes and both regions
    assert heavy(second.image) == [{"k1"}, {"k0", "k2"}]  # the one region left is not fused


def test_a_line_leads_to_the_region_that_a_node_attends_to_most() -> None:
    first, second = drawn(three_levels()).levels

    def links(picture: object) -> list[list[float]]:
        return [
            [float(v) for v in link]
            for link in re.findall(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"[^>]*opacity="([\d.]+)"', str(picture))
        ]

    # From the middle of each stroke to the middle of a region, 120 to the right.
    expected = [[10, 0, 145, 25, 0.925], [50, 50, 145, 25, 0.625], [90, 100, 195, 75, 0.85]]
    assert np.allclose(links(first.image), expected, atol=0.01)
    assert np.allclose(links(second.image), [[50, 50, 170, 50, 1], [50, 50, 170, 50, 1]])


def test_of_the_stored_pairs_the_best_and_the_worst_ranked_are_drawn() -> None:
    ranks, photos = {"a": 7, "b": 2, "c": 9, "d": 1}, np.zeros((4, 96, 96, 3), np.uint8)
    ids = np.array(list(ranks))
    ranking = Ranking(ids, ids, np.arange(4), np.array([*ranks.values()]), np.zeros((4, 1), int), np.zeros((4, 1)))
    entries = [example() | {"query": name, "photo": name, "rank": rank} for name, rank in ranks.items()]
    entries[3]["levels"] = []  # one stroke and one region: nothing to fuse
    views = stored_hierarchies(entries, ranking, photos, "h")
    assert [view.title for view in views] == ["Sketch b: true photo at rank 2", "Sketch c: true photo at rank 9"]
    assert len(stored_hierarchies(entries[:1], ranking, photos, "h")) == 1
    assert stored_hierarchies(entries[3:], ranking, photos, "h") == ()


def test_a_page_of_one_hierarchy_needs_no_other_file() -> None:
    page = hierarchy_page(drawn(example()))
    assert page.startswith("<!doctype html>")
    assert "q and p" in page
    assert all(target.startswith(("#", "data:image/")) for target in re.findall(r'(?:src|href)="([^"]+)', page))
