"""The CSV that pairs a folder's sketches with its photos, as people and spreadsheets write it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from fgsbir.errors import InputError
from fgsbir.files import read_bytes

DELIMITERS = (",", ";", "\t")


class Row(NamedTuple):
    """A line of the CSV, without spaces around its values; "" where one is missing.

    Attributes:
        line: its number in the file, from 1.
        sketch: file of the sketch.
        photo: file of the photo.
        split: the split, in lower case.
    """

    line: int
    sketch: str
    photo: str
    split: str


def read_pairs(path: Path) -> list[Row]:
    """The lines of a CSV with the columns `sketch` and `photo`, and perhaps `split`, in any order and case.

    Values are separated by commas, semicolons or tabs. The file is UTF-8 or, with its mark, UTF-16: what spreadsheets
    save as "CSV UTF-8" and "Unicode Text". Empty lines and other columns are ignored.

    Raises:
        InputError: if it cannot be read, lacks a column, or has no lines below its header.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "it is neither UTF-8 nor UTF-16", "save it as 'CSV UTF-8'") from None
    lines = text.splitlines(keepends=True)
    first = next((line.strip() for line in lines if line.strip()), "")
    delimiter = next((mark for mark in DELIMITERS if {"sketch", "photo"} <= set(_header(first, mark))), None)
    if delimiter is None:
        problem = f"its first line, '{first:.60}', does not name the columns 'sketch' and 'photo'"
        raise InputError(path, problem, "begin it with sketch,photo or sketch,photo,split")
    header = _header(first, delimiter)
    rows = []
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for values in reader:
            found = dict(zip(header, map(str.strip, values), strict=False))
            if any(found.values()):
                sketch, photo, split = (found.get(name, "") for name in ("sketch", "photo", "split"))
                rows.append(Row(reader.line_num, sketch, photo, split.lower()))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}", f"it is no CSV ({error})", "save the table anew") from None
    if len(rows) < 2:
        raise InputError(path, "it has no lines below its header", "write a line for each sketch")
    return rows[1:]


def _header(line: str, delimiter: str) -> list[str]:
    """The names of the columns, in lower case."""
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
