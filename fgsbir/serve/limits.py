"""What one request, one client and all of them together may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from fgsbir.errors import InputError


@dataclass(frozen=True)
class Limits:
    """The limits of a server; each is an option of `fgsbir serve`.

    Raises:
        InputError: if one is not positive.
    """

    body_bytes: int = field(default=2**19, metadata={"help": "of a request in JSON"})
    file_bytes: int = field(default=8 * 2**20, metadata={"help": "of a file that becomes strokes"})
    svg_bytes: int = field(default=2**20, metadata={"help": "of such a file that is an SVG"})
    image_pixels: int = field(default=16_000_000, metadata={"help": "of such a file that is a picture"})
    read_seconds: float = field(default=5.0, metadata={"help": "to read such a file"})
    body_seconds: float = field(default=15.0, metadata={"help": "for the body of a request to arrive"})
    strokes: int = field(default=300, metadata={"help": "of a drawing"})
    points: int = field(default=10_000, metadata={"help": "of a drawing"})
    top: int = field(default=100, metadata={"help": "photos in an answer"})
    rate: float = field(default=20.0, metadata={"help": "searches, explanations and files a second of one client"})
    burst: int = field(default=40, metadata={"help": "of them at once, after a pause"})
    matches: int = field(default=1, metadata={"help": "drawings matched at the same time"})
    waiting: int = field(default=8, metadata={"help": "that may wait for their turn"})

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not value > 0:
                raise InputError(f"--{limit.name}", f"{value} is not positive", "use more than 0")
