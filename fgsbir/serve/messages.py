"""The JSON messages of the API."""

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
# Validation stops at the first wrong entry: a list of all would be longer than the body.
Stroke = Annotated[list[Point], FailFast(), Field(min_length=1)]

_BEYOND = 10  # sides of the canvas; a point farther away is an error of the client


class Drawing(BaseModel):
    """A sketch on a canvas."""

    model_config = ConfigDict(extra="forbid")

    strokes: Annotated[list[Stroke], FailFast()] = Field(
        min_length=1, description="strokes in the order of drawing, each a list of points [x, y]; y points down"
    )
    width: Side = Field(default=1, description="width of the canvas, in the units of the points")
    height: Side = Field(default=1, description="height of the canvas, in the units of the points")

    def sketch(self, limits: Limits) -> VectorSketch:
        """The sketch in the unit frame, whose side is the longer one of the canvas.

        Raises:
            ApiError: if the sketch exceeds a limit, or lies far off the canvas.
        """
        points = sum(map(len, self.strokes))
        for name, number, most in (("strokes", len(self.strokes), limits.strokes), ("points", points, limits.points)):
            if number > most:
                raise ApiError(422, f"many_{name}", f"The sketch has {number} {name}, more than {most}.", "strokes")
        size = np.array([self.width, self.height])
        strokes = [(np.array(stroke) + (size.max() - size) / 2) / size.max() for stroke in self.strokes]
        if max(float(np.abs(stroke).max()) for stroke in strokes) > _BEYOND:
            raise ApiError(422, "off_canvas", "A point lies far off the canvas.", "strokes")
        return VectorSketch.from_strokes(strokes)


class SearchRequest(Drawing):
    """A sketch to search for."""

    top: int = Field(default=10, ge=1, description="most photos to return")


class ExplainRequest(Drawing):
    """A sketch and a photo to compare."""

    photo: str = Field(description="id of the photo")


class Milliseconds(BaseModel):
    """The time of each step in milliseconds."""

    wait: float = Field(description="waiting in the queue")
    encode: float = Field(description="encoding the sketch")
    first: float = Field(description="first stage: finding candidates by their vectors")
    match: float = Field(description="second stage: matching the candidates")
    total: float = Field(description="whole request, on the server")


class HitAnswer(BaseModel):
    """A photo that was found."""

    photo: str = Field(description="id of the photo")
    distance: float = Field(description="distance from the sketch; smaller is nearer")


class SearchAnswer(BaseModel):
    """The nearest photos."""

    hits: list[HitAnswer] = Field(description="photos, nearest first")
    ms: Milliseconds


UnitPoint = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


class SketchAnswer(BaseModel):
    """The strokes of a file, in the unit frame; a drawing that leaves its frame is scaled to fit."""

    strokes: list[Annotated[list[UnitPoint], Field(min_length=1)]] = Field(
        description="strokes in the order of drawing, each a list of points [x, y] in [0, 1]; y points down"
    )


Box = tuple[float, float, float, float]


class LevelAnswer(BaseModel):
    """The nodes of a level and their attention to each other."""

    sketch_nodes: list[int]
    photo_nodes: list[int]
    sketch_to_photo: list[list[float]] | None = Field(
        default=None, description="attention of each sketch node (rows) to each photo node; null without attention"
    )
    photo_to_sketch: list[list[float]] | None = Field(
        default=None, description="attention of each photo node (rows) to each sketch node; null without attention"
    )


class ExplanationAnswer(BaseModel):
    """Merge trees and attention of a pair. Leaves are nodes 0 to n - 1; the k-th fusion of a side makes node n + k."""

    strokes: list[list[tuple[float, float]]] = Field(
        description="points of each sketch node; the node of the whole sketch, if there is one, is last and has none"
    )
    stroke_boxes: list[Box] = Field(description="box of each sketch node, as x1, y1, x2, y2 in [0, 1]")
    photo_boxes: list[Box] = Field(
        description="box of each region, in [0, 1] of a square about the photo, whose side is the longer one"
    )
    sketch_merges: list[tuple[int, int]] = Field(description="the two sketch nodes of each fusion, in order")
    photo_merges: list[tuple[int, int]] = Field(description="the two photo nodes of each fusion, in order")
    levels: list[LevelAnswer] = Field(description="nodes and attention before each step of fusions")


class ExplainAnswer(BaseModel):
    """How the system matched a sketch and a photo."""

    photo: str
    explanation: ExplanationAnswer | None = Field(description="null if the system has no hierarchy")


class InfoAnswer(BaseModel):
    """Facts and limits of the server."""

    version: str = Field(description="version of fgsbir")
    photos: int = Field(description="number of photos in the index")
    formats: dict[str, str] = Field(description="suffixes of sketch files, with their media types")
    limits: dict[str, float] = Field(description="limits of requests, by the name of their option")


class HealthAnswer(BaseModel):
    """The server is up."""

    status: str
    photos: int
