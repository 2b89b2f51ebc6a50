"""The path of the pen, from drawings to batches."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from fgsbir.data.dataset import PairDataset, Rendering, SketchDataset
from fgsbir.data.records import PhotoRecord, SketchRecord
from fgsbir.data.transforms import Augmentation
from fgsbir.errors import InputError
from fgsbir.sketch.formats.sequence import split_strokes
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch

PHOTO = PhotoRecord("p", "train", pixels=np.full((20, 20, 3), 200, np.uint8))
BOXES = {"p": np.array([[0, 0, 1, 1]], np.float32)}
STROKES = [[(0.1, 0.2), (0.5, 0.3), (0.4, 0.8)], [(0.7, 0.7)], [(0.2, 0.9), (0.3, 0.1)]]


def drawing(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes(np.cumsum(rng.normal(0, 0.03, (n, 2)), 0) + 0.5 for n in lengths)


def records(*sketches):
    return [SketchRecord(f"p_{n}", "p", "train", sketch) for n, sketch in enumerate(sketches)]


def pairs(sketch, rendering, **augmentation):
    return PairDataset(records(sketch), [PHOTO], BOXES, rendering, Augmentation(**augmentation))


def strokes_of(sample):
    """The drawing that a sample's points tell of."""
    points = sample.points[: sample.lengths].numpy()
    return VectorSketch.from_strokes(split_strokes(points[:, :2], points[:, 2] == 1))


def test_points_are_those_of_the_drawing():
    sketches = [VectorSketch.from_strokes(STROKES), drawing([5, 4])]
    dataset = SketchDataset(records(*sketches), [PHOTO], Rendering(image_size=32, max_points=12))
    samples = [dataset[0], dataset[1]]
    expected = [[0.1, 0.2, 0], [0.5, 0.3, 0], [0.4, 0.8, 1], [0.7, 0.7, 1], [0.2, 0.9, 0], [0.3, 0.1, 1]]
    torch.testing.assert_close(samples[0].points, torch.tensor(expected + [[0.0, 0, 0]] * 6))
    assert [strokes_of(sample) for sample in samples] == sketches
    batch = default_collate(samples)
    assert batch.points.shape == (2, 12, 3)
    assert batch.points.dtype == torch.float32
    assert batch.lengths.tolist() == [6, 9]


def test_strokes_that_share_a_node_stay_strokes():
    sketch = VectorSketch.from_strokes(STROKES)
    sample = SketchDataset(records(sketch), [PHOTO], Rendering(image_size=32, max_points=12, max_strokes=1))[0]
    assert sample.mask.sum() == 1
    assert strokes_of(sample) == sketch


def test_there_are_none_unless_they_are_wanted():
    sample = pairs(VectorSketch.from_strokes(STROKES), Rendering(image_size=32))[0].sketch
    assert sample.points.shape == (0, 3)
    assert sample.lengths == 0


def test_a_long_drawing_is_thinned_and_not_cut():
    sketch = drawing([100, 1, 60, 90])
    sample = SketchDataset(records(sketch), [PHOTO], Rendering(image_size=32, max_points=40))[0]
    assert 20 < sample.lengths <= 40
    thin = strokes_of(sample)
    assert [(s[0].tolist(), s[-1].tolist()) for s in thin.strokes] == [
        (s[0].tolist(), s[-1].tolist()) for s in sketch.strokes
    ]
    for kept, stroke in zip(thin.strokes, sketch.strokes, strict=True):
        place = [stroke.tolist().index(point) for point in kept.tolist()]
        assert all(a < b for a, b in pairwise(place))  # some of its points, in its order


def test_mirroring_moves_the_points_with_the_picture():
    sketch, rendering = VectorSketch.from_strokes(STROKES), Rendering(image_size=32, max_points=8)
    plain, mirrored = pairs(sketch, rendering)[0].sketch, pairs(sketch, rendering, flip=1.0)[0].sketch
    torch.testing.assert_close(mirrored.points[:6, 0], 1 - plain.points[:6, 0])
    torch.testing.assert_close(mirrored.points[:, 1:], plain.points[:, 1:])
    assert not mirrored.points[6:].any()


@pytest.mark.parametrize(
    "augmentation",
    [{"sketch_affine": 1.0}, {"stroke_dropout": 0.5}, {"wobble": 0.02}, {"flip": 0.5, "sketch_affine": 1.0}],
    ids=str,
)
def test_the_points_draw_the_picture_whatever_the_augmentation(augmentation):
    sketch, rendering = drawing([9, 7, 8, 5]), Rendering(image_size=48, max_points=30)
    dataset = pairs(sketch, rendering, **augmentation)
    seen = set()
    for epoch in range(6):
        sample = dataset[epoch].sketch
        picture = rasterise(strokes_of(sample), 48, rendering.line_width, rendering.ink)
        assert np.array_equal(sample.image[0].numpy(), picture)
        seen.add(sample.points.numpy().tobytes())
    assert len(seen) > 3


@pytest.mark.parametrize("room", [1, -3])
def test_too_little_room_is_refused(room):
    with pytest.raises(InputError, match=r"data\.rendering\.max_points"):
        Rendering(max_points=room)
