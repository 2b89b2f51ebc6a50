"""The canvas in Chromium, over made-up photos: `make test-e2e`, or `pytest tests/e2e/test_canvas.py`.

Mouse, pen and fingers are Chromium's own input events. FGSBIR_E2E_SHOTS names a folder for screenshots.
"""

import base64
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from e2e.browser import CHROMIUM, PHONE, WIDE, draw, shoot
from PIL import Image
from serve.running import running

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: make test-e2e")
LINE = [(0.3, 0.2), (0.5, 0.3), (0.7, 0.6)]
PALM = [(0.8, 0.9), (0.82, 0.92)]


@pytest.fixture(scope="module")
def server():
    with running(None, "--rate", "1000", "--burst", "1000") as server:
        yield server.url


class Hand:
    """Fingers, pens and mice on the canvas of a page; places are in [0, 1] of it."""

    def __init__(self, page):
        self.page, self.devtools = page, page.context.new_cdp_session(page)
        self.box = page.locator("#paper").bounding_box()
        self.fingers = {}
        self.sent = []
        page.on("request", lambda request: request.url.endswith("/search") and self.sent.append(request.post_data))

    def at(self, place):
        return {
            k: self.box[k] + v * self.box[side] for k, side, v in zip("xy", ("width", "height"), place, strict=True)
        }

    def touch(self, kind, *places):
        """touchStart, touchMove: the places of the fingers by number; touchEnd, touchCancel: no places."""
        points = [self.at(place) | {"id": number} for number, place in enumerate(places)]
        self.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def press(self, kind, place, pen=True, **more):
        """mousePressed, mouseMoved or mouseReleased, of a pen or a mouse."""
        held = {"button": "left", "buttons": 1} if kind != "mouseReleased" else {"button": "left", "buttons": 0}
        pointer = {"pointerType": "pen" if pen else "mouse", "force": 0.5, "clickCount": 1}
        self.devtools.send("Input.dispatchMouseEvent", {"type": kind, **pointer, **held, **self.at(place), **more})

    def write(self, stroke, pen=True, **more):
        """A stroke of a pen or a mouse."""
        for kind, place in zip(["mousePressed"] + ["mouseMoved"] * (len(stroke) - 1), stroke, strict=True):
            self.press(kind, place, pen, **more)
        self.press("mouseReleased", stroke[-1], pen, **more)

    def event(self, kind, pointer, place, **more):
        """An event made by script: for what the developer tools cannot send."""
        at = self.at(place)
        values = {"pointerId": 70, "pointerType": pointer, "clientX": at["x"], "clientY": at["y"], "bubbles": True}
        self.page.locator("#paper").dispatch_event(kind, values | more)

    def drawn(self):
        """The strokes on the canvas, by what was last searched for."""
        self.page.wait_for_timeout(50)
        if self.page.locator("#count").inner_text() == "no strokes":
            return []
        strokes = json.loads(self.sent[-1])["strokes"]
        assert self.page.locator("#count").inner_text().split()[0] == str(len(strokes))
        return strokes

    def ink(self):
        """How much each pixel of the canvas is covered, in [0, 1]."""
        url = self.page.evaluate("document.querySelector('#paper').toDataURL()")
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        return np.asarray(image.convert("RGBA"))[..., 3] / 255


@pytest.fixture
def hand(visit):
    return Hand(visit(has_touch=True))


def same(strokes, *expected):
    """Whether strokes are as they were drawn, but for the rounding of a mouse to pixels."""
    assert len(strokes) == len(expected), strokes
    for stroke, wanted in zip(strokes, expected, strict=True):
        assert np.allclose(stroke, wanted, atol=2e-3), stroke


def test_a_pen_takes_over_from_a_resting_palm(hand):
    hand.touch("touchStart", PALM[0])
    hand.touch("touchMove", PALM[1])
    hand.press("mousePressed", LINE[0])
    hand.touch("touchMove", PALM[0])
    hand.press("mouseMoved", LINE[1])
    shoot(hand.page, "canvas-pen-over-palm")
    hand.press("mouseMoved", LINE[2])
    hand.press("mouseReleased", LINE[2])
    hand.touch("touchEnd")
    same(hand.drawn(), LINE)


