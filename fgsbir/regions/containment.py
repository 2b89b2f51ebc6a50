"""Containment trees of boxes, and the order in which such a tree fuses its nodes."""

from __future__ import annotations

from collections import deque

import numpy as np

from fgsbir.sketch.strokes import FloatArray, IntArray


def containment_parents(boxes: FloatArray, tolerance: float = 0.0) -> IntArray:
    """The smallest box around each box (Sain et al. 2020, slide 12; the authors' util_bbox.py, lines 151 to 191).

    Boxes are put in order, largest area first, the lower number first among equals. The parent of a box is the
    last box before it in this order that contains it. So equal boxes form a chain, and no rule or rounding can
    make a cycle.

    Args:
        boxes: `(N, 4)` as `(x1, y1, x2, y2)`.
        tolerance: A box may stick out of its parent this far on each side, in units of the boxes.

    Returns:
        Number of each box's parent, `(N,)`; -1 where no box contains it.

    Deviations:
        In the authors' code a box that nothing contains hangs below box 0, which makes a cycle where box 0 is
        not the largest.

    Example:
        A screen with a panel and an icon in it, and a bar beside the panel:

        >>> boxes = np.array([[0, 0, 10, 10], [1, 5, 9, 9], [2, 6, 3, 7], [1, 1, 9, 3]], dtype=np.float32)
        >>> containment_parents(boxes).tolist()
        [-1, 0, 1, 0]
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    outer, inner = boxes[order][:, None], boxes[order][None]
    contains = (outer[..., :2] <= inner[..., :2] + tolerance).all(2) & (
        outer[..., 2:] >= inner[..., 2:] - tolerance
    ).all(2)
    contains &= np.triu(np.ones(contains.shape, dtype=bool), 1)  # only boxes that come earlier
    parents = np.full(len(boxes), -1, dtype=np.int64)
    for position, column in enumerate(contains.T):
        if column.any():
            parents[order[position]] = order[np.flatnonzero(column)[-1]]
    return parents


def merge_order(parents: IntArray) -> IntArray:
    """The order in which a tree of N nodes is fused into one, two nodes at a time.

    Every box is a node itself. Families are fused one after the other, families of the deepest parents first, at one
    depth by the parent's number, and last the nodes without a parent:

    1. The children of a family, each by then one node with all that is below it, stand in a queue in the order of
       their own numbers. The first two are fused and the new node goes to the end, until one is left: so
       neighbours meet in pairs, and then pairs of pairs.
    2. This node is fused with the parent.

    Args:
        parents: number of each node's parent, `(N,)`, -1 for none.

    Returns:
        Pairs of node numbers, `(N - 1, 2)`, the smaller first; merge k makes node N + k.

    Raises:
        ValueError: if the parents go round in a circle.

    Example:
        >>> merge_order(np.array([-1, 0, 1, 0])).tolist()
        [[1, 2], [3, 4], [0, 5]]
    """
    count = len(parents)
    node = list(range(count))  # the node that stands for each box and all that is fused into it
    merges: list[tuple[int, int]] = []

    def fuse(a: int, b: int) -> int:
        merges.append((min(a, b), max(a, b)))
        return count + len(merges) - 1

    depth = _depths(parents)
    for parent in (*sorted(set(parents[parents >= 0].tolist()), key=lambda p: (-depth[p], p)), -1):
        queue = deque(node[child] for child in np.flatnonzero(parents == parent))
        while len(queue) > 1:
            queue.append(fuse(queue.popleft(), queue.popleft()))
        if parent >= 0:
            node[parent] = fuse(parent, queue.pop())
    return np.array(merges, dtype=np.int64).reshape(-1, 2)


def _depths(parents: IntArray) -> IntArray:
    """Number of ancestors of each node, `(N,)`."""
    depth, ancestor = np.zeros(len(parents), dtype=np.int64), np.array(parents)
    for _ in parents:
        depth += ancestor >= 0
        ancestor = np.where(ancestor >= 0, parents[ancestor], -1)
    if (ancestor >= 0).any():
        raise ValueError("the parents go round in a circle")
    return depth
