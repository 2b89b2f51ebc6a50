"""Ways to damage a file: some blind, some that know its format and so come past the first check."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = [
    "0",
    "-0",
    "-1",
    "1e-320",
    "1e30",
    "1e39",
    "-1e308",
    "1e999",
    "NaN",
    "inf",
    "-Infinity",
    "65536",
    "2147483648",
]
NUMBERS += ["9" * 400, "0x10", "1_0", "1,5", "", "٣", "50%", "1em", "null", "true"]
WORDS = [
    "\x00",
    "\ufeff",
    "ä",
    "\u202e",
    "<",
    ">",
    "&",
    "&x;",
    "]]>",
    "<!--",
    "{",
    "[",
    '"',
    "'",
    ";",
    ",",
    "\n",
    "\r",
    "%",
    "\\u0000",
]
VALUES: list[Any] = [None, True, 0, -1, 0.5, 1e30, 1e308, float("nan"), float("inf"), 10**400, "", "x", "5", [], {}]
VALUES += [[[]], {"": None}, [0, 0, 0, 0], [[0, 1], [0, 1]], "\ud800"]
ARRAYS: list[Callable[[Any], Any]] = [
    lambda a: a.astype("f2"),
    lambda a: a.astype(">f8"),
    lambda a: a.astype("u1"),
    lambda a: a.astype("i1"),
    lambda a: a.astype(bool),
    lambda a: a.astype(complex),
    lambda a: a.astype("U8"),
    lambda a: a.astype(object),
    lambda a: a * 1e30,
    lambda a: a * 1e308 * 10,
    lambda a: a * np.nan,
    lambda a: a + 1e17,
    lambda a: a[:0],
    lambda a: a[:1],
    lambda a: a[:, :2],
    lambda a: a.T,
    lambda a: a[None],
    lambda a: a.ravel(),
    lambda a: np.asfortranarray(a),
    lambda a: np.repeat(a, 200, 0),
    lambda a: -a,
    lambda a: np.array(5.0),
]


def blind(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """A few bytes changed, taken out, doubled, moved or exchanged for those of another file, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.3:
            at = min(at, rng.randrange(64))  # a header says most
        end = min(len(data), at + rng.choice((1, 2, 4, 16, 256)))
        what = rng.randrange(8)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at:end] = rng.randbytes(end - at)
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end] * rng.choice((1, 3, 40))
        elif what == 4:
            data[at:end] = rng.choice((b"\x00", b"\xff", b"\x7f")) * (end - at)
        elif what == 5:
            number = rng.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1))
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif what == 6 and others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:end] = other[start : start + rng.choice((4, 64, 1024))]
        elif what == 7 and rng.random() < 0.5:
            del data[at:]
    return bytes(data)


def text(content: bytes, rng: Random) -> bytes:
    """Numbers and words of a text exchanged for odd ones, and lines and pieces swapped."""
    string = content.decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 2, 4))):
        numbers = list(re.finditer(r"-?\d+(\.\d+)?", string))
        what = rng.randrange(4)
        if what < 2 and numbers:
            found = rng.choice(numbers)
            string = string[: found.start()] + rng.choice(NUMBERS) + string[found.end() :]
        elif what == 2:
            at = rng.randrange(len(string) + 1)
            string = string[:at] + rng.choice(WORDS) + string[at:]
        else:
            pieces = re.split(r"([\s,;<>\"'{}\[\]]+)", string)
            i, j = rng.randrange(len(pieces)), rng.randrange(len(pieces))
            pieces[i], pieces[j] = pieces[j], pieces[i]
            string = "".join(pieces)
    return string.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig")), "replace")


