from __future__ import annotations

import json
from functools import cache

import cv2
import numpy as np
import pytest

from fgsbir.data.procedural import Instance, generate, view_hierarchy, visible_scene
from fgsbir.data.procedural.draw import MAX_STROKES, draw
from fgsbir.data.procedural.parts import Scene, rectangle, resampled
from fgsbir.data.procedural.photo import take_photo
from fgsbir.data.procedural.solid import Workshop, view
from fgsbir.data.procedural.visibility import SIDE, look_at
from fgsbir.errors import InputError

CATEGORIES = ("chairs", "shoes", "screens")
COUNT = 40


@cache
def instances(category: str) -> list[Instance]:
    return generate(category, COUNT, sketches_per_photo=3, seed=5, size=128)


def same(a: Instance, b: Instance) -> bool:
    return (
        (a.id, a.parts, a.sketches) == (b.id, b.parts, b.sketches)
        and np.array_equal(a.photo, b.photo)
        and all(np.array_equal(p, q) for p, q in zip(a.stroke_parts, b.stroke_parts, strict=True))
    )


# What an instance depends on


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_instance_depends_on_category_seed_and_index_alone(category):
    longer = generate(category, 4, sketches_per_photo=2, seed=11, size=64)
    shorter = generate(category, 2, sketches_per_photo=2, seed=11, size=64)
    assert all(same(a, b) for a, b in zip(shorter, longer, strict=False))
    assert [i.id for i in longer] == [f"{category}-{n:04d}" for n in range(4)]
    other = generate(category, 2, sketches_per_photo=2, seed=12, size=64)
    assert other[0].parts != longer[0].parts
    assert not np.array_equal(other[0].photo, longer[0].photo)


def test_size_and_number_of_sketches_change_nothing_else():
    small = generate("chairs", 1, sketches_per_photo=1, size=64)[0]
    large = generate("chairs", 1, sketches_per_photo=3, size=200)[0]
    assert (small.photo.shape, large.photo.shape) == ((64, 64, 3), (200, 200, 3))
    assert small.parts == large.parts
    assert small.sketches == large.sketches[:1]
    shrunk = cv2.resize(large.photo, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(float) - small.photo).mean() < 4


@pytest.mark.parametrize("category", CATEGORIES)
def test_instances_and_hands_all_differ(category):
    made = instances(category)
    assert len({i.parts for i in made}) == COUNT
    assert len({s.points.tobytes() for i in made for s in i.sketches}) == 3 * COUNT


