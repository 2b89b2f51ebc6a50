"""One transform object for pixels, boxes and strokes, so that they never disagree."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from fgsbir.sketch.strokes import FloatArray, VectorSketch

Image = npt.NDArray[np.uint8]

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_FAINTEST = 10.0  # slope of a step of 6 grey levels, smoothed


@dataclass(frozen=True)
class UnitAffine:
    """An affine map from the unit frame of a source image to the unit frame of the result.

    Args:
        matrix: `(2, 3)`; a point p of the source appears at `matrix[:, :2] p + matrix[:, 2]`.
    """

    matrix: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(2, 3))

    @classmethod
    def letterbox(cls, height: int, width: int) -> UnitAffine:
        """Centres an image in a square frame without changing its aspect ratio."""
        side = max(height, width)
        sx, sy = width / side, height / side
        return cls(np.array([[sx, 0, (1 - sx) / 2], [0, sy, (1 - sy) / 2]]))

    @classmethod
    def about_centre(
        cls,
        angle: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        flip: bool = False,
    ) -> UnitAffine:
        """Scales, shears, turns and shifts about the middle of the frame, after an optional mirroring.

        Args:
            angle: rotation in degrees, clockwise on the screen.
            scale: factors along x and y.
            shear: share of y by which x moves.
            shift: shift along x and y, in frame units.
            flip: whether to mirror left and right first.
        """
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        linear = np.array([[c, -s], [s, c]]) @ np.array([[1, shear], [0, 1]]) @ np.diag(scale)
        if flip:
            linear = linear @ np.diag([-1.0, 1.0])
        offset = 0.5 + np.asarray(shift) - linear @ [0.5, 0.5]
        return cls(np.concatenate([linear, offset[:, None]], axis=1))

    def after(self, first: UnitAffine) -> UnitAffine:
        """This transform applied to the result of `first`."""
        return UnitAffine((_square(self.matrix) @ _square(first.matrix))[:2])

    def image(self, image: Image, size: int) -> Image:
        """The image `(H, W, 3)` through the transform, `(size, size, 3)`; what lies outside repeats the border."""
        height, width = image.shape[:2]
        shrink = size / max(height, width)
        if shrink < 0.75:  # a warp samples four pixels and would alias
            height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        # Pixel i covers the unit interval [i, i + 1] / side, and its centre is at (i + 0.5) / side.
        to_unit = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
        to_pixel = np.array([[size, 0, -0.5], [0, size, -0.5], [0, 0, 1.0]])
        pixels = (to_pixel @ _square(self.matrix) @ to_unit)[:2]
        warped = cv2.warpAffine(image, pixels, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, dtype=np.uint8)

    def boxes(self, boxes: FloatArray) -> FloatArray:
        """Axis-aligned hulls of the transformed boxes, `(N, 4)`, clipped to the frame."""
        x1, y1, x2, y2 = np.asarray(boxes, dtype=np.float64).T
        corners = np.stack([np.stack([x, y], -1) for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2))], axis=1)
        moved = corners @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.concatenate([moved.min(1), moved.max(1)], axis=1).clip(0, 1).astype(np.float32)

    def sketch(self, sketch: VectorSketch) -> VectorSketch:
        """The sketch with every point moved."""
        return sketch.transform(self.matrix)


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training pair; the default changes nothing.

    Args:
        flip: probability that sketch and photo are mirrored together.
        sketch_affine: strength of a random affine map of the sketch alone: 1 turns by up to 15 degrees,
            scales by up to 20 % (each axis up to 8 % more), shears and shifts by up to 8 %.
        photo_affine: strength of a random affine map of the photo, on the same scale.
        stroke_dropout: probability of leaving out each stroke; the longest always stays.
        wobble: standard deviation of a smooth random displacement of each stroke, in frame units.
        colour: strength of random brightness, contrast and saturation of the photo, in [0, 1].
        grey: probability of a photo without colour.
    """

    flip: float = 0.0
    sketch_affine: float = 0.0
    photo_affine: float = 0.0
    stroke_dropout: float = 0.0
    wobble: float = 0.0
    colour: float = 0.0
    grey: float = 0.0

    def affines(self, rng: np.random.Generator) -> tuple[UnitAffine, UnitAffine]:
        """The transforms of one pair: sketch, photo."""
        flip = bool(rng.random() < self.flip)
        return _random_affine(rng, self.sketch_affine, flip), _random_affine(rng, self.photo_affine, flip)

    def strokes(self, sketch: VectorSketch, rng: np.random.Generator) -> VectorSketch:
        """Drops and bends strokes."""
        if self.stroke_dropout:
            keep = rng.random(len(sketch)) >= self.stroke_dropout
            keep[int(sketch.ink.argmax())] = True
            sketch = sketch.select(np.flatnonzero(keep))
        if self.wobble:
            sketch = VectorSketch.from_strokes(s + _smooth_noise(len(s), self.wobble, rng) for s in sketch.strokes)
        return sketch

    def photo(self, image: Image, rng: np.random.Generator) -> Image:
        """Changes the photo's colours."""
        if not self.colour and not self.grey:
            return image
        x = image.astype(np.float32)
        grey = x @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        if rng.random() < self.grey:
            x = np.repeat(grey[..., None], 3, axis=2)
        else:
            x = grey[..., None] + (x - grey[..., None]) * rng.uniform(1 - self.colour, 1 + self.colour)
        contrast, brightness = rng.uniform(-0.5, 0.5, 2) * self.colour
        x = (x - 255) * (1 + contrast) + 255 * (1 + brightness * 0.5)
        return np.asarray(x.clip(0, 255), dtype=np.uint8)


