"""App screens: a small grammar of bars, lists, cards, forms and images in a nested layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgsbir.data.procedural.parts import Array, Scene, Shape, closed, ellipse, rectangle

Box = tuple[float, float, float, float]

ANDROID_CLASS = {
    "Text": "android.widget.TextView",
    "Text Button": "android.widget.Button",
    "Image": "android.widget.ImageView",
    "Icon": "android.widget.ImageButton",
    "Input": "android.widget.EditText",
    "Checkbox": "android.widget.CheckBox",
    "On/Off Switch": "android.widget.Switch",
    "Toolbar": "android.widget.Toolbar",
    "screen": "com.android.internal.policy.PhoneWindow$DecorView",
}
"""Widget class of a component label; any other is a layout."""


class _Page:
    """Puts components onto a scene, each one layer above its parent."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.scene = Scene([("screen", -1)], framed=True)
        self.layer = {0: 0}
        self.round = float(rng.choice([0.0, 0.012, 0.025]))

    def add(self, label: str, parent: int) -> int:
        """A component one layer above its parent."""
        part = self.scene.part(label, parent)
        self.layer[part] = self.layer[parent] + 1
        return part

    def block(self, label: str, box: Box, material: str, parent: int = 0, radius: float | None = None) -> int:
        """A filled rectangle."""
        part = self.add(label, parent)
        outline = rectangle(*box, radius=self.round if radius is None else radius)
        self.scene.flat(part, material, outline, self.layer[part])
        return part

    def text(self, box: Box, lines: int, parent: int, material: str = "text") -> None:
        """Lines of text, drawn by hand as a wave or a stroke for each line."""
        part = self.add("Text", parent)
        x1, y1, x2, y2 = box
        pitch = (y2 - y1) / lines
        for i in range(lines):
            end = x2 if i < lines - 1 else x1 + (x2 - x1) * float(self.rng.uniform(0.45, 1.0))
            top, bottom = y1 + (i + 0.24) * pitch, y1 + (i + 0.68) * pitch
            middle = (top + bottom) / 2
            count = max(5, int((end - x1) / 0.022))
            wave = np.column_stack([np.linspace(x1, end, count), np.where(np.arange(count) % 2, bottom, top)])
            axis = np.array([[x1, middle], [end, middle]])
            words = [rectangle(a, top, b, bottom, 0.4 * (bottom - top)) for a, b in self._words(x1, end)]
            faces = [np.column_stack([word, np.full(len(word), -self.layer[part])]) for word in words]
            self.scene.shapes.append(Shape(part, material, faces, [wave], axis))

    def _words(self, x1: float, x2: float) -> list[tuple[float, float]]:
        """The line from x1 to x2 cut into words."""
        words, x = [], x1
        while x < x2 - 0.01:
            end = min(x2, x + float(self.rng.uniform(0.03, 0.1)))
            words.append((x, end))
            x = end + 0.008
        return words

    def picture(self, box: Box, parent: int, radius: float | None = None) -> int:
        """An image, drawn by hand as a box, with its diagonals if it is large enough."""
        part = self.add("Image", parent)
        outline = rectangle(*box, radius=self.round if radius is None else radius)
        x1, y1, x2, y2 = box
        crossed = np.array([[x2, y2], [x1, y2], [x1, y1], [x2, y1], [x2, y2], [x1, y1], [x1, y2], [x2, y1]])
        lines = [crossed] if min(x2 - x1, y2 - y1) > 0.1 else [closed(outline)]
        self.scene.flat(part, "picture", outline, self.layer[part], lines=lines)
        return part

    def icon(self, x: float, y: float, radius: float, parent: int, material: str) -> None:
        """A small sign with its middle at (x, y)."""
        part = self.add("Icon", parent)
        sign = _SIGNS[str(self.rng.choice(list(_SIGNS)))] * radius + (x, y)
        self.scene.flat(part, material, sign, self.layer[part])


def _star() -> Array:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2, 0.45, 1.05)
    return np.column_stack([reach * np.cos(angle), reach * np.sin(angle)])


_SIGNS: dict[str, Array] = {
    "disc": ellipse(0, 0, 1, 1, 16),
    "square": rectangle(-0.85, -0.85, 0.85, 0.85),
    "play": np.array([[-0.7, -0.95], [1.0, 0], [-0.7, 0.95]]),
    "plus": np.array(
        [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]]
    )
    / 3,
    "house": np.array([[0, -1], [1, -0.1], [0.7, -0.1], [0.7, 0.9], [-0.7, 0.9], [-0.7, -0.1], [-1, -0.1]]),
    "star": _star(),
    "back": np.array([[0.5, -1], [0.9, -0.7], [0.1, 0], [0.9, 0.7], [0.5, 1], [-0.8, 0]]),
    "tag": np.array([[-0.7, -1], [0.7, -1], [0.7, 1], [0, 0.4], [-0.7, 1]]),
    "drop": np.array([[0, -1.1], [0.7, 0.1], [0.6, 0.7], [0, 1], [-0.6, 0.7], [-0.7, 0.1]]),
}


