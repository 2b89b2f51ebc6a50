"""The JSON of the API."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field

from fgsbir.serve.errors import ApiError
from fgsbir.serve.limits import Limits
from fgsbir.sketch.strokes import VectorSketch

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Side = Annotated[float, Field(ge=1e-3, le=1e6, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]
# At the first wrong entry it is enough: a list of all would be longer than the body.
Stroke = Annotated[list[Point], FailFast(), Field(min_length=1)]

_BEYOND = 10  # sides of the canvas; what lies farther off was not drawn on it


class Drawing(BaseModel):
    """A sketch on a canvas."""

    model_config = ConfigDict(extra="forbid")

    strokes: Annotated[list[Stroke], FailFast()] = Field(
        min_length=1, description="in the order of drawing, each a list of points [x, y]; y points down"
    )
    width: Side = Field(default=1, description="of the canvas, in the units of the points")
    height: Side = Field(default=1, description="of the canvas, in the units of the points")

    def sketch(self, limits: Limits) -> VectorSketch:
        """The drawing in the unit frame, whose side is the canvas's longer one.

        Raises:
            ApiError: if it is too much, or not on the canvas.
        """
        points = sum(map(len, self.strokes))
        for name, number, most in (("strokes", len(self.strokes), limits.strokes), ("points", points, limits.points)):
            if number > most:
                raise ApiError(422, f"many_{name}", f"The drawing has {number} {name}, more than {most}.", "strokes")
        size = np.array([self.width, self.height])
        strokes = [(np.array(stroke) + (size.max() - size) / 2) / size.max() for stroke in self.strokes]
        if max(float(np.abs(stroke).max()) for stroke in strokes) > _BEYOND:
            raise ApiError(422, "off_canvas", "A point lies far off the canvas.", "strokes")
        return VectorSketch.from_strokes(strokes)


class SearchRequest(Drawing):
    """A drawing to search for."""

    top: int = Field(default=10, ge=1, description="photos to answer with, at most")


class ExplainRequest(Drawing):
    """A drawing and a photo to compare."""

    photo: str = Field(description="its id")


class Milliseconds(BaseModel):
    """Where the time went."""

    wait: float = Field(description="for a turn")
    encode: float = Field(description="the drawing becomes vectors")
    first: float = Field(description="the first stage ranks all photos")
    match: float = Field(description="the matcher ranks the nearest of them anew")
    total: float


class HitAnswer(BaseModel):
    """A photo that was found."""

    photo: str = Field(description="its id")
    distance: float = Field(description="smaller is nearer")


class SearchAnswer(BaseModel):
    """The nearest photos."""

    hits: list[HitAnswer] = Field(description="nearest first")
    ms: Milliseconds


class SketchAnswer(BaseModel):
    """The strokes of a file, in [0, 1] of a square canvas."""

    strokes: list[Stroke]


Box = tuple[float, float, float, float]


class LevelAnswer(BaseModel):
    """The nodes that were there at a level, and how much they attended to each other."""

    sketch_nodes: list[int]
    photo_nodes: list[int]
    sketch_to_photo: list[list[float]] | None = Field(
        default=None, description="a row for each sketch node: its attention to each photo node; null without attention"
    )
    photo_to_sketch: list[list[float]] | None = Field(default=None, description="likewise, a row for each photo node")


class Explanation(BaseModel):
    """How a drawing and a photo met. Leaves are numbered 0 to n - 1; the k-th fusion of a side makes node n + k."""

    strokes: list[list[tuple[float, float]]] = Field(
        description="of each sketch node; the node of the whole drawing, if there is one, is last and has none"
    )
    stroke_boxes: list[Box] = Field(description="of each sketch node, as x1, y1, x2, y2 in [0, 1]")
    photo_boxes: list[Box] = Field(description="of each region, in [0, 1] of the photo made square by margins")
    sketch_merges: list[tuple[int, int]] = Field(description="the two nodes of each fusion, in order")
    photo_merges: list[tuple[int, int]]
    levels: list[LevelAnswer]


class ExplainAnswer(BaseModel):
    """How a drawing and a photo met."""

    photo: str
    explanation: Explanation | None = Field(description="null if the system has no hierarchy")


class InfoAnswer(BaseModel):
    """What this server is."""

    version: str = Field(description="of fgsbir")
    photos: int = Field(description="in the index")
    formats: dict[str, str] = Field(description="suffixes of files that become strokes, with their media types")
    limits: dict[str, float]


class HealthAnswer(BaseModel):
    """The server is up."""

    status: str
    photos: int
