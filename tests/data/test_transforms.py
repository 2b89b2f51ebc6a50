import cv2
import numpy as np
import pytest

from fgsbir.data.dataset import Rendering
from fgsbir.data.transforms import Augmentation, UnitAffine, edge_map
from fgsbir.sketch.strokes import VectorSketch


def spot(x, y, size=120):
    """A white picture with a black disc about (x, y), in unit coordinates."""
    image = np.full((size, size, 3), 255, np.uint8)
    cv2.circle(image, (round(x * size), round(y * size)), 5, (0, 0, 0), -1)
    return image


def centre_of_ink(image):
    ys, xs = np.nonzero(image[..., 0] < 128)
    return (xs.mean() + 0.5) / image.shape[1], (ys.mean() + 0.5) / image.shape[0]


@pytest.mark.parametrize(
    "affine",
    [
        UnitAffine(),
        UnitAffine.about_centre(flip=True),
        UnitAffine.about_centre(angle=20),
        UnitAffine.about_centre(scale=(0.8, 1.1), shear=0.1, shift=(0.05, -0.08)),
        UnitAffine.about_centre(angle=-10, scale=(0.9, 0.9), flip=True),
    ],
    ids=["identity", "flip", "turn", "scale", "both"],
)
@pytest.mark.parametrize("size", [64, 120, 200])
def test_pixels_boxes_and_strokes_move_together(affine, size):
    x, y = 0.4, 0.55
    ink = centre_of_ink(affine.image(spot(x, y), size))
    point = affine.sketch(VectorSketch.from_strokes([[[x, y]]])).points[0]
    box = affine.boxes(np.array([[x - 0.04, y - 0.04, x + 0.04, y + 0.04]]))[0]
    assert ink == pytest.approx(point, abs=0.012)
    assert [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] == pytest.approx(point, abs=1e-5)


def test_angle_turns_clockwise_on_the_screen():
    right_of_centre = UnitAffine.about_centre(angle=90).sketch(VectorSketch.from_strokes([[[0.9, 0.5]]]))
    assert right_of_centre.points[0] == pytest.approx([0.5, 0.9], abs=1e-6)


def test_identity_and_double_flip_keep_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    flip = UnitAffine.about_centre(flip=True)
    assert np.array_equal(UnitAffine().image(image, 50), image)
    assert np.array_equal(flip.image(image, 50), image[:, ::-1])
    assert np.array_equal(flip.after(flip).image(image, 50), image)


def test_letterbox_keeps_the_aspect_ratio_and_the_boxes_with_it():
    image = np.zeros((50, 100, 3), np.uint8)  # black on an endless border of black
    image[:, :] = 255
    cv2.rectangle(image, (20, 10), (59, 29), (0, 0, 0), -1)
    box = np.array([[0.2, 0.2, 0.6, 0.6]], dtype=np.float32)
    affine = UnitAffine.letterbox(50, 100)
    out = affine.image(image, 100)
    ys, xs = np.nonzero(out[..., 0] < 128)
    seen = [xs.min() / 100, ys.min() / 100, (xs.max() + 1) / 100, (ys.max() + 1) / 100]
    assert affine.boxes(box)[0] == pytest.approx([0.2, 0.35, 0.6, 0.55], abs=1e-6)
    assert seen == pytest.approx(affine.boxes(box)[0], abs=0.011)


def test_after_composes_right_to_left():
    first, second = UnitAffine.about_centre(angle=30), UnitAffine.about_centre(scale=(2, 0.5))
    sketch = VectorSketch.from_strokes([np.random.default_rng(0).random((5, 2))])
    both = second.after(first).sketch(sketch).points
    assert both == pytest.approx(second.sketch(first.sketch(sketch)).points, abs=1e-5)


def test_boxes_are_clipped_to_the_frame():
    assert UnitAffine.about_centre(shift=(0.5, 0)).boxes(np.array([[0.2, 0, 0.9, 1]]))[0] == pytest.approx(
        [0.7, 0, 1, 1]
    )


def test_the_default_augmentation_changes_nothing():
    rng = np.random.default_rng(0)
    sketch = VectorSketch.from_strokes([rng.random((4, 2)), rng.random((3, 2))])
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    none = Augmentation()
    for affine in none.affines(rng):
        assert affine.matrix == pytest.approx(np.eye(2, 3))
    assert none.strokes(sketch, rng) == sketch
    assert none.photo(image, rng) is image