def build_screen(rng: np.random.Generator) -> Scene:
    """One random screen; coordinates are in the unit frame, which the screen fills."""
    page = _Page(rng)
    page.scene.flat(0, "page", rectangle(0, 0, 1, 1), 0, lines=[rectangle(0.005, 0.005, 0.995, 0.995)[[0, 1, 2, 3, 0]]])
    top, bottom = 0.0, 1.0
    if rng.random() < 0.85:
        top = _toolbar(page)
        if rng.random() < 0.3:
            top = _tabs(page, top)
    if rng.random() < 0.45:
        bottom = _navigation(page)
    margin = float(rng.uniform(0.03, 0.08))
    gap = float(rng.uniform(0.025, 0.045))
    y = top + gap
    while bottom - y > 0.14:
        section = _SECTIONS[int(rng.integers(len(_SECTIONS)))]
        space = bottom - gap - y
        height = min(space, float(rng.uniform(0.16, 0.46)))
        if space - height < 0.16:
            height = space
        section(page, (margin, y, 1 - margin, y + height))
        y += height + gap
    if rng.random() < 0.25:
        radius = float(rng.uniform(0.04, 0.06))
        button = page.add("Text Button", 0)
        page.layer[button] = 8
        centre = (0.94 - radius, bottom - 0.05 - radius)
        page.scene.flat(button, "accent", ellipse(*centre, radius, radius, 24), 8)
        page.icon(*centre, 0.4 * radius, button, "on lead")
    return page.scene


def _toolbar(page: _Page) -> float:
    """Bar at the top with a sign, a title or a search field, and more signs. Returns its lower edge."""
    rng, height = page.rng, float(page.rng.uniform(0.08, 0.13))
    bar = page.block("Toolbar", (0, 0, 1, height), "bar", radius=0)
    middle, x, end = height / 2, 0.05, 0.95
    if rng.random() < 0.7:
        page.icon(0.07, middle, 0.02, bar, "on lead")
        x = 0.13
    for _ in range(int(rng.integers(0, 3))):
        page.icon(end - 0.02, middle, 0.02, bar, "on lead")
        end -= 0.075
    if rng.random() < 0.3:
        page.block("Input", (x, middle - 0.028, end - 0.03, middle + 0.028), "surface", bar, 0.028)
    else:
        page.text((x, middle - 0.024, x + float(rng.uniform(0.2, 0.45)), middle + 0.03), 1, bar, "on lead")
    return height


def _tabs(page: _Page, top: float) -> float:
    """A row of tabs, one of them underlined. Returns its lower edge."""
    count = int(page.rng.integers(2, 5))
    bar = page.block("Multi-Tab", (0, top, 1, top + 0.07), "bar", radius=0)
    for i in range(count):
        x = (i + 0.5) / count
        page.text((x - 0.28 / count, top + 0.018, x + 0.28 / count, top + 0.055), 1, bar, "on lead")
    chosen = int(page.rng.integers(count))
    page.block("Text Button", (chosen / count, top + 0.058, (chosen + 1) / count, top + 0.07), "accent", bar, 0)
    return top + 0.07


def _navigation(page: _Page) -> float:
    """Bar at the bottom with three to five signs. Returns its upper edge."""
    count = int(page.rng.integers(3, 6))
    bar = page.block("Bottom Navigation", (0, 0.91, 1, 1), "surface", radius=0)
    for i in range(count):
        page.icon((i + 0.5) / count, 0.955, 0.024, bar, "faint")
    return 0.91


def _list(page: _Page, box: Box) -> None:
    """Rows alike: image or sign at one side, one or two lines of text, maybe a switch."""
    rng, (x1, y1, x2, y2) = page.rng, box
    rows = max(1, min(int((y2 - y1) / 0.085), int(rng.integers(2, 6))))
    lead, tail = str(rng.choice(["none", "icon", "image", "avatar"])), str(rng.choice(["none", "switch", "icon"]))
    lines, filled = int(rng.integers(1, 3)), rng.random() < 0.5
    pitch = (y2 - y1) / rows
    for i in range(rows):
        top, bottom = y1 + i * pitch, y1 + (i + 0.88) * pitch
        middle, half = (top + bottom) / 2, 0.36 * (bottom - top)
        if filled:
            row = page.block("List Item", (x1, top, x2, bottom), "surface")
        else:  # a thin line below
            row = page.add("List Item", 0)
            axis = np.array([[x1, bottom], [x2, bottom]])
            page.scene.flat(row, "faint", rectangle(x1, bottom - 0.003, x2, bottom), 1, lines=[], axis=axis)
        x, end = x1 + 0.03, x2 - 0.04
        if lead == "icon":
            page.icon(x + 0.03, middle, 0.024, row, "lead")
            x += 0.09
        elif lead != "none":
            half = min(half, 0.08)
            page.picture((x, middle - half, x + 2 * half, middle + half), row, half if lead == "avatar" else 0)
            x += 2 * half + 0.03
        if tail == "switch":
            page.block("On/Off Switch", (end - 0.08, middle - 0.018, end, middle + 0.018), "accent", row, 0.018)
            end -= 0.11
        elif tail == "icon":
            page.icon(end - 0.02, middle, 0.018, row, "faint")
            end -= 0.08
        tall = 0.021 * lines
        page.text((x, middle - tall, x + (end - x) * float(rng.uniform(0.5, 1)), middle + tall), lines, row)


