"""Limits of a request, of a client and of all clients together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from fgsbir.errors import InputError


@dataclass(frozen=True)
class Limits:
    """The limits of a server; each is an option of `fgsbir serve`.

    Raises:
        InputError: if a limit is not positive.
    """

    body_bytes: int = field(default=2**19, metadata={"help": "bytes of a JSON request"})
    file_bytes: int = field(default=8 * 2**20, metadata={"help": "bytes of a sketch file"})
    svg_bytes: int = field(default=2**20, metadata={"help": "bytes of an SVG file"})
    image_pixels: int = field(default=16_000_000, metadata={"help": "pixels of an image"})
    read_seconds: float = field(default=5.0, metadata={"help": "seconds to read a sketch file"})
    body_seconds: float = field(default=15.0, metadata={"help": "seconds for the body of a request to arrive"})
    strokes: int = field(default=300, metadata={"help": "strokes of a sketch"})
    points: int = field(default=10_000, metadata={"help": "points of a sketch"})
    top: int = field(default=100, metadata={"help": "most photos in an answer"})
    rate: float = field(default=20.0, metadata={"help": "searches, explanations and files of a client, a second"})
    burst: int = field(
        default=40, metadata={"help": "searches, explanations and files of a client at once, after a pause"}
    )
    matches: int = field(default=1, metadata={"help": "queries matched at the same time"})
    waiting: int = field(default=8, metadata={"help": "queries that may wait; further ones are answered 503"})

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not value > 0:
                raise InputError(f"--{limit.name}", f"{value} is not positive", "use more than 0")
