"""Strokes of SVG documents are what a viewer sees: proof by rendering."""

from __future__ import annotations

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.formats import parse_svg
from fgsbir.sketch.strokes import VectorSketch
from tests.svg.documents import BROKEN, NOTHING, Document, load_documents
from tests.svg.seen import box_of, compare, look

DOCUMENTS = load_documents()
SHOWN = [name for name, document in DOCUMENTS.items() if document.group not in (NOTHING, BROKEN)]
BLANK = [name for name, document in DOCUMENTS.items() if document.group == NOTHING]

# Documents whose strokes differ from what is seen, with the reason: at most 2 %. Each is tested to differ still.
KNOWN = {
    "marker_orient_auto_start_reverse": "usvg 0.31 does not know this orientation",
    "nested_cuts_what_lies_beyond": "resvg 0.31 does not clip a lone horizontal line below a group with a transform",
    "symbol_cuts_what_lies_beyond": "the same",
    "pattern_of_lines": "the content of a pattern is not read, only the outline that it fills",
    "pattern_of_fine_hatching": "the same",
}


def seen_document(document: Document) -> Document:
    """The document that is rendered for this one."""
    return DOCUMENTS[document.options["like"]] if "like" in document.options else document


def onto(sketch: VectorSketch, box: np.ndarray) -> VectorSketch:
    """A sketch whose page is not known, scaled and moved so that its box fits the one that is seen."""
    x1, y1, x2, y2 = sketch.bounds
    scale = max(box[2] - box[0], box[3] - box[1]) / max(x2 - x1, y2 - y1)
    shift = (box[:2] + box[2:]) / 2 - scale * np.array([x1 + x2, y1 + y2]) / 2
    return sketch.transform([[scale, 0, shift[0]], [0, scale, shift[1]]])


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.xfail(reason=KNOWN[n], strict=True)] if n in KNOWN else []) for n in SHOWN],
)
def test_strokes_are_what_is_seen(name: str) -> None:
    document = DOCUMENTS[name]
    _, edges = look(seen_document(document))
    if document.box:  # the renderer itself against a box computed by hand
        assert box_of(edges) == pytest.approx(document.box, abs=0.015 + document.half), "rendering"

    sketch = parse_svg(document.content, name)
    if document.box:
        assert sketch.bounds == pytest.approx(document.box, abs=0.01), "box"
    if "strokes" in document.options:
        assert len(sketch) == int(document.options["strokes"]), "number of strokes"
    if "view" in document.options:  # no page: the ink is centred, with a margin of a tenth
        x1, y1, x2, y2 = sketch.bounds
        assert (max(x2 - x1, y2 - y1), x1 + x2, y1 + y2) == pytest.approx((0.8, 1, 1), abs=1e-3), "centring"
        sketch = onto(sketch, box_of(edges))
    assert not compare(sketch, edges, document.half).too_large(document.half)


@pytest.mark.parametrize("name", BLANK)
def test_nothing_to_see_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no strokes"):
        parse_svg(DOCUMENTS[name].content, name)
    assert not look(DOCUMENTS[name])[1].any(), "rendering"


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if document.group == BROKEN])
def test_broken_documents_are_read_or_refused(name: str) -> None:
    try:
        parse_svg(DOCUMENTS[name].content, name)
        return
    except InputError as error:
        message = str(error)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message


@pytest.mark.parametrize("cut", [1, 10, 40, -20, -1])
def test_compressed_documents_that_are_cut_off_are_refused(cut: int) -> None:
    with pytest.raises(InputError, match=r"cut\.svgz"):
        parse_svg(DOCUMENTS["xml_compressed"].content[:cut], "cut.svgz")


def test_few_documents_are_known_to_differ() -> None:
    assert len(SHOWN) >= 320
    assert set(KNOWN) <= set(SHOWN)
    assert len(KNOWN) <= 0.02 * len(SHOWN)


@pytest.mark.parametrize(
    ("strokes", "faults"),
    [
        pytest.param([[(0.1, 0.5), (0.9, 0.5)]], set(), id="same"),
        pytest.param([[(0.1, 0.51), (0.5, 0.51)], [(0.5, 0.49), (0.9, 0.49)]], set(), id="within tolerance"),
        pytest.param([[(0.1, 0.53), (0.9, 0.53)]], {"box", "missed", "excess"}, id="shifted"),
        pytest.param([[(0.1, 0.5), (0.8, 0.5)]], {"box", "missed"}, id="short"),
        pytest.param([[(0.1, 0.5), (0.4, 0.5)], [(0.6, 0.5), (0.9, 0.5)]], {"missed"}, id="gap"),
        pytest.param([[(0.1, 0.5), (0.9, 0.5)], [(0.5, 0.5), (0.5, 0.6)]], {"box", "excess"}, id="spur"),
        pytest.param([[(0.1, 0.5), (0.9, 0.5)], [(7.0, 7.0)]], {"box"}, id="far dot"),
    ],
)
def test_comparison_sees_each_fault(strokes: list[list[tuple[float, float]]], faults: set[str]) -> None:
    edges = np.zeros((400, 400), dtype=bool)
    edges[198:202, 40:360] = True  # a line in the middle of the page, from 0.1 to 0.9
    difference = compare(VectorSketch.from_strokes(strokes), edges, half=0.0)
    assert {fault.split()[0] for fault in difference.too_large(half=0.0).split(", ") if fault} == faults
