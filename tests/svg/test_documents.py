"""Strokes of SVG documents are what a viewer sees: proof by rendering."""

from __future__ import annotations

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.sketch.formats import parse_svg
from fgsbir.sketch.strokes import VectorSketch
from tests.svg.documents import NOTHING, Document, load_documents
from tests.svg.seen import box_of, compare, look

DOCUMENTS = load_documents()
SHOWN = [name for name, document in DOCUMENTS.items() if document.group != NOTHING]
REFUSED = [name for name, document in DOCUMENTS.items() if document.group == NOTHING]

# Documents whose strokes differ from what is seen, with the reason. At most 2 %; each is tested to differ still.
KNOWN: dict[str, str] = {}


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


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_to_see_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no strokes"):
        parse_svg(DOCUMENTS[name].content, name)
    assert not look(DOCUMENTS[name])[1].any(), "rendering"


def test_few_documents_are_known_to_differ() -> None:
    assert len(SHOWN) >= 320
    assert set(KNOWN) <= set(SHOWN)
    assert len(KNOWN) <= 0.02 * len(SHOWN)
