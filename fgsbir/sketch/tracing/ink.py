"""Ink and paper told apart."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.sketch.tracing.paper import is_flat, local_paper, median_paper, surroundings
from fgsbir.sketch.tracing.ruling import without_ruling

Image = npt.NDArray[np.uint8]

_WORKING = 512  # pixels of the longer side while tracing
_FAINTEST = 24.0  # grey levels between paper and the faintest line
_ONE_COLOUR = 30  # grey levels, how far the colours of one ink may differ in a channel
_SURROUNDED = 1 / 3  # of the frame; a page of one colour may have that much filled and be no sheet on a table
_WIDE = 9  # pixels; a darker part of the photograph that is wider may be a filled area or a shadow
_SQUARE = np.ones((_WIDE, _WIDE), np.uint8)


def find_ink(raster: Image, threshold: float | None) -> Image:
    """Where the ink is, `(h, w)` 0 or 1, at working size.

    Lines of ink differ from the paper just beside them, so uneven light, shadows with soft edges and tables are none. A
    filled area differs from the paper at large; it has to have sharp edges, be as strong as the lines, and lie inside
    the image. What lies around the sheet, the edge of the sheet and ruled lines are left out.

    Antialiased lines fade where they run between two pixels, so half the threshold is enough beside what reaches it.
    """
    image = _at_working_size(raster)
    flat = is_flat(image)
    wide = np.broadcast_to(np.median(image, axis=(0, 1)).astype(np.uint8), image.shape) if flat else median_paper(image)
    sides = []
    for seen, around in ((image, wide), (255 - image, 255 - wide)):  # dark ink, light ink
        beside = local_paper(seen)
        weight = cv2.norm(_less(around if flat else np.minimum(beside, around), seen))
        sides.append((weight, seen, around, beside))
    _, image, wide, paper = max(sides, key=lambda side: side[0])
    strength = _less(paper, image)
    if threshold is None:
        strength = without_ruling(strength)
        otsu = cv2.threshold(strength, 0, 255, cv2.THRESH_OTSU)[0]
        threshold = max(otsu, _FAINTEST, 6 * _grain(image, paper))
    ink = _reaching(strength, threshold)
    ink[_soft(image, ink, strength)] = 0
    filled = _filled(image, wide, strength, threshold, flat)
    outside, edge = surroundings(image)
    if flat and _frame(outside).mean() < _SURROUNDED:
        return ink | filled
    ink[_along(ink, edge)] = 0
    return (ink | filled) * ~outside


def _less(one: Image, other: Image) -> Image:
    """How much less the other is, in grey levels, `(h, w)`: the most of all channels."""
    return np.asarray(np.where(one > other, one - other, np.uint8(0)).max(axis=2))


def _at_working_size(raster: Image) -> Image:
    """The image on white paper, `(h, w, channels)`, or its transparency where only that shows a drawing.

    One channel after the other, so that a large photograph takes little memory.
    """
    scale = _WORKING / max(raster.shape[:2])
    size = [max(1, round(n * scale)) for n in raster.shape[1::-1]]
    channels = [raster] if raster.ndim == 2 else [cv2.extractChannel(raster, i) for i in range(min(raster.shape[2], 3))]
    alpha = cv2.extractChannel(raster, 3) if raster.shape[2:] == (4,) else None

    def resized(channel: Image) -> Image:
        return np.asarray(cv2.resize(channel, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))

    if alpha is None or alpha.min() == 255:
        return np.stack([resized(channel) for channel in channels], axis=2)
    seen = np.stack([resized(cv2.multiply(channel, alpha, scale=1 / 255)) for channel in channels], axis=2)
    cover = resized(alpha)[..., None]
    on_white = cv2.add(seen, np.repeat(255 - cover, 3, axis=2))
    colours = seen[cover[..., 0] > 128] * (255.0 / cover[cover > 128][:, None])
    one_colour = len(colours) and float(np.ptp(np.quantile(colours, (0.02, 0.98), axis=0), axis=0).max()) < _ONE_COLOUR
    if one_colour or np.ptp(on_white) < _FAINTEST:
        return 255 - cover
    return np.asarray(on_white)


def _grain(image: Image, paper: Image) -> float:
    """The standard deviation of what the paper differs from itself, in grey levels."""
    difference = image.astype(np.int16) - paper
    return 1.4826 * float(np.median(np.abs(difference - np.median(difference, axis=(0, 1)))))


def _reaching(strength: Image, threshold: float) -> Image:
    """What is above half the threshold and joined with what is above it, 0 or 1."""
    faint = (strength > threshold / 2).astype(np.uint8)
    count, labels = cv2.connectedComponents(faint, connectivity=8)
    real = np.zeros(count, dtype=np.uint8)
    real[labels[strength > threshold]] = 1
    real[0] = 0
    return np.asarray(real[labels])


def _along(ink: Image, edge: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The ink along an edge: what hardly leaves it, or all if there is ink along much of the edge."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats(ink * edge.astype(np.uint8), connectivity=8)
    long = facts[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) >= 4 * _WIDE
    long[_frame(labels)] = True  # cut off by the frame
    long[0] = False
    along = long[labels]
    beside = cv2.dilate(along.astype(np.uint8), np.ones((2 * _WIDE, 2 * _WIDE), np.uint8)) > 0
    if (beside & edge).sum() > 0.4 * edge.sum():
        return np.asarray(along)
    whole = cv2.connectedComponents(ink, connectivity=8)[1]
    share = np.bincount(whole[along], minlength=whole.max() + 1) / np.bincount(whole.ravel())
    return np.asarray(along & (share > 0.7)[whole])


def _soft(image: Image, ink: Image, strength: Image) -> npt.NDArray[np.bool_]:
    """The wide parts of the ink that fade into the paper, as the shadow of a finger does."""
    core = cv2.morphologyEx(ink, cv2.MORPH_OPEN, _SQUARE)
    labels = cv2.connectedComponents(core, connectivity=8)[1]
    around = cv2.dilate(labels.astype(np.float32), _SQUARE).astype(np.int32) * ink
    return np.asarray((_sharpness(image, around, ink, strength) < 0.5)[around] & (around > 0))


def _filled(image: Image, wide: Image, strength: Image, threshold: float, flat: bool) -> Image:
    """The filled areas, 0 or 1: dark as the lines, with sharp edges, and not cut off by the frame.

    On paper of one colour, where there are no shadows, they may be larger, and half of their border be cut off.
    """
    depth = _less(wide, image)
    lines = strength[strength > threshold]
    level = max(threshold, 0.6 * float(np.median(lines))) if lines.size else threshold
    dark = cv2.morphologyEx((depth > level).astype(np.uint8), cv2.MORPH_OPEN, _SQUARE)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    rim = np.bincount(labels[_rim(dark)], minlength=count)
    framed = np.bincount(_frame(labels), minlength=count)
    whole = framed <= rim * (1.0 if flat else 0.1)
    whole &= facts[:, cv2.CC_STAT_AREA] < labels.size * (0.5 if flat else 0.25)
    filled = whole & (_sharpness(image, labels, dark, depth) > 0.7)
    return np.asarray(filled.astype(np.uint8)[labels] * dark)


def _frame(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The outermost pixels."""
    return np.concatenate([image[[0, -1]].ravel(), image[:, [0, -1]].ravel()])


