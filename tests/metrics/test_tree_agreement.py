"""Merge trees against part trees, on cases drawn by hand."""

import itertools

import numpy as np
import pytest

from fgsbir.metrics.tree_agreement import Agreement, agreement, joined_owners, random_merges
from fgsbir.sketch.strokes import VectorSketch

# chair 0: back 1 (slats 3 and 4), base 2 (legs 5 and 6)
PARENTS = np.array([-1, 0, 0, 1, 1, 2, 2])


def compared(merges, *owners, parents=PARENTS):
    return agreement(merges, np.array(owners, dtype=np.int64), np.array(parents))


def test_the_true_tree_agrees_in_everything():
    assert compared([(0, 1), (2, 3), (4, 5)], 3, 4, 5, 6) == (1.0, 1.0)
    assert compared([(2, 3), (0, 1), (4, 5)], 3, 4, 5, 6) == (1.0, 1.0)  # in whatever order


def test_a_tree_across_the_parts_agrees_in_nothing():
    assert compared([(0, 2), (1, 3), (4, 5)], 3, 4, 5, 6) == (0.0, 0.0)


def test_a_chain_is_half_right():
    # ((slat, slat), leg), leg: right for both triplets with two slats, wrong for both with two legs
    assert compared([(0, 1), (2, 4), (3, 5)], 3, 4, 5, 6) == (0.5, 0.5)


def test_a_triplet_that_meets_in_one_place_does_not_count():
    three_parts = [-1, 0, 0, 0]
    assert compared([(0, 1), (2, 3)], 1, 2, 3, parents=three_parts) == Agreement(None, None)
    assert compared([(0, 1), (2, 3)], 1, 1, 1, parents=three_parts) == Agreement(None, None)


@pytest.mark.parametrize("owners", [(), (3,), (3, 4)], ids=str)
def test_fewer_than_three_strokes_tell_nothing(owners):
    merges = [(0, 1)] if len(owners) == 2 else []
    assert compared(merges, *owners) == Agreement(None, None)


def test_strokes_of_one_part_meet_before_those_of_another():
    one_pair = [(0, 1), (2, 3)]
    assert compared(one_pair, 3, 3, 4) == (1.0, 1.0)
    assert compared(one_pair, 3, 4, 3) == (0.0, 0.0)


def test_strokes_of_a_part_meet_before_those_of_a_part_inside_it():
    # two strokes of the back itself and one of a slat in it
    assert compared([(0, 1), (2, 3)], 1, 1, 3) == (1.0, 1.0)
    assert compared([(0, 2), (1, 3)], 1, 1, 3) == (0.0, 0.0)
    # one stroke of the back and two slats meet in the back: nothing to resolve
    assert compared([(0, 1), (2, 3)], 1, 3, 4) == Agreement(None, None)


def test_depth_is_not_height():
    # A deep chain of parts on one side does not make a triplet of the other side more or less nested.
    parents = [-1, 0, 1, 2, 3, 0]  # 1 > 2 > 3 > 4 on one side, 5 on the other
    assert compared([(0, 1), (2, 3)], 4, 1, 5, parents=parents) == (1.0, 1.0)
    assert compared([(1, 2), (0, 3)], 4, 1, 5, parents=parents) == (0.0, 0.0)


def test_leaves_of_no_single_part_are_left_out():
    plain = compared([(0, 1), (2, 4), (3, 5)], 3, 4, 5, 6)
    # the same with a whole-sketch node as leaf 4, first fused with a slat or last with all
    early = compared([(0, 4), (1, 5), (2, 6), (3, 7)], 3, 4, 5, 6, -1)
    late = compared([(0, 1), (2, 5), (3, 6), (4, 7)], 3, 4, 5, 6, -1)
    assert plain == early == late == (0.5, 0.5)


def slow_triplets(merges, owners, parents):
    """By sets of strokes: a triplet is resolved by the smallest set that holds two of them and not the third."""

    def resolution(sets, triple):
        sizes = {
            pair: [len(s) for s in sets if set(pair) == s & set(triple)] for pair in itertools.combinations(triple, 2)
        }
        found = [pair for pair, has in sizes.items() if has]
        return found[0] if found else None

    members = [{i} for i in range(len(owners))]
    for a, b in merges:
        members.append(members[a] | members[b])
    below = []
    for part in range(len(parents)):
        below.append({i for i, owner in enumerate(owners) if owner == part})
        inside = {part}
        for other in range(part + 1, len(parents)):
            if parents[other] in inside:
                inside.add(other)
        below.append({i for i, owner in enumerate(owners) if owner in inside})
    triples = list(itertools.combinations([i for i, owner in enumerate(owners) if owner >= 0], 3))
    true = [resolution(below, triple) for triple in triples]
    pairs = [(t, resolution(members, triple)) for t, triple in zip(true, triples, strict=True) if t]
    return np.mean([t == m for t, m in pairs]) if pairs else None


def test_any_trees_agree_as_their_sets_do():
    rng = np.random.default_rng(0)
    for _ in range(60):
        parents = np.array([-1] + [int(rng.integers(0, i)) for i in range(1, 7)])
        owners = rng.integers(-1, 7, int(rng.integers(3, 10)))
        merges = random_merges(len(owners), rng)
        found, slow = agreement(merges, owners, parents).triplets, slow_triplets(merges, owners.tolist(), parents)
        assert found == (slow if slow is None else pytest.approx(slow))


def test_random_merges_are_trees_and_resolve_each_triplet_by_a_third():
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(1500):
        merges = random_merges(6, rng)
        assert sorted(node for pair in merges for node in pair) == list(range(10))
        seen.append(agreement(merges, np.array([3, 3, 4, 5, 6, 6]), PARENTS).triplets)
    assert np.mean(seen) == pytest.approx(1 / 3, abs=0.02)
    assert random_merges(1, rng) == []


def test_joined_strokes_keep_their_part_where_it_is_one():
    strokes = [
        np.array([[0.1 * i, 0.0], [0.1 * i, length]]) for i, length in enumerate([0.5, 0.01, 0.02, 0.5, 0.01, 0.02])
    ]
    sketch = VectorSketch.from_strokes(strokes)
    joined = sketch.grouped(4)  # 1 with 2, and 4 with 5
    found = joined_owners(np.array([0, 1, 1, 2, 3, 4]), sketch.offsets, joined.offsets)
    assert found.tolist() == [0, 1, 2, -1]
    alone = joined_owners(np.array([0, 1, 1, 2, 3, 4]), sketch.offsets, sketch.offsets)
    assert alone.tolist() == [0, 1, 1, 2, 3, 4]
