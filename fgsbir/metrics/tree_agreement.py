"""How well the merge tree of a sketch's strokes agrees with the true tree of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fgsbir.models.merge_tree import MergeTree
from fgsbir.sketch.strokes import IntArray

Merges = Sequence[tuple[int, int]]
"""Pairs of node numbers; of a tree with n leaves, numbered from 0, merge k makes node n + k."""


class Agreement(NamedTuple):
    """How one merge tree agrees with one part tree.

    Attributes:
        triplets: share of the resolved triplets that the merge tree joins as the part tree does; None if the
            part tree resolves none.
        clusters: share of the true clusters that are nodes of the merge tree; None if there is none.
    """

    triplets: float | None
    clusters: float | None


def agreement(merges: Merges, owners: IntArray, parents: IntArray) -> Agreement:
    """Compares the merge tree of a sketch with its part tree.

    In the part tree the strokes of a part hang below a node of their own below the part: they meet before any
    of them meets a stroke of another part, even of one inside theirs.

    A triplet of strokes is resolved if two of them meet strictly below the third; a merge tree is binary and
    resolves all. A true cluster is all strokes below a node of the part tree, if there are two or more, and fewer
    than in the whole sketch.

    Args:
        merges: `n - 1` merges of n leaves.
        owners: part of each leaf, `(n,)`; -1 for a leaf that is no single part's, which is left out.
        parents: parent of each part, `(M,)`, -1 for the root.

    Example:
        Two strokes of a back, one of each of two legs; the tree joins the back, then all in a chain:

        >>> parents = np.array([-1, 0, 0, 2, 2])  # object; back, legs; leg, leg
        >>> agreement([(0, 1), (2, 4), (3, 5)], np.array([1, 1, 3, 4]), parents)
        Agreement(triplets=0.5, clusters=0.5)
    """
    leaves = np.flatnonzero(owners >= 0)
    tree = MergeTree.from_merges(merges)
    below = tree.members[tree.leaves :]  # the leaves below every merge
    meeting = np.zeros((len(owners), len(owners)), dtype=np.int64)  # the merge at which any two leaves meet
    for k, members in reversed(list(enumerate(below))):
        meeting[np.ix_(members, members)] = k  # the earlier merges, which lie within, follow
    meeting = meeting[np.ix_(leaves, leaves)]
    true = _true_depth(owners[leaves], parents)
    a, b, c = np.array(list(combinations(range(len(leaves)), 3)), dtype=np.int64).reshape(-1, 3).T
    depth = np.stack([true[a, b], true[a, c], true[b, c]])
    resolved = (depth == depth.max(0)).sum(0) == 1
    first = np.stack([meeting[a, b], meeting[a, c], meeting[b, c]]).argmin(0)
    right = (first == depth.argmax(0))[resolved]

    clusters = _clusters(owners, parents)
    kept = set(leaves.tolist())
    made = {frozenset(kept.intersection(members)) for members in below}
    return Agreement(
        float(right.mean()) if len(right) else None,
        len(clusters & made) / len(clusters) if clusters else None,
    )


def random_merges(leaves: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """A merge tree by chance: any two of the nodes left are as likely to be next.

    All leaves are alike to it, so each way to resolve a triplet has probability 1/3.
    """
    nodes = list(range(leaves))
    merges: list[tuple[int, int]] = []
    while len(nodes) > 1:
        a, b = sorted(int(i) for i in rng.choice(len(nodes), 2, replace=False))
        second, first = nodes.pop(b), nodes.pop(a)
        nodes.append(leaves + len(merges))
        merges.append((first, second))
    return merges


def joined_owners(owners: IntArray, offsets: IntArray, joined: IntArray) -> IntArray:
    """The parts of the strokes of a sketch whose neighbours were joined (`VectorSketch.grouped`).

    Args:
        owners: part of each stroke before, `(S,)`.
        offsets: `VectorSketch.offsets` before, `(S + 1,)`.
        joined: those after, each also one of those before.

    Returns:
        Part of each stroke after; -1 where strokes of different parts were joined.
    """
    groups = np.searchsorted(joined, offsets[:-1], side="right") - 1
    parts = [np.unique(owners[groups == group]) for group in range(len(joined) - 1)]
    return np.array([part[0] if len(part) == 1 else -1 for part in parts], dtype=np.int64)


def _lines(parents: IntArray) -> list[list[int]]:
    """Each part and its ancestors, from itself up."""
    lines = []
    for part in range(len(parents)):
        line = [part]
        while parents[line[-1]] >= 0:
            line.append(int(parents[line[-1]]))
        lines.append(line)
    return lines


def _true_depth(owners: IntArray, parents: IntArray) -> IntArray:
    """Depth at which any two strokes meet in the part tree, `(n, n)`; strokes of one part meet a step below it."""
    lines = _lines(parents)
    shared = [[len(set(lines[a]) & set(lines[b])) + (a == b) for b in owners.tolist()] for a in owners.tolist()]
    return np.array(shared, dtype=np.int64).reshape(len(owners), len(owners))


def _clusters(owners: IntArray, parents: IntArray) -> set[frozenset[int]]:
    """The leaves of each part, alone and with all parts in it, where that says anything."""
    lines = _lines(parents)
    leaves = [leaf for leaf in range(len(owners)) if owners[leaf] >= 0]
    clusters = set()
    for part in range(len(parents)):
        clusters.add(frozenset(leaf for leaf in leaves if owners[leaf] == part))
        clusters.add(frozenset(leaf for leaf in leaves if part in lines[owners[leaf]]))
    return {cluster for cluster in clusters if 2 <= len(cluster) < len(leaves)}
