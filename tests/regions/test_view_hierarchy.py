"""RICO's view hierarchies, semantic and raw: files written as they are published."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgsbir.data.procedural import generate, view_hierarchy
from fgsbir.data.records import PhotoRecord
from fgsbir.errors import InputError
from fgsbir.regions.view_hierarchy import ViewHierarchy, read_view_hierarchy

FRAME = np.array([1440, 2560, 1440, 2560])


def node(bounds: Any, *children: Any, label: str | None = None) -> dict[str, Any]:
    """A node with the fields of RICO."""
    content: dict[str, Any] = {
        "ancestors": ["android.view.View", "java.lang.Object"],
        "class": "android.widget.FrameLayout",
        "bounds": bounds,
        "clickable": False,
    }
    if label:
        content["componentLabel"] = label
    if children:
        content["children"] = list(children)
    return content


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pixels(path: Path, content: Any, frame: Any = FRAME) -> list[list[float]]:
    boxes = read_view_hierarchy(write(path, content))
    assert boxes.dtype == np.float32
    return (boxes * frame).round(2).tolist()


def test_every_node_is_a_region_the_largest_first(tmp_path: Path) -> None:
    icon, text = node([0, 84, 196, 280], label="Icon"), node([300, 100, 1000, 250], label="Text")
    picture = node([0, 280, 1440, 1300], label="Image")
    screen = node([0, 0, 1440, 2560], node([0, 84, 1440, 280], icon, text, label="Toolbar"), picture)
    assert pixels(tmp_path / "1.json", screen) == [
        [0, 0, 1440, 2560],
        [0, 280, 1440, 1300],
        [0, 84, 1440, 280],
        [300, 100, 1000, 250],
        [0, 84, 196, 280],
    ]


def test_equal_areas_stay_depth_first(tmp_path: Path) -> None:
    inner, second = node([10, 600, 110, 700]), node([10, 10, 110, 110])
    screen = node([0, 0, 1440, 2560], node([10, 500, 210, 800], inner), second)
    assert pixels(tmp_path / "1.json", screen)[2:] == [[10, 600, 110, 700], [10, 10, 110, 110]]


def test_the_whole_screen_comes_first_even_where_the_root_is_smaller(tmp_path: Path) -> None:
    assert pixels(tmp_path / "1.json", node([0, 84, 1440, 2392])) == [[0, 0, 1440, 2560], [0, 84, 1440, 2392]]


def test_boxes_are_cut_at_the_edge_and_useless_ones_dropped(tmp_path: Path) -> None:
    children = [
        [-40, 100, 200, 300],
        [1300, 2500, 1500, 2700],
        [0, 100, 200, 300],  # as the first is once cut
        [0, 100, 200, 300],
        [1440, 0, 1600, 100],  # outside
        [0, 2600, 1440, 2800],
        [50, 50, 50, 90],  # empty
        [90, 50, 50, 90],  # the wrong way round
    ]
    screen = node([0, 0, 1440, 2560], *map(node, children))
    assert pixels(tmp_path / "1.json", screen) == [
        [0, 0, 1440, 2560],
        [0, 100, 200, 300],
        [1300, 2500, 1440, 2560],
    ]


def test_a_screen_held_sideways_has_a_turned_frame(tmp_path: Path) -> None:
    screen = node([0, 0, 2560, 1440], node([1280, 720, 2560, 1440]))
    frame = [2560, 1440, 2560, 1440]
    assert pixels(tmp_path / "1.json", screen, frame) == [[0, 0, 2560, 1440], [1280, 720, 2560, 1440]]
    dialog = node([84, 900, 1356, 1500])  # wider than high, but upright
    assert pixels(tmp_path / "2.json", dialog) == [[0, 0, 1440, 2560], [84, 900, 1356, 1500]]


def test_children_may_be_null(tmp_path: Path) -> None:
    assert len(pixels(tmp_path / "1.json", {"bounds": [0, 0, 9, 9], "children": None})) == 2
    whole = [0, 0, 1440, 2560]
    assert pixels(tmp_path / "1.json", node(whole, None, node([0, 0, 9, 9]), None)) == [whole, [0, 0, 9, 9]]


def seen(bounds: Any, *children: Any, visible: bool = True, kind: str = "android.widget.FrameLayout") -> dict[str, Any]:
    """A node with the fields of a raw hierarchy."""
    parents = ["android.view.ViewGroup", "android.view.View", "java.lang.Object"]
    shown = {"visibility": "visible", "visible-to-user": visible, "draw": True}
    return {"bounds": bounds, "class": kind, "ancestors": parents, "children": list(children), **shown}


def raw(root: Any) -> dict[str, Any]:
    return {"activity_name": "com.app/.Main", "activity": {"root": root, "added_fragments": []}, "request_id": "7"}


def test_a_raw_hierarchy_gives_what_the_user_sees(tmp_path: Path) -> None:
    hidden = seen([0, 0, 700, 700], seen([10, 10, 90, 90]), visible=False)
    root = seen([0, 0, 1440, 2392], None, hidden, seen([100, 100, 700, 400]), seen(None, visible=False))
    expected = [[0, 0, 1440, 2560], [0, 0, 1440, 2392], [100, 100, 700, 400]]
    assert pixels(tmp_path / "1.json", raw(root)) == expected
    root["visible-to-user"] = False
    assert pixels(tmp_path / "1.json", raw(root)) == expected[:1]


@pytest.mark.parametrize("kind", ["android.support.v4.widget.DrawerLayout", "com.app.MyDrawer"])
@pytest.mark.parametrize(
    ("drawer", "left"),
    [
        ([0, 84, 1050, 2392], [[1050, 84, 1440, 2392], [1050, 500, 1440, 900]]),  # cut at its edge; or wholly behind
        ([228, 84, 1440, 2392], [[0, 84, 228, 2392], [100, 1000, 228, 1100], [0, 500, 228, 900]]),
        ([0, 84, 1440, 2392], []),
    ],
)
def test_nothing_behind_an_open_drawer_is_seen(tmp_path: Path, drawer: Any, left: Any, kind: str) -> None:
    content = seen([0, 84, 1440, 2392], seen([100, 1000, 300, 1100]), seen([0, 500, 1440, 900]))
    entry = seen([drawer[0], 600, drawer[0] + 200, 700])
    layout = seen([0, 84, 1440, 2392], content, seen(drawer, entry), kind=kind)
    if kind == "com.app.MyDrawer":
        layout["ancestors"] = ["androidx.drawerlayout.widget.DrawerLayout", *layout["ancestors"]]
    screen = seen([0, 0, 1440, 2560], layout)
    found = pixels(tmp_path / "1.json", raw(screen))
    expected = [[0, 0, 1440, 2560], [0, 84, 1440, 2392], drawer, entry["bounds"], *left]
    assert sorted(found) == sorted({tuple(box): box for box in expected}.values())
    layout["children"][1]["visible-to-user"] = False  # closed
    found = pixels(tmp_path / "1.json", raw(screen))
    assert sorted(found) == sorted(
        [[0, 0, 1440, 2560], [0, 84, 1440, 2392], [0, 500, 1440, 900], [100, 1000, 300, 1100]]
    )


def test_only_a_drawer_layout_hides_its_first_child(tmp_path: Path) -> None:
    inner, over = seen([0, 500, 700, 900]), seen([0, 84, 1050, 2392])
    layout = seen([0, 84, 1440, 2392], inner, over, kind="com.android.internal.widget.ResolverDrawerLayout")
    found = pixels(tmp_path / "1.json", raw(layout))
    assert found == [[0, 0, 1440, 2560], [0, 84, 1440, 2392], [0, 84, 1050, 2392], [0, 500, 700, 900]]
    empty = seen([0, 84, 1440, 2392], None, kind="android.support.v4.widget.DrawerLayout")
    assert len(pixels(tmp_path / "1.json", raw(empty))) == 2


def nodes(root: Any) -> list[dict[str, Any]]:
    return [root, *(inner for child in root.get("children") or [] if child for inner in nodes(child))]


def test_no_invisible_node_of_real_screens_is_a_region() -> None:
    folder = Path(os.environ.get("FGSBIR_DATA", "")) / "rico-raw" / "hierarchies"
    paths = sorted(folder.glob("*.json"))
    if not paths:
        pytest.skip("FGSBIR_DATA holds no raw RICO screens")
    invisible, open_drawers = 0, 0
    for path in paths:
        everything = nodes(json.loads(path.read_text())["activity"]["root"])
        shown = {tuple(n["bounds"]) for n in everything if n["visible-to-user"]} | {(0, 0, 1440, 2560)}
        hidden = {tuple(n["bounds"]) for n in everything if not n["visible-to-user"]} - shown
        regions = {tuple(box) for box in (read_view_hierarchy(path) * FRAME).round(2).tolist()}
        assert not regions & hidden, path
        layouts = [n for n in everything if n["class"].endswith(".DrawerLayout")]
        if any(drawer["visible-to-user"] for layout in layouts for drawer in layout["children"][1:]):
            open_drawers += 1
        else:
            assert regions == shown, path
        invisible += sum(not n["visible-to-user"] for n in everything)
    assert invisible > 40 * len(paths)
    assert 0 < open_drawers < 0.15 * len(paths)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", r"1\.json: it is no JSON"),
        ("", r"1\.json: it is no JSON"),
        ("[" * 100_000, r"1\.json: it is no JSON"),
        ([], r"1\.json: root: it is no JSON object"),
        (
            {"activity": {"root": node([0, 0, 9])}},
            r"1\.json: activity\.root\.bounds: \[0, 0, 9\] is no",
        ),
        ({"activity": {"root": None}}, r"activity\.root: it is no JSON object"),
        ({"activity": None}, r"activity\.root: it is no JSON object"),
        ({"children": []}, r"root\.bounds: None is no \[x1, y1, x2, y2\]"),
        (node([0, 0, 9]), r"root\.bounds: \[0, 0, 9\]"),
        (node("[0,0][9,9]"), r"root\.bounds: '\[0,0\]\[9,9\]'"),
        (node([0, 0, 9, "9"]), r"root\.bounds"),
        (node([0, 0, 9, True]), r"root\.bounds"),
        (node([0, 0, 9, 10**400]), r"root\.bounds"),
        ('{"bounds": [0, 0, 9, NaN]}', r"root\.bounds"),
        ({"bounds": [0, 0, 9, 9], "children": {"a": 1}}, r"root\.children: it is no list"),
        (node([0, 0, 9, 9], 7), r"root\.children\[0\]: it is no JSON object"),
        (
            node([0, 0, 9, 9], node([0, 0, 5, 5]), node([0, 0, 9, 9], node(None))),
            r"children\[1\]\.children\[0\]\.bounds",
        ),
    ],
)
def test_a_broken_file_is_explained_in_one_line(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read_view_hierarchy(write(tmp_path / "1.json", content))
    assert "1.json" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < len(str(tmp_path)) + 250


def test_text_of_another_encoding_is_explained(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(b'{"bounds": "\xff\xfe\xfa"}')
    with pytest.raises(InputError, match="it is no JSON"):
        read_view_hierarchy(tmp_path / "1.json")


def test_the_source_finds_the_file_of_each_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "swire" / "hierarchies"
    folder.mkdir(parents=True)
    write(folder / "12.json", node([0, 0, 1440, 2560], node([0, 0, 720, 1280]), node([0, 0, 720, 2560])))
    write(folder / "7.json", node([0, 0, 1440, 2560]))
    photos = [PhotoRecord("12", "train"), PhotoRecord("7", "test")]
    boxes = ViewHierarchy(tmp_path).regions(photos)
    assert list(boxes) == ["12", "7"]
    assert boxes["12"].tolist() == [[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 0.5, 0.5]]
    assert boxes["7"].tolist() == [[0, 0, 1, 1]]
    assert ViewHierarchy(tmp_path / "swire", top_k=2).regions(photos)["12"].tolist() == boxes["12"][:2].tolist()
    monkeypatch.setenv("FGSBIR_DATA", str(tmp_path))
    assert ViewHierarchy().regions(photos).keys() == boxes.keys()
    with pytest.raises(InputError, match=r"8\.json"):
        ViewHierarchy(tmp_path).regions([PhotoRecord("8", "train")])


def test_a_missing_folder_and_a_bad_limit_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder 'hierarchies'"):
        ViewHierarchy(tmp_path).regions([])
    with pytest.raises(InputError, match="top_k"):
        ViewHierarchy(tmp_path, top_k=0)


def test_the_embedded_screens_are_read_as_they_are(tmp_path: Path) -> None:
    for screen in generate("screens", 4, 0, size=32):
        boxes = read_view_hierarchy(write(tmp_path / "1.json", view_hierarchy(screen)))
        parts = np.array([part.box for part in screen.parts])
        for box in boxes:
            assert np.abs((parts - box) * FRAME).max(1).min() <= 0.51  # bounds are whole pixels
        assert len(boxes) == len({tuple((part * FRAME).round()) for part in parts})