def test_flip_mirrors_sketch_and_photo_together():
    change = Augmentation(flip=0.5)
    seen = set()
    for seed in range(20):
        sketch, photo = change.affines(np.random.default_rng(seed))
        assert np.array_equal(sketch.matrix, photo.matrix)
        seen.add(sketch.matrix[0, 0])
    assert seen == {1.0, -1.0}


def test_stroke_dropout_keeps_the_longest():
    sketch = VectorSketch.from_strokes([[[0, 0], [0.1, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0.2]]])
    kept = [Augmentation(stroke_dropout=0.9).strokes(sketch, np.random.default_rng(s)) for s in range(50)]
    assert all(s.ink.max() == pytest.approx(2**0.5) for s in kept)
    assert min(len(s) for s in kept) == 1
    assert max(len(s) for s in kept) > 1


def test_wobble_bends_by_about_its_strength():
    sketch = VectorSketch.from_strokes([np.linspace([0, 0.5], [1, 0.5], 50)])
    moves = [
        Augmentation(wobble=0.01).strokes(sketch, np.random.default_rng(s)).points - sketch.points for s in range(200)
    ]
    assert 0.006 < np.std(moves) < 0.011  # knots have 0.01, between them it is less
    assert np.abs(np.diff(moves, axis=1)).max() < 0.01  # smooth: neighbours move together


def test_grey_takes_the_colour_and_keeps_white():
    image = np.array([[[255, 255, 255], [200, 40, 90]]], dtype=np.uint8)
    grey = Augmentation(grey=1.0).photo(image, np.random.default_rng(0))
    assert (grey == grey[..., :1]).all()
    assert grey[0, 0, 0] == 255


def square(paper=255, step=155, size=96):
    """A grey square from a third to two thirds of a picture."""
    image = np.full((size, size, 3), paper, np.uint8)
    image[size // 3 : 2 * size // 3, size // 3 : 2 * size // 3] -= np.uint8(step)
    return image


def test_edges_are_thin_dark_lines_where_the_picture_changes():
    edges = edge_map(square())
    assert (edges.shape, edges.dtype) == ((96, 96, 3), np.uint8)
    assert (edges == edges[..., :1]).all()
    dark = edges[..., 0] < 200
    ys, xs = np.nonzero(dark)
    for where in (ys, xs):
        assert (where.min(), where.max()) == (pytest.approx(31.5, abs=1), pytest.approx(63.5, abs=1))
    assert not dark[35:61, 35:61].any()  # nothing inside
    middle = edges[48, :, 0]  # a row through two upright sides
    assert np.flatnonzero(middle < 255) == pytest.approx([31, 32, 63, 64], abs=1)
    assert middle.min() < 130
    assert len(np.unique(edges)) > 2  # anti-aliased


def test_edges_follow_the_contrast_of_the_picture():
    strong, weak = edge_map(square(step=200)), edge_map(square(paper=120, step=20))
    assert (np.abs(strong.astype(int) - weak) > 60).mean() < 0.01


@pytest.mark.parametrize("step", [0, 4])
def test_a_blank_picture_has_no_edges(step):
    assert (edge_map(square(200, step)) == 255).all()


def test_faint_texture_beside_strong_edges_is_left_out():
    image = square()
    image[40:56, 40:56] += np.random.default_rng(0).integers(0, 25, (16, 16, 1), dtype=np.uint8)
    assert np.array_equal(edge_map(image), edge_map(square()))


def rendered(affine=UnitAffine(), **settings):  # noqa: B008
    box = np.array([[0.0, 0.0, 1.0, 1.0], [1 / 3, 1 / 3, 2 / 3, 2 / 3]], np.float32)
    image, boxes, _ = Rendering(image_size=96, num_regions=2, **settings).photo(square(), box, affine)
    return image.numpy(), boxes


def test_photos_can_be_rendered_as_edges_in_the_ink_of_the_sketches():
    rgb, boxes = rendered()
    edges, same = rendered(photo_style="edges")
    light, _ = rendered(photo_style="edges", ink="light")
    assert np.array_equal(rgb, square().transpose(2, 0, 1))
    assert np.array_equal(edges, edge_map(square()).transpose(2, 0, 1))
    assert np.array_equal(light, 255 - edges)
    assert (boxes == same).all()


def test_edges_stay_thin_however_the_photo_is_scaled():
    larger, _ = rendered(UnitAffine.about_centre(scale=(2, 2)), photo_style="edges")
    plain, _ = rendered(photo_style="edges")
    width = [int((picture[0, 48] < 255).sum()) for picture in (plain, larger)]
    assert width[0] == width[1] <= 6  # two lines
    assert np.flatnonzero(larger[0, 48] < 255)[0] == pytest.approx(15, abs=1)