def _rim(mask: Image) -> npt.NDArray[np.bool_]:
    """The pixels of a mask beside others; the frame is no border."""
    return np.asarray(mask > cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=1))


def _sharpness(image: Image, labels: npt.NDArray[np.int32], mask: Image, strength: Image) -> npt.NDArray[np.float64]:
    """For each label the share of the mask's rim where the image changes at once, by most of the label's strength."""
    steps = np.asarray(cv2.morphologyEx(image, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)))
    count = int(labels.max()) + 1
    mean = np.bincount(labels.ravel(), strength.ravel(), count) / np.maximum(
        np.bincount(labels.ravel(), None, count), 1
    )
    rim = _rim(mask)
    here, step = labels[rim], steps.reshape(*labels.shape, -1).max(axis=2)[rim]
    return np.bincount(here, step > 0.6 * mean[here], count) / np.maximum(np.bincount(here, None, count), 1)


def without_specks(ink: Image, speck: float) -> Image:
    """The ink less its smallest parts, and with its smallest holes closed."""
    for value, connectivity in ((1, 8), (0, 4)):
        part = (ink == value).astype(np.uint8)
        _, labels, facts, _ = cv2.connectedComponentsWithStats(part, connectivity=connectivity)
        small = facts[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) < speck
        small[0] = False
        if small.any():
            ink = np.where(small[labels], np.uint8(1 - value), ink)
    return ink
