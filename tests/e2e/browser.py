"""Chromium, and what is done with the page in it."""

import os
import shutil
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
WIDE, PHONE = {"width": 1300, "height": 860}, {"width": 390, "height": 844}


def draw(page, stroke):
    """Draws a stroke with the mouse."""
    box = page.locator("#paper").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def shoot(page, name):
    if folder := os.environ.get("FGSBIR_E2E_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
