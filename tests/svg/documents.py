"""The SVG documents of the suite: small, all our own, grouped by feature in `documents/*.txt`.

A line `== name option=value ...` begins a document; lines before the first one say what the group is about. A document
that is no whole file is the content of a page of 100 x 100 units with a black pen of width 1 and no fill. `@name`
stands for a document that a function below writes, because it is long. Options:

- `strokes`: number of strokes, counted by hand.
- `box`: `x1,y1,x2,y2` of the strokes in [0, 1] of the page, computed by hand.
- `half`: half the width of the widest pen, as a share of the page; 0.005 where it is not given.
- `like`: name of the document that looks as this one should; for what the renderer draws otherwise.
- `view`: viewBox that the renderer is given where the document declares no page.
- `pixels`: side of the rendering, where 400 would lose a very thin pen.
- `encoding`: of the bytes that are read: a codec, or gzip.
- `line_ends`: crlf.
- `whole`: yes, where a whole file does not look like one.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "documents"
NOTHING = "nothing"  # the group of documents without ink
BROKEN = "broken"  # the group of those that may be refused
_HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
_PAGE = _HEAD + 'viewBox="0 0 100 100" fill="none" stroke="black">\n{}\n</svg>\n'


@dataclass(frozen=True)
class Document:
    """An SVG document and what is known of it."""

    group: str
    name: str
    text: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        text = self.text.replace("\n", "\r\n") if self.options.get("line_ends") == "crlf" else self.text
        encoding = self.options.get("encoding", "utf-8")
        return gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)

    @property
    def half(self) -> float:
        """Half the width of the widest pen, as a share of the page."""
        return float(self.options.get("half", "0.005"))

    @property
    def box(self) -> list[float] | None:
        """Box of the strokes, computed by hand."""
        return [float(v) for v in self.options["box"].split(",")] if "box" in self.options else None


def load_documents() -> dict[str, Document]:
    """All documents by name, in the order of the files."""
    documents: dict[str, Document] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for part in ("\n" + path.read_text(encoding="utf-8")).split("\n== ")[1:]:
            head, body = part.split("\n", 1)
            name, *words = head.split()
            options = dict(word.split("=", 1) for word in words)
            assert name not in documents, f"two documents are called {name}"
            body = body.strip("\n")
            if body.startswith("@"):
                body = LONG[body[1:].strip()]
            whole = "whole" in options or re.match(r"\s*(<\?xml|<!DOCTYPE|<svg:svg|<svg[^>]* xmlns=)", body)
            text = body if whole else _PAGE.format(body)
            documents[name] = Document(path.stem, name, text, options)
    return documents


def _page(paths: Iterable[str]) -> str:
    return "\n".join(f'<path d="{path}"/>' for path in paths)


def _line(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.3f} {y:.3f}" for x, y in points)


def _scribble(n: int) -> list[tuple[float, float]]:
    """A curve of Lissajous: 80 wide and high."""
    turn = [2 * math.pi * i / n for i in range(n + 1)]
    return [(50 + 40 * math.sin(5 * t), 50 + 40 * math.cos(3 * t)) for t in turn]


LONG = {
    "hundred_lines": _page(
        _line([(5 + 0.9 * i, 10), (5 + 0.9 * i, 20 + 70 * abs(math.sin(i / 9)))]) for i in range(100)
    ),
    "thousand_points": _page([_line(_scribble(1000))]),
    "thousand_sub_paths": _page(["".join(f"M{5 + 3 * (i % 30)} {5 + 2.7 * (i // 30)}h2" for i in range(1000))]),
    "scribble": _page([_line(_scribble(100)), _line((y, x) for x, y in _scribble(100))]),
    "grid_of_circles": "\n".join(
        f'<circle cx="{10 * x}" cy="{10 * y}" r="3"/>' for x in range(1, 10) for y in range(1, 10)
    ),
    "use_tree": "<defs><path id='u0' d='M10 10L90 90'/>"
    + "".join(f"<g id='u{n + 1}'>" + 10 * f"<use href='#u{n}' x='1'/>" + "</g>" for n in range(8))
    + "</defs><use href='#u8'/>",
    "very_deep_groups": "<g>" * 20_000 + '<path d="M10 10L90 90"/>' + "</g>" * 20_000,
    "deep_groups": '<g transform="rotate(.5 50 50)">' * 60 + '<path d="M20 20H80V40"/>' + "</g>" * 60,
}
