"""Containment trees and the order of fusion that they fix."""

import numpy as np
import pytest

from fgsbir.regions.containment import containment_parents, merge_order


def parents_of(*boxes, tolerance=0.0):
    return containment_parents(np.array(boxes, dtype=np.float32).reshape(-1, 4), tolerance).tolist()


def order_of(*parents):
    return merge_order(np.array(parents, dtype=np.int64)).tolist()


# Trees drawn by hand

SCREEN, PANEL, ROW, ICON, LABEL = (
    [0, 0, 100, 160],
    [5, 20, 95, 100],
    [10, 30, 90, 50],
    [12, 32, 25, 48],
    [30, 35, 80, 45],
)
ROW2, ICON2, BAR = [10, 60, 90, 80], [12, 62, 25, 78], [0, 120, 100, 160]


def test_panels_rows_and_icons():
    found = parents_of(SCREEN, PANEL, ROW, ICON, LABEL, ROW2, ICON2, BAR)
    assert found == [-1, 0, 1, 2, 2, 1, 5, 0]


def test_the_order_of_the_boxes_does_not_matter():
    assert parents_of(ICON, BAR, ROW2, LABEL, SCREEN, ICON2, ROW, PANEL) == [6, 4, 7, 6, -1, 2, 7, 4]


def test_boxes_beside_each_other_and_crossing_ones_are_a_forest():
    assert parents_of([0, 0, 2, 2], [3, 0, 5, 2]) == [-1, -1]
    assert parents_of([0, 1, 9, 2], [1, 0, 2, 9]) == [-1, -1]
    assert parents_of([0, 0, 2, 2], [3, 0, 5, 2], [3, 0, 4, 1]) == [-1, -1, 1]


def test_the_parent_is_the_smallest_container_even_where_two_overlap():
    assert parents_of([0, 0, 10, 10], [4, 0, 20, 9], [5, 1, 6, 2]) == [-1, -1, 0]  # of area 100 and 144


def test_equal_boxes_form_a_chain():
    box = [1, 1, 4, 4]
    assert parents_of(box, box, box) == [-1, 0, 1]
    assert parents_of(box, [0, 0, 9, 9], box, [2, 2, 3, 3]) == [1, -1, 0, 2]


def test_a_shared_edge_is_inside():
    assert parents_of([0, 0, 4, 4], [0, 0, 4, 2]) == [-1, 0]


@pytest.mark.parametrize("box", [[-1.1, 1, 2, 2], [1, -1.1, 2, 2], [8, 1, 11.1, 2], [1, 8, 2, 11.1]], ids=str)
def test_the_tolerance_lets_boxes_stick_out_on_each_side(box):
    assert parents_of([0, 0, 10, 10], box) == [-1, -1]
    assert parents_of([0, 0, 10, 10], box, tolerance=1.0) == [-1, -1]
    assert parents_of([0, 0, 10, 10], box, tolerance=1.2) == [-1, 0]


def test_one_box_and_none():
    assert parents_of([0, 0, 1, 1]) == [-1]
    assert order_of(-1) == []
    assert merge_order(np.array([-1])).shape == (0, 2)
    assert parents_of() == []
    assert merge_order(np.array([], dtype=np.int64)).shape == (0, 2)


# Orders worked out by hand


def test_the_deepest_family_is_fused_first():
    # screen 0, panel 1 in it, icon 2 in the panel, bar 3 in the screen
    assert order_of(-1, 0, 1, 0) == [[1, 2], [3, 4], [0, 5]]


def test_siblings_meet_in_pairs_before_their_parent():
    assert order_of(-1, 0, 0, 0, 0) == [[1, 2], [3, 4], [5, 6], [0, 7]]
    assert order_of(-1, 0, 0, 0) == [[1, 2], [3, 4], [0, 5]]
    assert order_of(3, 3, 3, -1) == [[0, 1], [2, 4], [3, 5]]


def test_families_of_one_depth_follow_their_parents_numbers():
    assert order_of(-1, 0, 0, 2, 1) == [[1, 4], [2, 3], [5, 6], [0, 7]]


def test_roots_are_fused_last_as_if_they_were_siblings():
    assert order_of(-1, -1, -1, -1) == [[0, 1], [2, 3], [4, 5]]
    assert order_of(-1, -1, 1) == [[1, 2], [0, 3]]


def test_equal_boxes_are_fused_from_the_last_to_the_first():
    assert order_of(-1, 0, 1) == [[1, 2], [0, 3]]


@pytest.mark.parametrize("parents", [[1, 0], [0], [-1, 2, 3, 1]], ids=str)
def test_circles_are_refused(parents):
    with pytest.raises(ValueError, match="circle"):
        merge_order(np.array(parents))


# What holds for any boxes


def boxes_at_random(rng):
    """Few coordinates, so that many boxes touch, nest or are equal."""
    corners = rng.integers(0, 5, (int(rng.integers(1, 17)), 2, 2))
    return np.concatenate([corners.min(1), corners.max(1) + rng.integers(0, 2)], 1).astype(np.float32)


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_the_tree_of_any_boxes(tolerance):
    rng = np.random.default_rng(0)
    for _ in range(200):
        boxes = boxes_at_random(rng)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

        def holds(a, b, boxes=boxes):
            low, high = boxes[b, :2] - boxes[a, :2], boxes[a, 2:] - boxes[b, 2:]
            return min(*low, *high) >= -tolerance

        parents = containment_parents(boxes, tolerance)
        for box, parent in enumerate(parents):
            before = [(area[a], -a) for a in range(len(boxes)) if (-area[a], a) < (-area[box], box) and holds(a, box)]
            assert parent == (-min(before)[1] if before else -1)


def test_the_order_of_any_tree_fuses_every_node_once_and_children_before_parents():
    rng = np.random.default_rng(1)
    for _ in range(200):
        parents = containment_parents(boxes_at_random(rng))
        count, order = len(parents), merge_order(parents).tolist()
        assert sorted(node for pair in order for node in pair) == list(range(2 * count - 2))
        members = [{i} for i in range(count)]
        for k, (a, b) in enumerate(order):
            assert a < b < count + k
            members.append(members[a] | members[b])
        below = [{i} for i in range(count)]
        for box in range(count):
            ancestor = parents[box]
            while ancestor >= 0:
                below[ancestor].add(box)
                ancestor = parents[ancestor]
        assert all(family in members for family in below)  # each box with all in it is a node of the tree
