"""The trees that a hierarchy fuses, in plain numbers. Free of torch, so that reports read and draw them quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Explanation(NamedTuple):
    """What happened to one pair. Leaves are 0 to n - 1; the k-th merge of a branch makes node n + k.

    Attributes:
        sketch_merges: node pairs of the sketch in the order of their fusion.
        photo_merges: node pairs of the photo in the order of their fusion.
        levels: for each level `sketch_nodes` and `photo_nodes` and, with co-attention, `sketch_to_photo` (rows sketch
            nodes) and `photo_to_sketch` (rows photo nodes), as plain lists.
    """

    sketch_merges: list[tuple[int, int]]
    photo_merges: list[tuple[int, int]]
    levels: list[dict[str, list[int] | list[list[float]]]]


class MergeTree(NamedTuple):
    """A binary tree over `leaves` nodes; merge `k` makes node `leaves + k` of two earlier ones.

    Args:
        leaves: number of leaves, numbered from 0.
        merges: the two nodes of each merge, in the order of fusion; `leaves - 1` of them.
    """

    leaves: int
    merges: tuple[tuple[int, int], ...]

    @classmethod
    def from_merges(cls, merges: Sequence[Sequence[int]]) -> MergeTree:
        """The tree of a list of merges that ends in one root."""
        return cls(len(merges) + 1, tuple((int(a), int(b)) for a, b in merges))

    @property
    def members(self) -> list[list[int]]:
        """The leaves under every node, in drawing order from top to bottom.

        Example:
            >>> MergeTree.from_merges([(0, 2), (1, 3)]).members
            [[0], [1], [2], [0, 2], [1, 0, 2]]
        """
        found = [[leaf] for leaf in range(self.leaves)]
        for a, b in self.merges:
            found.append(found[a] + found[b])
        return found

    def places(self) -> list[tuple[int, float]]:
        """Column and row of every node: leaves in column 0, merge `k` in column `k + 1`, midway between its two.

        Rows follow the order in which the root lists its leaves, so no two branches cross.
        """
        row = {leaf: float(i) for i, leaf in enumerate(self.members[-1])}
        places = [(0, row[leaf]) for leaf in range(self.leaves)]
        for k, (a, b) in enumerate(self.merges):
            places.append((k + 1, (places[a][1] + places[b][1]) / 2))
        return places
