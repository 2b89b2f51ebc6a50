"""Pixels to strokes: a drawing on paper becomes a `VectorSketch`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.errors import InputError
from fgsbir.sketch.strokes import VectorSketch

Points = npt.NDArray[np.float64]
End: TypeAlias = "tuple[_Edge, int]"  # 0 is its first point, 1 its last

ALGORITHM = 1  # raise it when the same image gives other strokes than before
SMALLEST = 16  # pixels; a smaller image holds no drawing
_WORKING = 512  # pixels of the longer side while tracing
_FAINTEST = 24.0  # grey levels between paper and the faintest line
_MOST = 300  # strokes; what has more is no line drawing
_STRAIGHT_ENOUGH = 0.5  # cosine: a stroke does not turn by more than 60 degrees at a junction
_NEIGHBOURS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))  # (dy, dx), sides first


def vectorise(
    raster: npt.NDArray[np.uint8],
    max_strokes: int = 16,
    threshold: float | None = None,
    speck: float = 0.006,
    tolerance: float = 0.001,
    where: object = "raster",
) -> VectorSketch:
    """Recovers the strokes of a drawing.

    The ink is thinned to lines of one pixel. Their free ends and junctions are nodes and the lines between them edges.
    Spurs that thinning leaves are cut off, junctions that it tears apart (a sharp crossing becomes two forks) are put
    together, and at each junction the straightest pairs of edges become one stroke: a cross gives two strokes, a T two,
    a circle one that is closed. A dot is a stroke of one point.

    How a drawing was made cannot be seen, so strokes come by ink length, longest first. A prefix by ink, which is what
    the coarse levels of detail keep, then holds the outline and loses the details. The same image always gives the
    same strokes.

    Where there are more than `max_strokes`, the shortest ones become detours of their nearest: the pen leaves that
    line, draws the short one there and back, and goes on. A `Rendering` of smaller capacity joins strokes of similar
    length instead, wherever they are, by lines across the image.

    Args:
        raster: `(H, W)`, `(H, W, 3)` or `(H, W, 4)`; transparency is laid on white. Ink may be dark on light paper or
            light on dark; uneven light is evened out.
        max_strokes: largest number of strokes.
        threshold: grey levels from paper to ink; Otsu's threshold if not given.
        speck: size of dirt, in frame units; smaller marks, in both directions, are dropped.
        tolerance: largest distance of a simplified stroke from its line, in frame units.
        where: name of the source in errors, e.g. the file.

    Returns:
        The strokes in the frame of the image: its longer side is 1, the shorter one is centred.

    Raises:
        InputError: if the image is too small, blank, no line drawing, or of another shape or type, or `max_strokes` is
            less than 1.
    """
    if raster.dtype != np.uint8 or raster.ndim not in (2, 3) or raster.shape[2:] not in ((), (3,), (4,)):
        problem = f"it is {raster.dtype} {raster.shape}"
        raise InputError(where, problem, "give a grey, RGB or RGBA image of 8 bits a channel")
    if max_strokes < 1:
        raise InputError("max_strokes", f"{max_strokes} is out of range", "use 1 or more")
    height, width = raster.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(where, f"it has {width} x {height} pixels", f"give a drawing of {SMALLEST} pixels or more")
    ink = _ink(raster, threshold)
    side = max(ink.shape)
    ink = _without_specks(ink, speck * side)
    if not ink.any():
        raise InputError(where, "no line stands out from the paper", "give dark lines on light paper, or the reverse")
    x, y, across, down = cv2.boundingRect(ink)
    corner = (side - np.array(ink.shape[::-1])) / 2 + (x, y)
    ink = ink[y : y + down, x : x + across]
    lines = [_smooth(line) for line in _Lines(ink).strokes()]
    if len(lines) > _MOST:
        raise InputError(where, f"it has {len(lines)} lines, as a photo or dirty paper has", "give a line drawing")
    lines = _absorbed(lines, max_strokes)
    strokes = [(line + 0.5 + corner) / side for line in lines]
    sketch = VectorSketch.from_strokes(strokes).simplified(tolerance)
    return sketch.select(np.argsort(-sketch.ink, kind="stable"))


def _ink(raster: npt.NDArray[np.uint8], threshold: float | None) -> npt.NDArray[np.uint8]:
    """Where the ink is, `(h, w)` 0 or 1, at working size.

    Antialiased lines fade where they run between two pixels, so half the threshold is enough beside what reaches it.
    """
    image = raster if raster.ndim == 3 else raster[..., None]
    if image.shape[2] == 4:
        alpha = image[..., 3:] / np.float32(255)
        image = (image[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    scale = _WORKING / max(image.shape[:2])
    size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    paper = _paper(image)
    dark, light = (reduce(cv2.max, cv2.split(cv2.subtract(*pair))) for pair in ((paper, image), (image, paper)))
    strength = dark if cv2.norm(dark) >= cv2.norm(light) else light
    if threshold is None:
        otsu = cv2.threshold(strength, 0, 255, cv2.THRESH_OTSU)[0]
        deviation = 1.5 * float(np.median(strength))  # of the paper's grain, which is most of the image
        threshold = max(otsu, _FAINTEST, 6 * deviation)
    faint = (strength > threshold / 2).astype(np.uint8)
    count, labels = cv2.connectedComponents(faint, connectivity=8)
    real = np.zeros(count, dtype=np.uint8)
    real[labels[strength > threshold]] = 1
    real[0] = 0
    return real[labels]


def _paper(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The colour of the paper at each pixel: the median around it, as wide as half the image."""
    height, width = image.shape[:2]
    scale = 128 / max(height, width)
    small = cv2.resize(image, [max(1, round(n * scale)) for n in (width, height)], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.medianBlur(small, 63), (width, height), interpolation=cv2.INTER_LINEAR))


