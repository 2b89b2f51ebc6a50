"""The page in Chromium, on a real index: `make test-e2e`.

FGSBIR_E2E_INDEX names the index, whose run must be finished and its data be there. FGSBIR_E2E_SHOTS names a folder for
screenshots.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from e2e.browser import CHROMIUM, PHONE, WIDE, draw, shoot
from serve.running import running

from fgsbir.runs.folder import RunFolder
from fgsbir.search.model import LoadedModel
from fgsbir.search.searcher import Searcher
from fgsbir.sketch.formats import write_stroke5, write_svg
from fgsbir.sketch.strokes import VectorSketch

INDEX = os.environ.get("FGSBIR_E2E_INDEX")
pytestmark = pytest.mark.skipif(not INDEX or not CHROMIUM, reason="needs an index and Chromium: make test-e2e")
SKETCHES = 40
TOP = 12  # photos that the page shows
STROKES = [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.7)], [(0.2, 0.2), (0.2, 0.7), (0.8, 0.7)], [(0.3, 0.7), (0.25, 0.95)]]


@pytest.fixture(scope="module")
def searcher():
    return Searcher.open(Path(INDEX))


@pytest.fixture(scope="module")
def run(searcher):
    """Folder of the run that made the index."""
    return Path(searcher.index.manifest.model.run)


@pytest.fixture(scope="module")
def server():
    with running(Path(INDEX), "--rate", "1000", "--burst", "1000") as server:
        yield server.url


def found(page, strokes):
    """Waits for the photos found for so many strokes; their ids, nearest first."""
    page.locator("#results[aria-busy='false']:not(.stale):not([hidden])").wait_for()
    count = page.locator("#count").inner_text()
    assert count.split()[0] == str(strokes), count
    return [button.get_attribute("title") for button in page.locator("#results button").all()]


def drawn(page, strokes):
    """Draws strokes on empty paper: the strokes that were sent for all of them, and the photos found."""

    def is_last(request):
        return request.url.endswith("/search") and len(json.loads(request.post_data)["strokes"]) == len(strokes)

    for stroke in strokes[:-1]:
        draw(page, stroke)
    with page.expect_request(is_last) as asked:
        draw(page, strokes[-1])
    return json.loads(asked.value.post_data)["strokes"], found(page, len(strokes))


def test_test_sketches_drawn_on_the_paper_rank_as_the_search_ranks_them(visit, searcher, run):
    data = LoadedModel.load(run).data
    sketches = [each for each in data.records.split_sketches("test") if each.photo_id in searcher.index.photos]
    chosen = [sketches[int(i)] for i in np.linspace(0, len(sketches) - 1, min(SKETCHES, len(sketches)))]
    ranking = RunFolder(run).read_ranking()
    of_run = dict(zip(ranking.query_ids.tolist(), ranking.ranks.tolist(), strict=True))
    page = visit()
    shown, tested = [], []
    for record in chosen:
        sent, photos = drawn(page, [stroke.tolist() for stroke in record.sketch.strokes])
        hits = searcher.search(VectorSketch.from_strokes(sent), len(searcher)).hits
        assert photos == [hit.photo for hit in hits[:TOP]], record.id
        assert len(sent) == len(record.sketch)
        shown.append(record.photo_id in photos[:10])
        tested.append(of_run[record.id] <= 10)
        page.locator("#clear").click()
    on_paper, in_test = 100 * np.mean(shown), 100 * np.mean(tested)
    print(f"acc@10 of {len(chosen)} sketches: {on_paper:.1f} on the page, {in_test:.1f} in the run's test")
    assert abs(on_paper - in_test) <= 1.5


def test_undo_redo_erase_and_clear(visit, searcher):
    page = visit()
    sent, all_three = drawn(page, STROKES)
    expected = [hit.photo for hit in searcher.search(VectorSketch.from_strokes(sent), TOP).hits]
    assert all_three == expected
    two = [hit.photo for hit in searcher.search(VectorSketch.from_strokes(sent[:2]), TOP).hits]
    page.locator("#undo").click()
    assert found(page, 2) == two
    page.locator("#redo").click()
    assert found(page, 3) == all_three
    page.keyboard.press("Control+z")
    assert found(page, 2) == two
    page.keyboard.press("Control+Shift+z")
    assert found(page, 3) == all_three

    page.locator("#eraser").click()
    box = page.locator("#paper").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.45 * box["height"])  # nothing lies here
    assert found(page, 3) == all_three
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 0.45 * box["height"])  # on the first stroke
    without = [hit.photo for hit in searcher.search(VectorSketch.from_strokes(sent[1:]), TOP).hits]
    assert found(page, 2) == without
    page.locator("#undo").click()
    assert found(page, 3) == all_three

    page.locator("#clear").click()
    page.locator("#nothing").wait_for()
    assert page.locator("#results button").count() == 0
    assert page.locator("#count").inner_text() == "no strokes"
    page.locator("#undo").click()
    assert found(page, 3) == all_three


def test_the_slider_searches_for_the_first_strokes(visit, searcher):
    page = visit()
    sent, all_three = drawn(page, STROKES)
    slider = page.locator("#slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    first = [hit.photo for hit in searcher.search(VectorSketch.from_strokes(sent[:1]), TOP).hits]
    assert found(page, 1) == first
    assert slider.get_attribute("aria-valuetext") == "1 of 3 strokes"
    page.locator("#play").click()
    page.locator("#count", has_text="3 strokes").and_(page.locator(":not(:text('of'))")).wait_for()
    assert found(page, 3) == all_three
    page.keyboard.press("r")  # of the button that was clicked, beside the paper
    page.locator("#play[aria-label^='Pause']").wait_for()
    page.locator("#play[aria-label^='Replay']").wait_for()


def drop(page, path, media):
    """Drops a file on the page, as a file manager does."""
    page.evaluate(
        """([name, bytes, type]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          for (const kind of ["dragover", "drop"])
            document.querySelector("#paper").dispatchEvent(
              new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [path.name, list(path.read_bytes()), media],
    )


def test_files_that_are_dropped_or_opened_become_strokes(visit, searcher, tmp_path):
    page = visit()
    sketch = VectorSketch.from_strokes(STROKES)
    write_svg(sketch, tmp_path / "a.svg")
    write_stroke5(sketch, tmp_path / "a.npy")
    expected = [hit.photo for hit in searcher.search(sketch, TOP).hits]
    drop(page, tmp_path / "a.svg", "image/svg+xml")
    page.locator("#count", has_text="3 strokes").wait_for()
    assert found(page, 3) == expected
    page.locator("#undo").click()
    page.locator("#nothing").wait_for()
    page.locator("#file").set_input_files(tmp_path / "a.npy")
    page.locator("#count", has_text="3 strokes").wait_for()
    assert found(page, 3) == expected
    draw(page, [(0.1, 0.1), (0.3, 0.1)])
    found(page, 4)

    (tmp_path / "broken.svg").write_text("<svg>")
    drop(page, tmp_path / "broken.svg", "")
    page.locator("#trouble", has_text="malformed").wait_for()
    found(page, 4)  # the drawing is still there
    (tmp_path / "a.txt").write_text("x")
    drop(page, tmp_path / "a.txt", "")
    page.locator("#trouble", has_text="unsupported format").wait_for()
    assert [text for text in page.messages if "422" not in text] == []
    page.messages.clear()  # the browser notes the answer 422


def test_everything_by_keyboard(visit, searcher):
    page = visit()
    page.keyboard.press("Tab")
    for _ in range(10):
        if page.evaluate("document.activeElement.id") == "paper":
            break
        page.keyboard.press("Tab")
    with page.expect_request(lambda request: request.url.endswith("/search")) as asked:
        page.keyboard.press("Space")
        for key in ["ArrowLeft"] * 8 + ["Shift+ArrowDown"] * 4 + ["ArrowRight"] * 8:
            page.keyboard.press(key)
        page.keyboard.press("Space")
    (stroke,) = json.loads(asked.value.post_data)["strokes"]
    assert stroke[0] == [0.5, 0.5]
    assert stroke[-1] == pytest.approx([0.5, 0.75], abs=1e-3)
    assert min(x for x, _ in stroke) == pytest.approx(0.375, abs=1e-3)
    photos = found(page, 1)
    assert photos == [hit.photo for hit in searcher.search(VectorSketch.from_strokes([stroke]), TOP).hits]

    page.keyboard.press("e")
    assert page.locator("#eraser").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Shift+ArrowDown")  # the pen was put away in between and begins in the middle again
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    page.locator("#nothing").wait_for()
    page.keyboard.press("Control+z")
    found(page, 1)
    page.keyboard.press("p")
    assert page.locator("#pen").get_attribute("aria-pressed") == "true"

    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#results') !== null"):
            break
    title = page.evaluate("document.activeElement.title")
    assert title == photos[0]
    page.keyboard.press("Enter")
    page.locator("#pair-image svg").wait_for()
    step = page.locator("#pair-step")
    if step.is_visible():
        page.keyboard.press("ArrowRight")
        assert step.inner_text().startswith("1 of")
    page.keyboard.press("Escape")
    assert not page.locator("#pair").is_visible()
    assert page.evaluate("document.activeElement.title") == photos[0]


def test_the_dialog_shows_the_trees_of_the_pair(visit, searcher):
    page = visit()
    sent, photos = drawn(page, STROKES)
    view = searcher.explain(VectorSketch.from_strokes(sent), photos[2])
    page.locator("#results button").nth(2).click()
    page.locator("#pair-image svg").wait_for()
    assert page.locator("#pair-about").inner_text().startswith("Rank 3")
    if view is None:
        assert "no hierarchy" in page.locator("#pair-status").inner_text()
        return
    levels = view.explanation.levels
    assert page.locator("#pair-order li").count() == len(levels)
    assert page.locator("#pair-image .ink").count() == len(STROKES)
    assert page.locator("#pair-image .box").count() == len(view.photo_boxes)
    for k, level in enumerate(levels):
        assert page.locator("#pair-step").inner_text() == f"{k} of {len(levels)}"
        if "sketch_to_photo" in level:
            assert page.locator("#pair-table tbody tr").count() == len(level["sketch_nodes"])
            shares = [text.split()[0] for text in page.locator("#pair-table td:last-child").all_inner_texts()]
            assert [int(share) for share in shares] == [round(100 * max(row)) for row in level["sketch_to_photo"]]
        page.locator("#pair-next").click()
    assert page.locator("#pair-next").is_disabled()
    page.locator("#pair-order button").first.click()
    if page.locator("#pair-table button").count():
        page.locator("#pair-table button").first.click()
        assert page.locator("#pair-image .dim").count() > 0
    shoot(page, "dialog")


def test_a_busy_server_is_asked_again_and_a_lost_one_on_demand(visit, searcher):
    page = visit()
    asked = []

    def busy(route):
        asked.append(route.request)
        refusal = {"error": {"code": "busy", "message": "The server is busy.", "field": None}}
        if len(asked) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, json=refusal)
        elif len(asked) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/search", busy)
    draw(page, STROKES[0])
    page.locator("#status", has_text="busy").wait_for()
    page.locator("#trouble", has_text="cannot be reached").wait_for()
    page.locator("#again").click()
    photos = found(page, 1)
    assert len(asked) == 3
    assert len(photos) == min(TOP, len(searcher))
    assert all("503" in text or "ERR_FAILED" in text for text in page.messages)
    page.messages.clear()  # the browser notes the two


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(visit, scheme):
    for name, viewport in (("wide", WIDE), ("phone", PHONE)):
        page = visit(viewport, color_scheme=scheme)
        shoot(page, f"{name}-{scheme}-empty")
        drawn(page, STROKES)
        page.locator("#results img").last.scroll_into_view_if_needed()
        page.evaluate("scrollTo(0, 0)")
        shoot(page, f"{name}-{scheme}")
        page.locator("#results button").first.click()
        page.locator("#pair-image svg").wait_for()
        shoot(page, f"{name}-{scheme}-dialog")
        width = viewport["width"]
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.querySelector('#pair').scrollWidth") <= width
        wide = page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((element) => {
              const box = element.getBoundingClientRect();
              return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1) && !element.closest("svg");
            }).map((element) => element.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        broken = page.evaluate("[...document.images].filter((image) => !image.naturalWidth).length")
        assert broken == 0


def test_touch_on_a_phone(visit, searcher):
    page = visit(PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    box = page.locator("#paper").bounding_box()
    touch = page.context.new_cdp_session(page)

    def send(kind, points):
        at = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": i} for i, (x, y) in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    with page.expect_request(lambda request: request.url.endswith("/search")) as asked:
        send("touchStart", [(0, (0.2, 0.2))])
        send("touchMove", [(0, (0.5, 0.3))])
        send("touchStart", [(0, (0.5, 0.3)), (1, (0.9, 0.9))])  # a second finger does not draw
        send("touchMove", [(0, (0.8, 0.8)), (1, (0.7, 0.9))])
        send("touchEnd", [])
    (stroke,) = json.loads(asked.value.post_data)["strokes"]
    assert stroke[0] == pytest.approx([0.2, 0.2], abs=0.01)
    assert stroke[-1] == pytest.approx([0.8, 0.8], abs=0.01)
    assert page.evaluate("scrollY") == 0  # drawing does not scroll the page
    found(page, 1)
    page.locator("#eraser").tap()
    page.touchscreen.tap(box["x"] + 0.52 * box["width"], box["y"] + 0.3 * box["height"])
    page.locator("#nothing").wait_for()
    sizes = [button.bounding_box() for button in page.locator(".tools button, .replay button").all()]
    assert min(min(size["width"], size["height"]) for size in sizes) >= 43


def test_what_a_screen_reader_is_told(visit):
    page = visit()
    drawn(page, STROKES)
    assert page.locator("#status").get_attribute("role") == "status"
    assert f"{len(page.locator('#results button').all())} of" in page.locator("#status").inner_text()
    named = page.evaluate(
        """() => [...document.querySelectorAll("button, input, canvas")].filter((element) =>
          !(element.getAttribute("aria-label") || element.textContent.trim())).map((element) => element.outerHTML)"""
    )
    assert named == []
    first = page.get_by_role("button", name="1: ").first
    assert "Compare with the drawing" in first.get_attribute("aria-label")