def tree(content: bytes, rng: Random) -> bytes:
    """A JSON document with some of its nodes replaced, doubled, taken out or nested."""
    try:
        document = json.loads(content)
    except ValueError:
        return text(content, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        pending = [document]
        while pending:
            node = pending.pop()
            if isinstance(node, dict | list):
                keys = list(node) if isinstance(node, dict) else list(range(len(node)))
                places += [(node, key) for key in keys]
                pending += [node[key] for key in keys]
        if not places:
            break
        node, key = rng.choice(places)
        what = rng.randrange(5)
        if what < 2:
            node[key] = deepcopy(rng.choice(VALUES))
        elif what == 2:
            del node[key]
        elif what == 3:
            other, there = rng.choice(places)
            with suppress(KeyError, IndexError, RecursionError):  # it was taken out before, or nested too deep
                node[key] = json.loads(json.dumps(other[there]))
        else:
            for _ in range(rng.choice((1, 3, 90, 900))):
                node[key] = [node[key]]
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"[" * 5000 + content


ATTRIBUTES = ["viewBox='0 0 1 1'", "viewBox='0 0 0 0'", "viewBox='a'", "width='1e9'", "height='-5'", "width='0'"]
ATTRIBUTES += [
    "transform='rotate(nan)'",
    "transform='matrix(0 0 0 0 0 0)'",
    "transform='scale(1e30)'",
    "transform='skewX(90)'",
]
ATTRIBUTES += [
    "transform='translate('",
    "href='#a'",
    "xlink:href='#a'",
    "href='file:///etc/passwd'",
    "id='a'",
    "x='1e39'",
]
ATTRIBUTES += [
    "style='display:none'",
    "style='fill:url(#a)'",
    "clip-path='url(#a)'",
    "mask='url(#a)'",
    "marker-end='url(#a)'",
]
ATTRIBUTES += [
    "opacity='nan'",
    "stroke-width='-1'",
    "stroke-dasharray='0 0'",
    "font-size='1e9em'",
    "d='M0 0'",
    "points=',,'",
]
ATTRIBUTES += [
    "preserveAspectRatio='x'",
    "transform-origin='50% 1e9'",
    "stroke='rgb(1e9,nan,-5%)'",
    "fill='#12'",
    "rx='auto'",
]
PATHS = [
    "M0 0",
    "m",
    "M0 0 L",
    "M1e38 0 L-1e38 1e38",
    "M0 0 A0 0 0 0 1 9 9",
    "M0 0 A1e-30 1e30 5 1 1 9 9",
    "M0 0 T5 5 S6 6 7 7",
]
PATHS += [
    "M0 0 C1 1",
    "M0 0 zzzzzz",
    "M0 0" + "l1 0" * 3000,
    "M0,0,1,1,2",
    "M0 0 a1 1 0 00 1 1 a1 1 0 1150 1",
    "M0 0 q1e300 0 1 1",
]
NESTS = [
    "<g>{}</g>",
    "<svg x='5' viewBox='0 0 1 1'>{}</svg>",
    "<defs>{}</defs>",
    "<symbol id='a'>{}</symbol>",
    "<switch>{}</switch>",
]
NESTS += [
    "<use href='#a'/>{}",
    "<clipPath id='a'>{}</clipPath>",
    "<mask id='a'>{}</mask>",
    "<pattern id='a'>{}</pattern>",
]
NESTS += [
    "<marker id='a'>{}</marker>",
    "<style>*{{display:none}}</style>{}",
    "<text>{}</text>",
    "<g id='a'><use href='#a'/>{}</g>",
]
NESTS += [
    "<foreignObject>{}</foreignObject>",
    "<![CDATA[{}]]>",
    "<!--{}-->",
    "<image href='data:image/png;base64,AAAA'/>{}",
    "<x:y>{}</x:y>",
]
DOCTYPES = ["<!DOCTYPE svg [<!ENTITY x 'M0 0 9 9'>]>", "<!DOCTYPE svg [<!ENTITY a 'b'><!ENTITY x '&a;&a;'>]>"]
DOCTYPES += [
    "<!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
    "<?xml version='1.0' encoding='utf-7'?>",
    "<!DOCTYPE svg>",
]


def svg(content: bytes, rng: Random) -> bytes:
    """An SVG with odd attributes, paths, elements around others, and declarations."""
    string = content.decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 2, 4))):
        what = rng.randrange(6)
        elements = list(re.finditer(r"<(\w+)[^<>]*/>", string))
        tags = list(re.finditer(r"<\w+", string))
        if what < 2 and tags:
            at = rng.choice(tags).end()
            string = f"{string[:at]} {rng.choice(ATTRIBUTES)} {string[at:]}"
        elif what == 2:
            values = list(re.finditer(r"\b(d|points)=(['\"])(.*?)\2", string))
            if values:
                found = rng.choice(values)
                string = string[: found.start(3)] + rng.choice(PATHS) + string[found.end(3) :]
        elif what == 3 and elements:
            found = rng.choice(elements)
            inside = found[0]
            for _ in range(rng.choice((1, 1, 3, 50, 300))):
                inside = rng.choice(NESTS).format(inside) if rng.random() < 0.5 else f"<g>{inside}</g>"
            string = string[: found.start()] + inside + string[found.end() :]
        elif what == 4 and elements:
            found = rng.choice(elements)
            string = string[: found.end()] + found[0] * rng.choice((1, 20, 500)) + string[found.end() :]
        elif what == 5:
            string = rng.choice(DOCTYPES) + string.replace("9", "&x;", rng.choice((0, 1)))
    return string.encode()


def svgz(content: bytes, rng: Random) -> bytes:
    """A packed SVG that is damaged within, or packed twice, or much longer than it seems."""
    try:
        inside = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
    what = rng.randrange(8)
    if what == 0:
        inside = gzip.compress(inside, mtime=0)
    elif what == 1:
        inside = inside.replace(b">", b">" + b" " * 10_000_000, 1)
    else:
        inside = svg(inside, rng)
    return gzip.compress(inside, mtime=0)


