"""The lines of ruled and squared paper."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_FAINT = 0.7  # share of the strength of ink that ruled lines do not reach
_FAINTEST = 10  # grey levels from the paper to a ruled line
_FEWEST = 6  # lines
_ACROSS = 0.5  # share of the image's side, for the length of a line, and for the width of all
_EVEN = 0.15  # share of the step that a gap may be off, and of the gaps that may be more
_PARALLEL = 6.0  # degrees, in perspective


def without_ruling(strength: Image) -> Image:
    """The strength of ink, less ruled lines.

    Ruled lines are at least six that are straight, parallel, at even steps, nearly as long as the image and at least
    half as wide together, and clearly fainter than the strongest ink. So a table that is drawn like all else stays, and
    so do lines of which there are few.

    Args:
        strength: `(h, w)`, grey levels from the paper to each pixel, at working size.
    """
    ink = float(np.quantile(strength, 0.995))
    beside = cv2.dilate(strength, np.ones((3, 3), np.uint8))
    faint = ((strength >= _FAINTEST) & (beside < _FAINT * ink)).astype(np.uint8)
    side = min(strength.shape)
    if faint.sum() < _FEWEST * _ACROSS * side:
        return strength
    found = cv2.HoughLines(faint, 1, np.pi / 720, int(_ACROSS * side))
    if found is None:
        return strength
    lines = found[:, 0].astype(np.float64)
    apart = np.rad2deg(np.abs((lines[:, 1] - lines[0, 1] + np.pi / 2) % np.pi - np.pi / 2))  # from the strongest
    limit = np.zeros_like(strength)
    for family in (lines[apart < _PARALLEL], lines[apart > 90 - _PARALLEL]):
        if len(family) >= _FEWEST:
            family = _distinct(family, strength.shape)
            if _is_ruling(family, strength.shape):
                _draw(limit, np.asarray(beside), family)
    return np.where(strength <= limit, np.uint8(0), strength)


def _distinct(lines: Floats, shape: tuple[int, ...]) -> Floats:
    """The strongest of the lines that lie on each other or cross."""
    positions = _positions(lines, shape)
    kept: list[int] = []
    free = np.ones(len(lines), dtype=bool)
    while free.any():
        kept.append(int(free.argmax()))
        apart = positions - positions[kept[-1]]
        free &= (np.abs(apart).min(1) > 4) & (np.abs(np.sign(apart).sum(1)) == 3)
    return lines[kept]


def _positions(lines: Floats, shape: tuple[int, ...]) -> Floats:
    """Where lines, as distance and angle, cross three straight lines across the first of them, `(n, 3)` in pixels."""
    angle = lines[0, 1]
    normal, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    centre = np.array(shape[1::-1]) / 2
    normals = np.stack([np.cos(lines[:, 1]), np.sin(lines[:, 1])], axis=1)
    across = [centre + along * shift * min(shape) for shift in (-0.25, 0, 0.25)]
    return np.stack([(lines[:, 0] - normals @ at) / (normals @ normal) for at in across], axis=1)


def _is_ruling(lines: Floats, shape: tuple[int, ...]) -> bool:
    """Whether distinct lines are many and at even steps, which perspective may change slowly."""
    if len(lines) < _FEWEST:
        return False
    middle = np.sort(_positions(lines, shape)[:, 1])
    gaps = np.diff(middle)
    steps = np.array([np.median(gaps[max(0, i - 4) : i + 5]) for i in range(len(gaps))])
    even = np.abs(gaps / steps - 1) < _EVEN
    return bool(np.ptp(middle) >= _ACROSS * min(shape) and even.mean() >= 1 - 2 * _EVEN)


def _draw(limit: Image, beside: Image, lines: Floats) -> None:
    """Draws how strong ruled lines are at most, so that the ink that crosses them stays."""
    steps = np.arange(-sum(limit.shape), sum(limit.shape))
    for distance, angle in lines:
        normal, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        points = np.rint(normal * distance + along * steps[:, None]).astype(int)
        inside = points[((points >= 0) & (points < limit.shape[::-1])).all(1)]
        tone = 1.5 * float(np.median(beside[inside[:, 1], inside[:, 0]]))
        ends = [point.tolist() for point in points[[0, -1]]]
        cv2.line(limit, ends[0], ends[1], min(255, max(tone, 2 * _FAINTEST)), 5)