def edge_map(image: Image) -> Image:
    """The outlines of an image `(H, W, 3)`: dark lines on white, anti-aliased, one to two pixels wide, `(H, W, 3)`.

    Canny's detector on the grey image at twice its size, smoothed by 0.75 pixels. Its upper threshold is half of
    Otsu's between weak and strong slopes, its lower one two fifths of that. Both follow the image's contrast, but
    steps of fewer than 6 grey levels are never edges, so a blank image stays blank.

    Structured forests, which the first papers may have used, draw cleaner lines, but their model is a download.
    """
    height, width = image.shape[:2]
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.5)
    dx, dy = cv2.Sobel(grey, cv2.CV_16S, 1, 0), cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    slope = np.hypot(dx, dy, dtype=np.float32)
    steepest = max(float(slope.max()), 1.0)
    between, _ = cv2.threshold((slope * (255 / steepest)).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    high = max(between / 255 * steepest / 2, _FAINTEST)
    edges = cv2.Canny(dx, dy, 0.4 * high, high, L2gradient=True)
    lines = cv2.resize(cv2.dilate(edges, _CROSS), (width, height), interpolation=cv2.INTER_AREA)
    return np.repeat(255 - lines[..., None], 3, axis=2)


def _random_affine(rng: np.random.Generator, strength: float, flip: bool) -> UnitAffine:
    angle, size, stretch, shear, dx, dy = rng.uniform(-1, 1, 6) * strength
    scale = (1 + 0.2 * size) * (1 + 0.08 * stretch), (1 + 0.2 * size) * (1 - 0.08 * stretch)
    return UnitAffine.about_centre(15 * angle, scale, 0.08 * shear, (0.08 * dx, 0.08 * dy), flip)


def _smooth_noise(points: int, strength: float, rng: np.random.Generator) -> FloatArray:
    """A displacement `(points, 2)` that bends a stroke without roughening it: four knots, joined linearly."""
    knots = rng.normal(0, strength, (4, 2))
    position = np.linspace(0, 3, points)
    return np.stack([np.interp(position, np.arange(4), knots[:, axis]) for axis in (0, 1)], axis=1).astype(np.float32)


def _square(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.vstack([matrix, [0, 0, 1]])