def _without_specks(ink: npt.NDArray[np.uint8], speck: float) -> npt.NDArray[np.uint8]:
    """The ink less its smallest parts, and with its smallest holes closed."""
    for value, connectivity in ((1, 8), (0, 4)):
        part = (ink == value).astype(np.uint8)
        _, labels, facts, _ = cv2.connectedComponentsWithStats(part, connectivity=connectivity)
        small = facts[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) < speck
        small[0] = False
        if small.any():
            ink = np.where(small[labels], np.uint8(1 - value), ink)
    return ink


@dataclass(eq=False)
class _Edge:
    """A line of pixels.

    Attributes:
        points: `(n, 2)` x and y, in order, with the centres of the nodes.
        nodes: at its first and at its last point; -1 where there is none.
    """

    points: Points
    nodes: list[int]


class _Lines:
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
        self._trace(thin, radius)
        self._prune()
        self._join_crossings()
        self._prune()

    def strokes(self) -> list[Points]:
        """The edges joined to strokes."""
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
        degree = {node: len(ends) for node, ends in self._ends().items()}
        bridges = []
        for edge in self.edges:
            a, b = edge.nodes
            if a != b and a >= 0 and b >= 0:
                length = _length(edge.points)
                if length <= 2.5 * (self.radii[a] + self.radii[b]) + 1:
                    bridges.append((length, edge))
        for _, bridge in sorted(bridges, key=lambda item: item[0]):
            a, b = bridge.nodes
            if degree[a] != 3 or degree[b] != 3:  # no fork, or put together with another before
                continue
            degree[a] = degree[b] = 4
            middle = (self.centres[a] + self.centres[b]) / 2
            self.radii[a] = max(self.radii[a], self.radii[b]) + np.linalg.norm(middle - self.centres[a])
            self.centres[a] = middle
            self.edges.remove(bridge)
            for edge in self.edges:
                edge.nodes = [a if node == b else node for node in edge.nodes]

    def _partners(self) -> dict[End, End]:
        """Which end goes on in which: the straightest pairs of each node, or both where there are two."""
        partner: dict[End, End] = {}
        for ends in self._ends().values():
            pairs = [(self._straightness(one, other), one, other) for one, other in combinations(ends, 2)]
            for straightness, one, other in sorted(pairs, key=lambda pair: -pair[0]):
                free = one not in partner and other not in partner
                if free and (straightness > _STRAIGHT_ENOUGH or len(ends) == 2):
                    partner[one], partner[other] = other, one
        return partner

    def _straightness(self, one: End, other: End) -> float:
        """The cosine of the turn from one edge into another; 1 is straight on."""
        return -float(self._direction(*one) @ self._direction(*other))

    def _direction(self, edge: _Edge, end: int) -> Points:
        """The unit vector in which an edge leaves its node, measured behind the junction's ink."""
        points = edge.points[:: 1 if end == 0 else -1]
        radius = self.radii[edge.nodes[end]]
        away = np.linalg.norm(points - self.centres[edge.nodes[end]], axis=1)
        near = min(int(np.argmax(away > radius)), len(points) - 2) if (away > radius).any() else 0
        far = min(near + 6 + int(3 * radius), len(points) - 1)
        vector: Points = points[far] - points[near]
        return vector / max(_length(points[[near, far]]), 1e-9)

    def _trimmed(self, edge: _Edge, partner: dict[End, End]) -> Points:
        """The points of an edge without those in the ink of a junction where it goes on: thinning bends them."""
        keep = np.ones(len(edge.points), dtype=bool)
        for end, node in enumerate(edge.nodes):
            if (edge, end) in partner:
                keep &= np.linalg.norm(edge.points - self.centres[node], axis=1) > self.radii[node]
        for end in (0, 1):
            if (edge, end) in partner and self._straightness((edge, end), partner[edge, end]) < _STRAIGHT_ENOUGH:
                keep[-end] = True  # the corner itself
        return edge.points[keep] if keep.any() else edge.points[[len(edge.points) // 2]]


def _smooth(stroke: Points) -> Points:
    """Takes the steps of pixels out of a line. The ends stay; a ring stays closed."""
    ring = len(stroke) > 3 and np.array_equal(stroke[0], stroke[-1])
    for _ in range(2):
        if ring:
            around = np.concatenate([stroke[-2:-1], stroke, stroke[1:2]])
        else:
            around = np.concatenate([2 * stroke[:1] - stroke[1:2], stroke, 2 * stroke[-1:] - stroke[-2:-1]])
        if len(stroke) > 2:
            stroke = (around[:-2] + 2 * around[1:-1] + around[2:]) / 4
    return stroke


def _absorbed(strokes: list[Points], max_strokes: int) -> list[Points]:
    """At most `max_strokes` strokes: the shortest one becomes a detour of its nearest, repeatedly."""
    strokes = sorted(strokes, key=lambda stroke: -_length(stroke))
    while len(strokes) > max_strokes:
        short = strokes.pop()
        some, others = short[::2], np.concatenate(strokes)  # half of its points will do
        distances = (others**2).sum(1)[:, None] - 2 * others @ some.T + (some**2).sum(1)
        nearest, enter = (int(i) for i in np.unravel_index(distances.argmin(), distances.shape))
        enter *= 2
        starts = np.cumsum([0] + [len(stroke) for stroke in strokes])
        number = int(np.searchsorted(starts, nearest, side="right")) - 1
        stroke, leave = strokes[number], nearest - starts[number]
        detour = [short[enter:], short[-2::-1], short[1 : enter + 1]]
        strokes[number] = np.concatenate([stroke[: leave + 1], *detour, stroke[leave:]])
    return strokes


def _length(points: Points) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