def test_a_palm_that_comes_with_or_after_the_pen_draws_nothing(hand):
    hand.press("mouseMoved", (0.1, 0.1), button="none", buttons=0)  # the pen hovers
    hand.touch("touchStart", PALM[0])
    hand.touch("touchMove", PALM[1])
    hand.touch("touchEnd")
    assert hand.drawn() == []
    hand.press("mousePressed", LINE[0])
    hand.touch("touchStart", PALM[0])
    hand.press("mouseMoved", LINE[1])
    hand.touch("touchMove", PALM[1])
    hand.press("mouseMoved", LINE[2])
    hand.press("mouseReleased", LINE[2])
    hand.touch("touchMove", PALM[0])
    hand.touch("touchEnd")
    same(hand.drawn(), LINE)
    hand.page.wait_for_timeout(1050)  # the pen is put away
    hand.touch("touchStart", PALM[0])
    hand.touch("touchMove", PALM[1])
    hand.touch("touchEnd")
    same(hand.drawn(), LINE, PALM)


def test_a_palm_erases_nothing_beside_the_pen(hand):
    hand.write(LINE)
    hand.page.locator("#eraser").click()
    hand.press("mouseMoved", (0.1, 0.1), button="none", buttons=0)
    hand.touch("touchStart", LINE[1])
    hand.touch("touchEnd")
    same(hand.drawn(), LINE)


def test_a_touch_that_is_cancelled_leaves_nothing(hand):
    for moves in ([], PALM):
        hand.touch("touchStart", (0.5, 0.5))
        for place in moves:
            hand.touch("touchMove", place)
        hand.touch("touchCancel")
        assert hand.drawn() == []
        assert hand.ink().max() == 0
        assert hand.page.locator("#invite").is_visible()
        assert hand.page.locator("#undo").is_disabled()
    hand.touch("touchStart", LINE[0])  # the next finger draws
    hand.touch("touchMove", LINE[2])
    hand.touch("touchEnd")
    same(hand.drawn(), [LINE[0], LINE[2]])


@pytest.mark.parametrize("kind", ["pen", "mouse"])
@pytest.mark.parametrize("end", ["pointercancel", "lostpointercapture"])
def test_what_a_pen_has_drawn_when_it_is_cancelled_stays_but_for_a_dot(hand, kind, end):
    hand.event("pointerdown", kind, (0.5, 0.5), buttons=1)
    if end == "pointercancel":
        hand.event(end, kind, (0.5, 0.5))
        assert hand.drawn() == []
        assert hand.ink().max() == 0
        hand.event("pointerdown", kind, LINE[0], buttons=1)
    for place in LINE:
        hand.event("pointermove", kind, place, buttons=1)
    hand.event(end, kind, (0, 0))
    hand.event("pointermove", kind, (0.1, 0.9))
    hand.event("pointerup", kind, (0.1, 0.9))
    same(hand.drawn(), LINE if end == "pointercancel" else [(0.5, 0.5), *LINE])


def test_two_fingers_draw_nothing_and_a_second_one_does_not_disturb(hand):
    hand.touch("touchStart", (0.4, 0.4))
    hand.touch("touchStart", (0.4, 0.4), (0.6, 0.6))
    hand.touch("touchMove", (0.3, 0.3), (0.7, 0.7))
    hand.touch("touchEnd")
    assert hand.drawn() == []
    assert hand.page.locator("#invite").is_visible()
    hand.touch("touchStart", LINE[0])
    hand.touch("touchMove", LINE[1])
    hand.touch("touchStart", LINE[1], PALM[0])
    hand.touch("touchMove", LINE[2], PALM[1])
    hand.touch("touchEnd")
    same(hand.drawn(), LINE)


@pytest.mark.parametrize("force", [0, 0.2, 1])
def test_any_pressure_draws_the_same_line(hand, force):
    hand.write(LINE, force=force)
    same(hand.drawn(), LINE)
    ink = hand.ink()
    side = ink.shape[0]
    length = sum(np.hypot(*np.subtract(b, a)) for a, b in pairwise(LINE))
    assert ink.sum() == pytest.approx(length * side * 2 / 256 * side, rel=0.05)


def test_events_without_buttons_and_pressure_draw(hand):
    hand.event("pointerdown", "pen", LINE[0], pressure=0)
    hand.event("pointermove", "pen", LINE[1], pressure=0)
    hand.event("pointerup", "pen", LINE[2], pressure=0)
    same(hand.drawn(), LINE)


