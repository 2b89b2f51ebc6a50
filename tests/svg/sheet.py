"""A contact sheet to look at: `python -m tests.svg.sheet sheet.png [part of a name ...]`.

Each document as it is rendered, paled, with the strokes that are read over it in turning colours, and its name; a
name in red differs from what is seen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from fgsbir.errors import InputError
from fgsbir.sketch.formats import parse_svg
from tests.svg.seen import box_of, compare, look
from tests.svg.test_documents import BLANK, DOCUMENTS, SHOWN, onto, seen_document

CELL, LINE, COLUMNS = 150, 16, 12
COLOURS = [(200, 80, 0), (0, 0, 220), (0, 140, 0), (180, 0, 180), (0, 140, 220)]


def draw(name: str) -> np.ndarray:
    document = DOCUMENTS[name]
    page, edges = look(seen_document(document))
    scale = CELL / max(page.shape)
    small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cell = np.full((CELL + LINE, CELL, 3), 225, np.uint8)
    top, left = (CELL - small.shape[0]) // 2, (CELL - small.shape[1]) // 2
    cell[top : top + small.shape[0], left : left + small.shape[1]] = 255 - (255 - small) // 2
    fault = ""
    try:
        sketch = parse_svg(document.content, name)
        if "view" in document.options:
            sketch = onto(sketch, box_of(edges))
        for i, stroke in enumerate(sketch.strokes):
            points = np.rint(16 * (CELL * stroke - 0.5)).clip(-1e5, 1e5).astype(np.int32)
            cv2.polylines(cell[:CELL], [points], False, COLOURS[i % len(COLOURS)], 1, cv2.LINE_AA, shift=4)
        fault = compare(sketch, edges, document.half).too_large(document.half) if edges.any() else "strokes"
    except InputError as error:
        fault = "refused" if edges.any() else "" if "no strokes" in str(error) else "refused otherwise"
    cv2.putText(cell, name[:28], (2, CELL + 11), 0, 0.3, (0, 0, 220) if fault else (0, 0, 0), 1, cv2.LINE_AA)
    cell[:, -1] = cell[-1] = 160
    return cell


def main(out: str, *parts: str) -> None:
    cells = [draw(name) for name in (*SHOWN, *BLANK) if not parts or any(part in name for part in parts)]
    cells += [np.full_like(cells[0], 225)] * (-len(cells) % COLUMNS)
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    Path(out).write_bytes(cv2.imencode(".png", np.concatenate(rows))[1].tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
