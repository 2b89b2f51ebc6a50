"""Drawings on paper as a camera sees them, made up, with the ink known."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

WIDTH, HEIGHT = 900, 1200
WHITE, CREAM, GREY = (250, 250, 248), (238, 226, 196), (170, 172, 168)
RULINGS = {"lines": ((160, 190, 215), 44, False), "squares": ((165, 180, 190), 28, True)}  # colour, step, crosswise too

t = np.linspace(0, 2 * np.pi, 60)
# A face with an ear, glasses, a dot and a long line: x and y in [0, 1] of the width of the paper.
DRAWING = [
    np.stack([0.5 + 0.22 * np.cos(t), 0.55 + 0.28 * np.sin(t)], axis=1),
    np.stack([0.42 + 0.05 * np.cos(t), 0.48 + 0.04 * np.sin(t)], axis=1),
    np.stack([0.58 + 0.05 * np.cos(t), 0.48 + 0.04 * np.sin(t)], axis=1),
    np.array([(0.5, 0.5), (0.47, 0.6), (0.52, 0.61)]),
    np.array([(0.4, 0.7), (0.45, 0.73), (0.55, 0.73), (0.61, 0.69)]),
    np.array([(0.28, 0.3), (0.42, 0.14), (0.6, 0.15), (0.72, 0.32)]),
    np.array([(0.2, 1.0), (0.8, 1.02)]),
]


def photograph(
    paper: tuple[int, int, int] = WHITE,
    ink: tuple[int, int, int] = (60, 45, 40),
    width: float = 5,
    ruling: str | None = None,
    table: str | None = None,
    shadow: str | None = None,
    grain: float = 4,
    tilt: float = 0,
    seed: int = 0,
    drawing: list[np.ndarray] | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A photograph, `(H, W, 3)`, and its ink as lines in [0, 1] of the frame: the longer side is 1.

    `table` shows the table around the sheet: plain, dark or wood. `shadow` is soft, hand, lamp or hard. `tilt` is a
    turn in degrees, with some perspective.
    """
    rng = np.random.default_rng(seed)
    drawing = DRAWING if drawing is None else drawing
    sheet = np.full((HEIGHT, WIDTH, 3), paper, dtype=np.float32)
    if ruling:
        colour, step, both = RULINGS[ruling]
        colour = np.minimum(colour, np.array(paper) * 0.85).tolist()
        for y in range(step, HEIGHT, step):
            cv2.line(sheet, (0, y), (WIDTH, y), colour, 2, cv2.LINE_AA)
        for x in range(step, WIDTH, step) if both else ():
            cv2.line(sheet, (x, 0), (x, HEIGHT), colour, 2, cv2.LINE_AA)
    lines = [np.asarray(stroke, float) * WIDTH for stroke in drawing]
    fine = cv2.resize(sheet, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for line in lines:
        cv2.polylines(fine, [np.rint(line * 2).astype(np.int32)], False, ink, round(2 * width), cv2.LINE_AA)
    sheet = cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)

    corners = np.float32([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)])
    middle = np.float32([WIDTH / 2, HEIGHT / 2])
    turn = np.deg2rad(tilt)
    turned = (corners - middle) @ np.float32([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    perspective = np.float32([(0.97, 1), (1, 0.98), (1, 1), (1, 1)]) if tilt else np.float32(1)
    place = turned * perspective * (0.82 if table else 1.12 if tilt else 1) + middle
    matrix = cv2.getPerspectiveTransform(corners, place.astype(np.float32))
    ground = np.full_like(
        sheet, {None: paper, "plain": (120, 118, 116), "dark": (35, 32, 30), "wood": (160, 110, 70)}[table]
    )
    if table == "wood":
        fibres = cv2.GaussianBlur(rng.normal(0, 60, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), sigmaX=60, sigmaY=1.5)
        ground += 6 * fibres[..., None] / max(float(fibres.std()), 1e-6)
    inside = cv2.warpPerspective(np.ones((HEIGHT, WIDTH), np.float32), matrix, (WIDTH, HEIGHT))
    if table:  # the sheet's own thin shadow on the table
        below = cv2.GaussianBlur(cv2.warpAffine(inside, np.float32([[1, 0, 5], [0, 1, 6]]), (WIDTH, HEIGHT)), (0, 0), 2)
        ground *= 1 - 0.45 * below[..., None]
    image = cv2.warpPerspective(sheet, matrix, (WIDTH, HEIGHT)) * inside[..., None] + ground * (1 - inside[..., None])

    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = np.ones((HEIGHT, WIDTH), np.float32)
    if shadow == "lamp":
        light = 1.0 - 0.55 * np.hypot(x - 100, y - 100) / 1400
    elif shadow == "soft":
        light = 1 - 0.45 / (1 + np.exp(-(x * 0.8 + y - 1150) / 30))
    elif shadow == "hard":
        light = 1 - 0.4 / (1 + np.exp(-(x - 0.4 * y - 480).clip(-99, 99) / 3))
    elif shadow == "hand":
        arm = np.zeros((HEIGHT, WIDTH), np.float32)
        cv2.line(arm, (WIDTH, HEIGHT), (650, 820), 1, 190)
        for finger in (-60, 0, 60):
            cv2.line(arm, (650, 820), (520 + finger, 700 - finger // 2), 1, 44)
        light = 1 - 0.4 * cv2.GaussianBlur(arm, (0, 0), 14)
    image = cv2.GaussianBlur(image * light[..., None], (0, 0), 0.8) + rng.normal(0, grain, image.shape)
    bgr = image.clip(0, 255).astype(np.uint8)[..., ::-1]
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    photo = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    offset = (HEIGHT - np.array([WIDTH, HEIGHT])) / 2
    seen = [cv2.perspectiveTransform(line[None].astype(np.float32), matrix)[0] for line in lines]
    return photo, [(line + 0.5 + offset) / HEIGHT for line in seen]


def along(strokes: list[np.ndarray]) -> np.ndarray:
    """Points on strokes, every 0.002."""
    steps = []
    for stroke in strokes:
        steps.append(np.asarray(stroke, float)[:1])
        for a, b in pairwise(np.asarray(stroke, float)):
            steps.append(a + (b - a) * np.linspace(0, 1, 2 + int(np.hypot(*(b - a)) / 0.002))[1:, None])
    return np.concatenate(steps)


def shares(found: list[np.ndarray], drawn: list[np.ndarray], near: float = 0.008) -> tuple[float, float]:
    """Share of the drawn lines that is found, and of the found lines that was not drawn."""
    one, other = along(drawn), along(found)
    canvas = np.ones((2, 1000, 1000), np.uint8)
    for number, points in enumerate((other, one)):
        column, row = (points * 1000).astype(int).clip(0, 999).T
        canvas[number, row, column] = 0
    distances = [cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / 1000 for part in canvas]
    (x1, y1), (x2, y2) = ((points * 1000).astype(int).clip(0, 999).T for points in (one, other))
    return float((distances[0][y1, x1] <= near).mean()), float((distances[1][y2, x2] > near).mean())