def npy(content: bytes, rng: Random) -> bytes:
    """Another type, shape or other values, or a header that says so."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if rng.random() < 0.4:
        shapes = [
            "(4, 5)",
            "(99999999999, 5)",
            "(-1, 5)",
            "(0, 3)",
            "()",
            "(3,)",
            "(2, 3, 4)",
            "(2**40, 3)",
            "('a', 3)",
            "(1.5, 3)",
        ]
        kinds = ["<f8", "<f4", "|O", "<U9", ">i2", "<c16", "|V7", "M8[s]", "|S3", "f8,f8", "|b1", "x"]
        what = (rng.choice(kinds), rng.choice((True, False)), rng.choice(shapes))
        header = (
            f"{{'descr': '{what[0]}', 'fortran_order': {what[1]}, 'shape': {what[2]}, }}".encode().ljust(117) + b"\n"
        )
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + rng.randbytes(rng.choice((0, 60, 600)))
    with np.errstate(all="ignore"):
        changed = rng.choice(ARRAYS)(_poked(array, rng))
    file = io.BytesIO()
    np.save(file, changed, allow_pickle=True)
    return file.getvalue()


def _poked(array: Any, rng: Random) -> Any:
    """Some values exchanged for odd ones."""
    array = array.astype(float)
    for _ in range(rng.choice((0, 1, 3)) if array.size else 0):
        place = tuple(rng.randrange(side) for side in array.shape)
        array[place] = rng.choice((0, 1, -1, 2, 0.5, 1e17, 1e39, -1e308, np.nan, np.inf))
    return array


def pickled(content: bytes, rng: Random) -> bytes:
    """A dictionary of arrays with other keys, values and types, in any protocol."""
    entries = pickle.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        key = rng.choice(list(entries))
        what = rng.randrange(4)
        if what == 0:
            entries[key] = deepcopy(rng.choice(VALUES))
        elif what == 1:
            entries[rng.choice((7, None, "", "/test/a", "/x/a_1", "/test/a_1.png", ("a",)))] = entries[key]
        elif what == 2:
            entries[key] = entries[key].tolist() if hasattr(entries[key], "tolist") else [entries[key], None]
        elif isinstance(entries[key], np.ndarray) and entries[key].ndim == 2 and entries[key].dtype.kind in "if":
            with np.errstate(all="ignore"):
                entries[key] = rng.choice(ARRAYS)(_poked(entries[key], rng))
    return pickle.dumps(rng.choice((entries, entries, entries, [entries], np.array(3))), rng.randrange(6))


def png(content: bytes, rng: Random) -> bytes:
    """A PNG whose chunks are changed and then given their right checksums, so that they are read."""
    try:
        chunks = _chunks(content)
    except (struct.error, IndexError):
        return content
    for _ in range(rng.choice((1, 1, 2))):
        i = rng.randrange(len(chunks))
        kind, body = chunks[i]
        what = rng.randrange(6)
        if kind == b"IHDR" and len(body) == 13 and what < 5:
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            width, height = (rng.choice((side, 1, 0, 3, 5000, 60_000, 2**31 - 1)) for side in (width, height))
            depth, colour = rng.choice((depth, 1, 4, 8, 16, 7)), rng.choice((colour, 0, 2, 3, 4, 6, 5))
            chunks[i] = kind, struct.pack(">IIBB", width, height, depth, colour) + body[10:]
        elif kind == b"IDAT" and what < 3:
            try:
                pixels = zlib.decompress(body)
                chunks[i] = kind, zlib.compress(blind(pixels, rng))
            except zlib.error:
                pass
        elif what == 3:
            chunks.insert(i, chunks[rng.randrange(len(chunks))])
        elif what == 4:
            extra = {b"tRNS": 2, b"PLTE": 9, b"gAMA": 4, b"iCCP": 40, b"eXIf": 30, b"zTXt": 20, b"acTL": 8, b"pHYs": 9}
            name = rng.choice(list(extra))
            chunks.insert(min(1, len(chunks)), (name, rng.randbytes(extra[name])))
        elif len(chunks) > 1:
            chunks[i] = kind, blind(body, rng)
    return content[:8] + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    at, chunks = 8, []
    while at + 8 <= len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def sized(content: bytes, rng: Random) -> bytes:
    """An image whose header says another size, or anything else, as 16 or 32 bits."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 3))):
        at = rng.randrange(min(len(data), rng.choice((32, 128, 1024))))
        form = rng.choice("<>") + rng.choice("HI")
        data[at : at + struct.calcsize(form)] = struct.pack(form, rng.choice((0, 1, 2, 300, 0x4000, 0xFFFF)))
    return bytes(data)
