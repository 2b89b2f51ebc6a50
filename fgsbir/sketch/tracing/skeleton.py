"""Thinned ink as a graph, and the strokes along it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.sketch.tracing.points import Points, length

End: TypeAlias = "tuple[_Edge, int]"  # 0 is its first point, 1 its last

_STRAIGHT_ENOUGH = 0.5  # cosine: a stroke does not turn by more than 60 degrees at a junction
_ONWARD = 0.3  # cosine: lines go on from the bridge of a crossing, and not to both sides as from a rung
_LOOP = 8  # pixels; a wider loop is drawn, a smaller one may be a gap between lines that meet
_NEIGHBOURS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))  # (dy, dx), sides first


@dataclass(eq=False)
class _Edge:
    """A line of pixels.

    Attributes:
        points: `(n, 2)` x and y, in order, with the centres of the nodes.
        nodes: at its first and at its last point; -1 where there is none.
    """

    points: Points
    nodes: list[int]


class Skeleton:
    """The thinned ink as a graph: nodes are junctions, edges the lines between them and to free ends.

    Args:
        ink: `(h, w)` 0 or 1, with at least one 1.
    """

    def __init__(self, ink: npt.NDArray[np.uint8]) -> None:
        padded = np.pad(ink, 1)  # OpenCV does not thin what touches the border
        # Guo and Hall's way; Zhang and Suen's wipes out some slanted lines of even width.
        thin = cv2.ximgproc.thinning(padded * np.uint8(255), thinningType=cv2.ximgproc.THINNING_GUOHALL)
        radius = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
        self.edges: list[_Edge] = []
        self._directions: dict[End, Points] = {}
        self.crossings: dict[End, End] = {}  # ends that go on in each other over a bridge that was taken out
        self._trace(thin, radius)
        self._prune()
        self._join_crossings()

    def strokes(self) -> list[Points]:
        """The edges joined to strokes."""
        self._directions.clear()  # nodes have moved
        partner = self._partners()
        line = {edge: self._trimmed(edge, partner) for edge in self.edges}
        starts = [(edge, end) for edge in self.edges for end in (0, 1) if (edge, end) not in partner]
        rings = [(edge, 0) for edge in self.edges]
        done: set[_Edge] = set()
        strokes = []
        for edge, end in starts + rings:
            if edge in done:
                continue
            parts = []
            at: End | None = (edge, end)
            while at and at[0] not in done:
                edge, end = at
                done.add(edge)
                parts.append(line[edge][:: 1 if end == 0 else -1])
                at = partner.get((edge, 1 - end))
            if at:  # back at its start
                parts.append(parts[0][:1])
            strokes.append(np.concatenate(parts))
        return strokes

    def _trace(self, thin: npt.NDArray[np.uint8], radius: npt.NDArray[np.float32]) -> None:
        """Finds nodes and edges.

        A pixel is linked with its eight neighbours, but not across a corner that is filled: so a staircase is a line
        and no row of junctions. Pixels with three links or more are junctions, and touching ones are one node.
        """
        rows, columns = np.nonzero(thin)
        index = np.full(thin.shape, -1)
        index[rows, columns] = np.arange(len(rows))
        links = np.stack([index[rows + dy, columns + dx] for dy, dx in _NEIGHBOURS], axis=1)
        for corner in range(4):
            links[(links[:, [corner, (corner + 1) % 4]] >= 0).any(1), 4 + corner] = -1
        degree = (links >= 0).sum(1)
        forks = np.zeros_like(thin)
        forks[rows, columns] = degree > 2
        count, labels = cv2.connectedComponents(forks, connectivity=8)
        node = labels[rows, columns] - 1
        inside = np.flatnonzero(node >= 0)
        xy = np.stack([columns, rows], axis=1).astype(np.float64) - 1
        self.centres: Points = np.zeros((count - 1, 2))
        self.radii: Points = np.zeros(count - 1)
        np.add.at(self.centres, node[inside], xy[inside])
        self.centres /= np.bincount(node[inside], minlength=count - 1)[:, None]
        np.maximum.at(self.radii, node[inside], radius[rows[inside], columns[inside]])

        links = -np.sort(-links, axis=1)
        one, two = links[:, 0].tolist(), links[:, 1].tolist()
        owner, visited = node.tolist(), (node >= 0).tolist()

        def walk(pixel: int, before: int) -> tuple[list[int], int]:
            """The pixels from one on, away from the one before it, and the node where they end."""
            chain = []
            while not visited[pixel]:
                visited[pixel] = True
                chain.append(pixel)
                before, pixel = pixel, two[pixel] if one[pixel] == before else one[pixel]
                if pixel < 0:
                    return chain, -1
            return chain, owner[pixel]

        for pixel in inside.tolist():
            for first in links[pixel, : degree[pixel]].tolist():
                if not visited[first]:
                    chain, end = walk(first, pixel)
                    last = self.centres[[end]] if end >= 0 else xy[:0]
                    points = np.concatenate([self.centres[[owner[pixel]]], xy[chain], last])
                    self.edges.append(_Edge(points, [owner[pixel], end]))
        for pixel in np.flatnonzero(degree < 2).tolist():
            if not visited[pixel]:
                self.edges.append(_Edge(xy[walk(pixel, -1)[0]], [-1, -1]))
        for pixel in np.flatnonzero(degree == 2).tolist():  # what is left are rings
            if not visited[pixel]:
                self.edges.append(_Edge(xy[[*walk(pixel, one[pixel])[0], pixel]], [-1, -1]))

    def _ends(self) -> dict[int, list[End]]:
        """The ends of edges at each node."""
        ends: dict[int, list[End]] = {}
        for edge in self.edges:
            for end, node in enumerate(edge.nodes):
                if node >= 0:
                    ends.setdefault(node, []).append((edge, end))
        return ends

    def _prune(self) -> None:
        """Cuts off what lies within the ink about its node: thinning grows such spurs at corners and rough borders.

        A node of which nothing would be left keeps its two longest. The spur of a sharp corner shows where its tip is.
        """
        while True:
            self._directions.clear()  # edges have changed
            ends = self._ends()
            spurs: dict[_Edge, float] = {}
            for node, here in ends.items():
                if len(here) > 2:
                    found = {edge: reach for edge, _ in here if (reach := self._spur(edge, node, ends))}
                    if len(found) == len({edge for edge, _ in here}):
                        found = dict(sorted(found.items(), key=lambda item: -item[1])[2:])
                    spurs |= found
                    self._sharpen(here, found)
            if not spurs:
                return
            self.edges = [edge for edge in self.edges if edge not in spurs]

    def _spur(self, edge: _Edge, node: int, ends: dict[int, list[End]]) -> float:
        """How far a spur reaches from its node; 0 for what is none."""
        a, b = edge.nodes
        other = b if a == node else a
        if other not in (-1, node) and len(ends[other]) > 1:
            return 0.0
        if a == b and np.ptp(edge.points, axis=0).max() >= _LOOP:
            return 0.0
        reach = float(np.linalg.norm(edge.points - self.centres[node], axis=1).max())
        return reach if reach <= 1.5 * self.radii[node] + 2 else 0.0

    def _sharpen(self, here: list[End], spurs: dict[_Edge, float]) -> None:
        """Draws a corner out to its tip, the end of the only spur of a node with two other edges."""
        left = [end for end in here if end[0] not in spurs]
        free = [edge for edge in spurs if -1 in edge.nodes]
        if len(here) == 3 and len(left) == 2 and free and self._straightness(*left) < _STRAIGHT_ENOUGH:
            tip = free[0].points[-free[0].nodes.index(-1)]
            for edge, end in left:
                edge.points[-end] = tip

    def _join_crossings(self) -> None:
        """Puts two forks together where thinning made them of one crossing: they are joined within the ink."""
        ends = self._ends()
        between: dict[tuple[int, int], list[_Edge]] = {}
        for edge in self.edges:
            a, b = sorted(edge.nodes)
            if a != b and a >= 0:
                between.setdefault((a, b), []).append(edge)
        bridges = []
        for (a, b), edges in between.items():
            reach = length(edges[0].points)
            forks = len(edges) == 1 and len(ends[a]) == len(ends[b]) == 3
            if forks and reach <= 2.5 * (self.radii[a] + self.radii[b]) + 1:
                here, there = ([end for end in ends[node] if end[0] is not edges[0]] for node in (a, b))
                if pairs := self._crossing(here, there, self.centres[b] - self.centres[a]):
                    bridges.append((reach, a, b, pairs))
        gone: set[int] = set()
        for _, a, b, pairs in sorted(bridges, key=lambda bridge: bridge[:3]):
            if a in gone or b in gone:  # put together with another before
                continue
            gone |= {a, b}
            middle = (self.centres[a] + self.centres[b]) / 2
            self.radii[a] = max(self.radii[a], self.radii[b]) + np.linalg.norm(middle - self.centres[a])
            self.centres[a] = middle
            self.edges.remove(between[a, b][0])
            for one, other in pairs:
                self.crossings |= {one: other, other: one}
                for edge, end in (one, other):
                    edge.nodes[end] = a
                    edge.points = np.insert(edge.points, end * len(edge.points), middle, axis=0)

    def _crossing(self, here: list[End], there: list[End], bridge: Points) -> list[tuple[End, End]]:
        """The ends that go straight on over a bridge: along it, and not to both its sides as from a rung."""
        along = bridge / max(float(np.linalg.norm(bridge)), 1e-9)
        onward = [-along @ self._direction(end) for end in here] + [along @ self._direction(end) for end in there]
        ways = [list(zip(here, order, strict=True)) for order in (there, there[::-1])]
        straightness, pairs = max(
            ((min(self._straightness(*pair) for pair in way), way) for way in ways), key=lambda found: found[0]
        )
        return pairs if min(onward) > _ONWARD and straightness > _STRAIGHT_ENOUGH else []

    def _partners(self) -> dict[End, End]:
        """Which end goes on in which: the straightest pairs of each node, or both where there are two."""
        partner = dict(self.crossings)
        for ends in self._ends().values():
            pairs = [(self._straightness(one, other), one, other) for one, other in combinations(ends, 2)]
            for straightness, one, other in sorted(pairs, key=lambda pair: -pair[0]):
                free = one not in partner and other not in partner
                if free and (straightness > _STRAIGHT_ENOUGH or len(ends) == 2):
                    partner[one], partner[other] = other, one
        return partner

    def _straightness(self, one: End, other: End) -> float:
        """The cosine of the turn from one edge into another; 1 is straight on."""
        return -float(self._direction(one) @ self._direction(other))

    def _direction(self, at: End) -> Points:
        """The unit vector in which an edge leaves its node, measured behind the junction's ink."""
        if at not in self._directions:
            self._directions[at] = self._measured_direction(*at)
        return self._directions[at]

    def _measured_direction(self, edge: _Edge, end: int) -> Points:
        points = edge.points[:: 1 if end == 0 else -1]
        radius = self.radii[edge.nodes[end]]
        away = np.linalg.norm(points - self.centres[edge.nodes[end]], axis=1)
        near = min(int(np.argmax(away > radius)), len(points) - 2) if (away > radius).any() else 0
        far = min(near + 6 + int(3 * radius), len(points) - 1)
        vector: Points = points[far] - points[near]
        return vector / max(length(points[[near, far]]), 1e-9)

    def _trimmed(self, edge: _Edge, partner: dict[End, End]) -> Points:
        """The points of an edge without those in the ink of a junction where it goes on: thinning bends them."""
        points, third = edge.points, len(edge.points) // 3
        cut = [0, 0]
        for end, node in enumerate(edge.nodes):
            if (edge, end) in partner:
                near = points[:: 1 if end == 0 else -1][: third + 1]
                away = np.linalg.norm(near - self.centres[node], axis=1) > self.radii[node]
                cut[end] = int(np.argmax(away)) if away.any() else third
        inner = np.arange(cut[0], len(points) - cut[1])
        first, last = (self._keeps_end((edge, end), partner) for end in (0, 1))
        kept = np.unique(np.concatenate([[0][:first], inner, [len(points) - 1][:last]]).astype(int))
        return np.asarray(points[kept])

    def _keeps_end(self, end: End, partner: dict[End, End]) -> bool:
        """Whether a stroke runs to its very node: where it ends, at a corner, and where lines cross over a bridge."""
        if end in self.crossings or end not in partner:
            return True
        return self._straightness(end, partner[end]) < _STRAIGHT_ENOUGH