def test_only_the_left_button_draws(hand):
    hand.write(LINE, pen=False, button="right", buttons=2)
    hand.write(LINE, pen=False, button="middle", buttons=4)
    assert hand.drawn() == []
    hand.press("mousePressed", LINE[0], pen=False)
    hand.press("mouseMoved", LINE[2], pen=False)
    hand.press("mousePressed", LINE[2], pen=False, button="right", buttons=3)
    hand.press("mouseReleased", LINE[2], pen=False, button="left", buttons=2)  # the right one is still held
    hand.press("mouseMoved", (0.9, 0.9), pen=False, button="right", buttons=2)
    hand.press("mouseReleased", (0.9, 0.9), pen=False, button="right", buttons=0)
    same(hand.drawn(), [LINE[0], LINE[2]])


def test_places_between_two_frames_are_kept(hand):
    """A pen tells faster than the screen is drawn; one event then carries several places."""
    places = [hand.at(place) for place in LINE]
    hand.page.evaluate(
        """([places]) => {
          const canvas = document.querySelector("#paper");
          const event = (kind, { x, y }, more) => new PointerEvent(kind,
            { pointerId: 70, pointerType: "pen", clientX: x, clientY: y, buttons: 1, bubbles: true, ...more });
          canvas.dispatchEvent(event("pointerdown", places[0]));
          const coalescedEvents = places.map((place) => event("pointermove", place));
          canvas.dispatchEvent(event("pointermove", places.at(-1), { coalescedEvents }));
          canvas.dispatchEvent(event("pointerup", places.at(-1)));
        }""",
        [places],
    )
    same(hand.drawn(), LINE)


def test_a_stroke_that_leaves_the_canvas_ends_where_the_pointer_is_lifted(hand):
    hand.write([(0.5, 0.5), (1.4, 0.5), (1.4, 0.9), (0.5, 0.9)], pen=False)
    same(hand.drawn(), [(0.5, 0.5), (1, 0.5), (1, 0.9), (0.5, 0.9)])


def test_a_stroke_of_the_keyboard_is_kept_when_a_pointer_comes(hand):
    hand.page.locator("#paper").focus()
    hand.page.keyboard.press("Space")
    assert not hand.page.locator("#invite").is_visible()
    hand.page.keyboard.press("ArrowRight")
    hand.write(LINE, pen=False)
    same(hand.drawn(), [(0.5, 0.5), (0.5 + 1 / 64, 0.5)], LINE)


@pytest.mark.parametrize("ratio", [1, 1.25, 2, 3])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_lines_are_sharp_and_in_place_at_any_resolution(visit, viewport, ratio):
    hand = Hand(visit(viewport, device_scale_factor=ratio))
    hand.write([(0.5, 0.1), (0.5, 0.9)], pen=False)
    hand.write([(0.25, 0.75)], pen=False)
    crisp(hand, ratio)
    shoot(hand.page, f"canvas-{viewport['width']}-{ratio}")


def crisp(hand, ratio):
    """A bitmap of the screen's own pixels, whose vertical line in the middle fades only at its borders."""
    ink, side = hand.ink(), hand.page.evaluate("document.querySelector('#paper').getBoundingClientRect().width")
    assert abs(ink.shape[1] - side * ratio) < 1
    row = ink[ink.shape[0] // 2]
    width = 2 / 256 * ink.shape[1]
    assert row.sum() == pytest.approx(width, abs=0.1)
    assert (row > 0).sum() <= width + 2
    assert (row * np.arange(len(row))).sum() / row.sum() + 0.5 == pytest.approx(len(row) / 2, abs=0.6 * ratio)
    y, x = (int(share * side) for share, side in zip((0.75, 0.25), ink.shape, strict=True))
    assert ink[y - 3 : y + 4, x - 3 : x + 4].max() > 0.9  # the dot
    shot = np.asarray(Image.open(io.BytesIO(hand.page.locator("#paper").screenshot())).convert("L")).astype(float)
    middle = shot[shot.shape[0] // 2, shot.shape[1] // 4 : -shot.shape[1] // 4]
    assert (middle < middle.max() - 8).sum() <= width + 3  # the screen shows the bitmap pixel by pixel


def test_a_new_resolution_draws_anew(visit):
    hand = Hand(visit())
    draw(hand.page, [(0.5, 0.1), (0.5, 0.9)])
    draw(hand.page, [(0.25, 0.75)])
    for step, ratio in enumerate((2, 1.5, 1)):  # Chromium tells no emulated ratio that comes alone
        screen = {"width": WIDE["width"] + step + 1, "height": 860, "deviceScaleFactor": ratio, "mobile": False}
        hand.devtools.send("Emulation.setDeviceMetricsOverride", screen)
        hand.page.wait_for_function(f"devicePixelRatio === {ratio}")
        hand.page.wait_for_timeout(200)
        crisp(hand, ratio)
