"""The paper of a drawing, and what lies around it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_WIDEST_LINE = 31  # pixels; what is narrower on the paper is no paper
_PEN = 13  # pixels; wider dark areas at the frame may be the table
_SMALL = 128  # pixels of the longer side on which the sheet is looked for
_STEP = 10  # grey levels from a pixel to the next, at that size; light and soft shadows change less
_SHADOW = 0.12  # how far a shadow may weaken the channels of a colour apart
_DARKEST_SHADOW = 0.35  # share of the light that a shadow leaves
_EDGE = 8  # pixels, how far the dark line at the edge of a sheet may be from the edge


def median_paper(image: Image) -> Image:
    """The colour of the paper at each pixel: the median around it, as wide as half the image."""
    height, width = image.shape[:2]
    small = _reduced(image)
    return _channels(cv2.resize(cv2.medianBlur(small, 63), (width, height), interpolation=cv2.INTER_LINEAR))


def local_paper(image: Image, widest: int = _WIDEST_LINE) -> Image:
    """The colour of the paper just beside each pixel, for dark ink in lines of up to so many pixels."""
    calm = cv2.medianBlur(image, 5)
    closed = cv2.morphologyEx(calm, cv2.MORPH_CLOSE, np.ones((widest, widest), np.uint8))
    return _channels(closed)


def is_flat(image: Image) -> bool:
    """Whether the paper has one colour, as programs and scanners give it: at least half of the image is that colour."""
    even = np.abs(image.astype(np.int16) - np.median(image, axis=(0, 1))).max(axis=2) <= 1
    return bool(even.mean() >= 0.5)


def surroundings(image: Image) -> tuple[Mask, Mask]:
    """What lies around a sheet of paper, and the edge of that, `(h, w)` each.

    The sheet is the largest part of the image that changes gradually. What lies between it and the frame is around it,
    unless it has the sheet's colour in weaker light: then it may be in the shadow of a hand or a telephone, and ink in
    it counts. Both have an edge.

    Args:
        image: `(h, w, channels)`, with ink that is darker than the paper.
    """
    height, width = image.shape[:2]
    small = _channels(_reduced(local_paper(image, _PEN)))
    steps = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
    gradual = (_channels(steps).max(axis=2) <= _STEP).astype(np.uint8)
    count, parts, facts, _ = cv2.connectedComponentsWithStats(gradual, connectivity=4)
    if count < 3:  # one part, beside 0 for the steps
        return np.zeros((height, width), dtype=bool), np.zeros((height, width), dtype=bool)
    sheet = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    nearest = cv2.distanceTransformWithLabels(1 - gradual, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    part_of = np.zeros(nearest.max() + 1, dtype=np.int32)
    part_of[nearest[gradual > 0]] = parts[gradual > 0]
    parts = part_of[nearest]
    colours = small.astype(np.float64)
    white = np.maximum(np.median(colours[parts == sheet], axis=0), 1)
    others = cv2.connectedComponents((parts != sheet).astype(np.uint8), connectivity=4)[1]
    at_frame = np.unique(np.concatenate([others[[0, -1]].ravel(), others[:, [0, -1]].ravel()]))
    outside, beyond = np.zeros((2, count), dtype=np.uint8)
    for part in np.unique(parts[np.isin(others, at_frame[at_frame > 0])]):
        light = np.median(colours[parts == part], axis=0) / white
        beyond[part] = 1
        outside[part] = np.ptp(light) > _SHADOW or not _DARKEST_SHADOW <= light.mean() <= 1
    disc = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
    around, at_frame = (
        cv2.resize(which[parts], (width, height), interpolation=cv2.INTER_NEAREST) for which in (outside, beyond)
    )
    edges = (cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, disc) > 0 for mask in (around, at_frame))
    return around > 0, np.logical_or(*edges)


def _reduced(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = _SMALL / max(height, width)
    size = [max(1, round(n * scale)) for n in (width, height)]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _channels(image: npt.ArrayLike) -> Image:
    """With an axis of channels, which OpenCV leaves out where there is but one."""
    array = np.asarray(image)
    return array if array.ndim == 3 else array[..., None]