@pytest.mark.parametrize(
    ("argument", "value"), [("category", "hats"), ("count", -1), ("sketches_per_photo", -1), ("seed", -1), ("size", 0)]
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(InputError, match=f"^{argument}: "):
        generate(**{"category": "chairs", "count": 1, argument: value})


# The truth about parts


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_parts_form_one_tree_of_nested_boxes(category):
    for instance in instances(category):
        assert instance.parts[0].parent == -1
        for index, part in enumerate(instance.parts[1:], start=1):
            assert 0 <= part.parent < index  # connected, and without a cycle
            x1, y1, x2, y2 = part.box
            a1, b1, a2, b2 = instance.parts[part.parent].box
            assert 0 <= a1 <= x1 < x2 <= a2 <= 1
            assert 0 <= b1 <= y1 < y2 <= b2 <= 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_strokes_lie_at_their_parts(category):
    """Ink and root box are both brought to the unit square; a wrong assignment puts the strokes elsewhere."""
    rng = np.random.default_rng(0)
    near, near_shuffled = [], []
    for instance in instances(category):
        boxes = np.array([p.box for p in instance.parts])
        low, extent = boxes[0, :2], np.tile(boxes[0, 2:] - boxes[0, :2], 2)
        boxes = (boxes - np.tile(low, 2)) / extent
        for sketch, owners in zip(instance.sketches, instance.stroke_parts, strict=True):
            assert owners.shape == (len(sketch),)
            assert ((owners >= 0) & (owners < len(instance.parts))).all()
            x1, y1, x2, y2 = sketch.bounds
            centres = np.array([(s.min(0) + s.max(0)) / 2 for s in sketch.strokes])
            centres = (centres - (x1, y1)) / (x2 - x1, y2 - y1)
            for assigned, found in ((owners, near), (rng.permutation(owners), near_shuffled)):
                inside = (centres > boxes[assigned, :2] - 0.12) & (centres < boxes[assigned, 2:] + 0.12)
                found += inside.all(1).tolist()
    assert np.mean(near) > 0.88
    assert np.mean(near_shuffled) < np.mean(near) - 0.2


@pytest.mark.parametrize("category", CATEGORIES)
def test_drawing_goes_from_coarse_to_fine(category):
    first, last = [], []
    for instance in instances(category):
        area = np.array([(p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in instance.parts])
        for owners in instance.stroke_parts:
            third = len(owners) // 3
            if third:
                first.append(area[owners[:third]].mean())
                last.append(area[owners[-third:]].mean())
    assert np.mean(first) > 2 * np.mean(last)


def test_what_is_hidden_is_neither_a_part_nor_drawn():
    scene = Scene([("page", -1)], framed=True)
    scene.flat(0, "page", rectangle(0, 0, 1, 1), 0, lines=[])
    hidden, half = scene.part("hidden"), scene.part("half")
    cover = scene.part("cover")
    scene.flat(hidden, "page", rectangle(0.3, 0.3, 0.4, 0.4), 1)
    scene.flat(half, "page", rectangle(0.1, 0.2, 0.5, 0.5), 2)
    scene.flat(cover, "page", rectangle(0.25, 0.1, 0.75, 0.75), 3)
    visible = look_at(scene, np.random.default_rng(0))
    assert [p.name for p in visible.parts] == ["page", "half", "cover"]
    assert visible.parts[1].box == pytest.approx((0.1, 0.2, 0.25, 0.5), abs=2 / SIDE)
    drawn = {visible.parts[c.part].name: np.concatenate(c.lines) for c in visible.contours}
    assert set(drawn) == {"half", "cover"}
    assert drawn["half"][:, 0].max() < 0.27  # the edges under the cover are missing
    assert drawn["half"].min(0) == pytest.approx((0.1, 0.2), abs=0.01)
    # A line begins where it comes into sight, so the visible three sides are one run.
    assert [len(c.lines) for c in visible.contours] == [1, 1]


def test_the_nearer_of_two_tilted_faces_is_seen():
    scene = Scene([("pair", -1)], framed=True)
    rising, falling = scene.part("rising"), scene.part("falling")
    corners = rectangle(0.1, 0.1, 0.9, 0.9)
    for part, sign in ((rising, 1), (falling, -1)):
        scene.flat(part, "page", corners, 0)
        scene.shapes[-1].faces[0][:, 2] = sign * (corners[:, 0] - 0.5)  # the planes cross at x = 0.5
    seen = look_at(scene, np.random.default_rng(0)).shape_map
    row = seen[SIDE // 2]
    assert (row[int(0.12 * SIDE) : int(0.49 * SIDE)] == 0).all()
    assert (row[int(0.51 * SIDE) : int(0.88 * SIDE)] == 1).all()


# Geometry


def test_view_turns_the_room_to_the_viewer():
    np.testing.assert_allclose(view(0, 0) @ [1, 2, 3], [1, -3, 2], atol=1e-12)  # x stays, up is -y, back is away
    np.testing.assert_allclose(view(0, 90) @ [1, 2, 3], [1, -2, -3], atol=1e-12)  # from above: the top is nearest
    rotation = view(33, 21)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("yaw", "pitch", "faces"), [(0, 0, 1), (0, 20, 2), (30, 0, 2), (30, 20, 3)])
def test_a_box_shows_as_many_faces_as_the_view_allows(yaw, pitch, faces):
    scene = Scene([("box", -1)])
    Workshop(scene, view(yaw, pitch)).box(0, "wood", (0, 0, 0), (1, 1, 1))
    assert len(scene.shapes[0].faces) == faces


# Photos


def test_surface_and_light_are_independent_of_the_form():
    """Another stream gives other colours on the same form, and over many chairs colour does not follow form."""
    scene, visible = visible_scene("chairs", 0, seed=5)
    a, b = (take_photo(scene, visible, np.random.default_rng(s), 128) for s in (1, 2))
    assert np.abs(a.astype(int) - b).mean() > 5
    form, colour = [], []
    for instance in instances("chairs"):
        x1, y1, x2, y2 = instance.parts[0].box
        form.append([len(instance.parts), (y2 - y1) / (x2 - x1), (x2 - x1) * (y2 - y1)])
        pixels = instance.photo.reshape(-1, 3).astype(float)
        colour.append([*pixels[np.argsort(pixels.sum(1))[:500]].mean(0), pixels.std()])
    correlation = np.corrcoef(np.column_stack([form, colour]).T)[:3, 3:6]
    assert np.abs(correlation).max() < 0.5  # 4e-4 odds by chance for any one of them


@pytest.mark.parametrize("category", ["chairs", "shoes"])
def test_the_object_stands_out_inside_its_box(category):
    for instance in instances(category):
        x1, y1, x2, y2 = (int(v * 128) for v in instance.parts[0].box)
        edges = cv2.Canny(instance.photo, 60, 160) > 0
        inside = edges[max(y1 - 2, 0) : y2 + 3, max(x1 - 2, 0) : x2 + 3].sum()
        assert inside > 100
        assert inside > 0.97 * edges.sum()


# Sketches


@pytest.mark.parametrize("category", CATEGORIES)
def test_sketches_have_the_frame_and_the_stroke_counts_of_chair_v2(category):
    sketches = [s for i in instances(category) for s in i.sketches]
    for sketch in sketches:
        x1, y1, x2, y2 = sketch.bounds
        assert max(x2 - x1, y2 - y1) == pytest.approx(0.74, abs=1e-4)
        assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((0.5, 0.5), abs=1e-4)
        assert 1 <= len(sketch) <= MAX_STROKES
    assert 7 < np.mean([len(s) for s in sketches]) < 12


def test_hands_leave_out_fine_strokes_but_not_big_ones():
    _, visible = visible_scene("chairs", 0, seed=3)  # the seat is far larger than a castor
    names = [p.name for p in visible.parts]
    counts = dict.fromkeys(names, 0)
    for seed in range(40):
        _, owners = draw(visible.contours, visible.parts, np.random.default_rng(seed))
        for name in {names[o] for o in owners}:
            counts[name] += 1
    assert counts["seat"] > 36
    assert 0 < counts["castor"] < 36


# View hierarchies


def test_a_view_hierarchy_is_the_part_tree_in_rico_format():
    for instance in instances("screens")[:10]:
        root = json.loads(json.dumps(view_hierarchy(instance)))
        assert root["bounds"] == [0, 0, 1440, 2560]
        assert "componentLabel" not in root
        found = []

        def walk(node, parent, found=found):
            assert isinstance(node["class"], str)
            assert node["ancestors"]
            found.append((node.get("componentLabel", "screen"), tuple(node["bounds"]), parent))
            for child in node.get("children", []):
                walk(child, tuple(node["bounds"]))

        walk(root, None)
        frame = np.array([1440, 2560, 1440, 2560])
        bounds = [tuple(int(v) for v in np.round(np.array(p.box) * frame)) for p in instance.parts]
        expected = [
            (p.name, box, None if p.parent < 0 else bounds[p.parent])
            for p, box in zip(instance.parts, bounds, strict=True)
        ]
        assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_only_screens_have_a_view_hierarchy():
    with pytest.raises(ValueError, match="only screens"):
        view_hierarchy(instances("shoes")[0])


# Retrieval


def accuracy(distance: np.ndarray, truth: np.ndarray) -> float:
    """Share of queries whose own photo is strictly nearest."""
    own = distance[np.arange(len(truth)), truth]
    return float(((distance <= own[:, None]).sum(1) == 1).mean())


def pixels(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA).ravel()
    return (small - small.mean()) / np.linalg.norm(small - small.mean())


def raster(sketch) -> np.ndarray:
    image = np.zeros((128, 128), np.uint8)
    for stroke in sketch.strokes:
        cv2.polylines(image, [np.rint(stroke * 128).astype(np.int32)], False, (255,), 2, cv2.LINE_AA)
    return image


@pytest.mark.parametrize("category", CATEGORIES)
def test_raw_pixels_hardly_find_the_photo(category):
    """At most 20 % at rank 1 of 40 photos (chance 2.5 %), for either sign of the grey value."""
    made = instances(category)
    gallery = np.stack([pixels(cv2.cvtColor(i.photo, cv2.COLOR_RGB2GRAY)) for i in made])
    queries = np.stack([pixels(raster(s)) for i in made for s in i.sketches])
    truth = np.repeat(np.arange(COUNT), 3)
    for sign in (1, -1):
        assert accuracy(sign * queries @ gallery.T, truth) <= 0.2


@pytest.mark.parametrize(("category", "least"), [("chairs", 0.5), ("shoes", 0.6), ("screens", 0.4)])
def test_true_contours_do_find_the_photo(category, least):
    """Chamfer distance between a sketch and the true contours, both stretched to the unit square; chance 2.5 %."""

    def cloud(lines):  # the points of a drawing, and how far everything is from them
        points = np.concatenate([resampled(np.asarray(line, dtype=float), 0.02) for line in lines])
        low, high = points.min(0), points.max(0)
        points = (points - low) / (high - low)
        return points, field(points)

    def field(points):
        """Distance to the nearest point, on a grid of 128 x 128."""
        empty = np.ones((128, 128), np.uint8)
        empty[tuple((points * 127).astype(int).T)] = 0
        return cv2.distanceTransform(empty, cv2.DIST_L2, 5)

    def chamfer(a, b):
        return sum(far[tuple((points * 127).astype(int).T)].mean() for points, far in ((a[0], b[1]), (b[0], a[1])))

    contours = [visible_scene(category, i, seed=5)[1].contours for i in range(COUNT)]
    gallery = [cloud([line for c in one for line in (c.lines or c.axis)]) for one in contours]
    queries = [cloud(i.sketches[0].strokes) for i in instances(category)]
    distance = np.array([[chamfer(q, g) for g in gallery] for q in queries])
    assert accuracy(distance, np.arange(COUNT)) >= least