def _cards(page: _Page, box: Box) -> None:
    """A row of cards, each with an image and a line of text."""
    rng, (x1, y1, x2, y2) = page.rng, box
    columns = int(rng.integers(1, 4)) if y2 - y1 < 0.3 else int(rng.integers(2, 4))
    share, captioned = float(rng.uniform(0.5, 0.75)), rng.random() < 0.75
    pitch = (x2 - x1 + 0.025) / columns
    for i in range(columns):
        a, b = x1 + i * pitch, x1 + (i + 1) * pitch - 0.025
        card = page.block("Card", (a, y1, b, y2), "surface")
        split = y1 + share * (y2 - y1) if captioned else y2 - 0.015
        page.picture((a + 0.015, y1 + 0.015, b - 0.015, split), card)
        if captioned:
            lines = 1 if y2 - split < 0.08 else 2
            page.text((a + 0.02, split + 0.012, b - 0.02, split + 0.012 + 0.04 * lines), lines, card)


def _hero(page: _Page, box: Box) -> None:
    """One wide image, maybe with a line of text and a button on it."""
    rng, (x1, y1, x2, y2) = page.rng, box
    image = page.picture((0.0 if rng.random() < 0.5 else x1, y1, 1.0 if rng.random() < 0.5 else x2, y2), 0)
    if rng.random() < 0.5:
        page.text((x1 + 0.04, y2 - 0.09, x1 + 0.04 + float(rng.uniform(0.25, 0.6)), y2 - 0.03), 1, image, "on lead")
    if rng.random() < 0.3:
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        page.icon(*middle, 0.045, image, "accent")


def _form(page: _Page, box: Box) -> None:
    """Fields under each other and a button."""
    rng, (x1, y1, x2, y2) = page.rng, box
    fields = max(1, min(3, int((y2 - y1) / 0.11) - 1))
    pitch = (y2 - y1) / (fields + 1)
    boxed = rng.random() < 0.4
    for i in range(fields):
        top = y1 + i * pitch
        field = page.block("Input", (x1, top, x2, top + 0.72 * pitch), "surface")
        if boxed:
            middle = top + 0.36 * pitch
            page.block("Checkbox", (x1 + 0.02, middle - 0.02, x1 + 0.06, middle + 0.02), "faint", field, 0)
        start = x1 + (0.09 if boxed else 0.03)
        page.text((start, top + 0.36 * pitch - 0.02, start + 0.3, top + 0.36 * pitch + 0.025), 1, field, "faint")
    width = (x2 - x1) * float(rng.uniform(0.3, 1.0))
    a = float(rng.uniform(x1, x2 - width))
    button = page.block("Text Button", (a, y2 - min(0.8 * pitch, 0.1), a + width, y2), "lead")
    y = y2 - min(0.4 * pitch, 0.05)
    page.text((a + 0.3 * width, y - 0.02, a + 0.7 * width, y + 0.025), 1, button, "on lead")


def _paragraph(page: _Page, box: Box) -> None:
    """A heading and lines of text, maybe beside an image."""
    rng, (x1, y1, x2, y2) = page.rng, box
    if rng.random() < 0.5:
        width = float(rng.uniform(0.2, 0.42))
        left = rng.random() < 0.5
        page.picture((x1, y1, x1 + width, y2) if left else (x2 - width, y1, x2, y2), 0)
        x1, x2 = (x1 + width + 0.03, x2) if left else (x1, x2 - width - 0.03)
    page.text((x1, y1, x1 + 0.6 * (x2 - x1), y1 + 0.055), 1, 0)
    lines = max(1, min(int((y2 - y1 - 0.07) / 0.045), int(rng.integers(2, 6))))
    page.text((x1, y1 + 0.07, x2, y1 + 0.07 + 0.045 * lines), lines, 0, "faint")


def _panel(page: _Page, box: Box) -> None:
    """A raised card with a heading and one or two buttons at its foot."""
    rng, (x1, y1, x2, y2) = page.rng, box
    card = page.block("Card", box, "surface")
    page.text((x1 + 0.04, y1 + 0.025, x1 + 0.04 + float(rng.uniform(0.25, 0.6)), y1 + 0.075), 1, card)
    count = int(rng.integers(1, 3))
    bar = page.add("Button Bar", card)
    pitch = (x2 - x1 - 0.04) / count
    for i in range(count):
        a = x1 + 0.03 + i * pitch
        page.block("Text Button", (a, y2 - 0.07, a + pitch - 0.03, y2 - 0.02), "lead" if i == 0 else "accent", bar)


_SECTIONS: tuple[Callable[[_Page, Box], None], ...] = (_list, _cards, _hero, _form, _paragraph, _panel, _list, _cards)
