import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from fgsbir.visualization.trees import MergeTree, build_hierarchy

SVG = "{http://www.w3.org/2000/svg}"


def random_tree(leaves: int, seed: int) -> MergeTree:
    rng = np.random.default_rng(seed)
    nodes, merges = list(range(leaves)), []
    while len(nodes) > 1:
        a, b = sorted(int(n) for n in rng.choice(nodes, 2, replace=False))
        nodes = [n for n in nodes if n not in (a, b)] + [leaves + len(merges)]
        merges.append((a, b))
    return MergeTree.from_merges(merges)


def example() -> dict[str, object]:
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


def view() -> tuple[object, ElementTree.Element]:
    built = build_hierarchy(example(), np.zeros((96, 96, 3), np.uint8), "e")
    return built, ElementTree.fromstring(f"<svg xmlns='http://www.w3.org/2000/svg'>{built.symbols}</svg>")


def symbol(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [node for node in root.iter(f"{SVG}symbol") if node.get("id") == name]
    return found


def test_members_are_the_leaves_under_a_node() -> None:
    tree = MergeTree.from_merges([[0, 3], [1, 2], [4, 5]])
    assert [sorted(m) for m in tree.members] == [[0], [1], [2], [3], [0, 3], [1, 2], [0, 1, 2, 3]]
    assert MergeTree.from_merges([]).members == [[0]]


def test_branches_of_a_drawn_tree_do_not_cross() -> None:
    for seed in range(10):
        tree = random_tree(9, seed)
        places = tree.places()
        assert sorted(row for _, row in places[:9]) == list(range(9))
        assert [column for column, _ in places] == [0] * 9 + list(range(1, 9))
        for node, members in enumerate(tree.members):
            rows = sorted(places[leaf][1] for leaf in members)
            assert rows == list(np.arange(rows[0], rows[0] + len(rows)))  # a node's leaves are neighbours
            assert rows[0] <= places[node][1] <= rows[-1]


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
    built = build_hierarchy(plain, np.zeros((96, 96, 3), np.uint8), "e")
    assert built.attention is None
    (level,) = built.levels
    assert (level.to_photo, level.to_sketch) == (None, None)
    assert "3 leaves" in built.sketch_tree
    assert 'class="link"' not in level.picture
    assert level.picture.count("-k0") == level.picture.count("-k1") == 1


def three_levels() -> dict[str, object]:
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
    first, second = build_hierarchy(three_levels(), np.zeros((96, 96, 3), np.uint8), "e").levels
    assert (first.title, second.title) == ("Level 1: 3 × 2", "Level 2: 2 × 1")

    def colours(picture: object) -> tuple[dict[str, str], list[str]]:
        strokes = dict(re.findall(r'href="#e-(k\d)" stroke="([^"]+)"', str(picture)))
        return strokes, re.findall(r'class="box"[^>]* stroke="([^"]+)"', str(picture))

    strokes, boxes = colours(first.picture)
    assert len(set(strokes.values())) == 3
    assert len(set(boxes)) == 2
    strokes, boxes = colours(second.picture)
    assert strokes["k0"] == strokes["k2"] != strokes["k1"]
    assert len(boxes) == 2
    assert len(set(boxes)) == 1


def test_what_is_fused_next_is_drawn_heavier() -> None:
    first, second = build_hierarchy(three_levels(), np.zeros((96, 96, 3), np.uint8), "e").levels

    def heavy(picture: object) -> list[set[str]]:
        groups = re.findall(r'<g class="fused">(.*?)</g>', str(picture))
        return [set(re.findall(r"e-(k\d)", group)) for group in groups]

    assert heavy(first.picture) == [{"k0"}, {"k2"}, set(), set()]  # two strokes and both regions
    assert heavy(second.picture) == [{"k1"}, {"k0", "k2"}]  # the one region left is not fused


def test_a_line_leads_to_the_region_that_a_node_attends_to_most() -> None:
    first, second = build_hierarchy(three_levels(), np.zeros((96, 96, 3), np.uint8), "e").levels

    def links(picture: object) -> list[list[float]]:
        return [
            [float(v) for v in link]
            for link in re.findall(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"[^>]*opacity="([\d.]+)"', str(picture))
        ]

    # From the middle of each stroke to that of a region, 120 to the right.
    expected = [[10, 0, 145, 25, 0.925], [50, 50, 145, 25, 0.625], [90, 100, 195, 75, 0.85]]
    assert np.allclose(links(first.picture), expected, atol=0.01)
    assert np.allclose(links(second.picture), [[50, 50, 170, 50, 1], [50, 50, 170, 50, 1]])
