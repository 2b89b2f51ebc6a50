"""Merge trees in plain numbers, and where their nodes are drawn."""

import numpy as np

from fgsbir.models.merge_tree import MergeTree


def random_tree(leaves: int, seed: int) -> MergeTree:
    rng = np.random.default_rng(seed)
    nodes, merges = list(range(leaves)), []
    while len(nodes) > 1:
        a, b = sorted(int(n) for n in rng.choice(nodes, 2, replace=False))
        nodes = [n for n in nodes if n not in (a, b)] + [leaves + len(merges)]
        merges.append((a, b))
    return MergeTree.from_merges(merges)


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
