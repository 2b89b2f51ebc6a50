"""Records of photos and sketches."""

from pathlib import Path

import numpy as np
from PIL import Image

from fgsbir.data.records import PhotoRecord


def test_a_photo_is_read_as_its_camera_was_held(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:10, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right side of what is stored
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    read = PhotoRecord("a", "test", tmp_path / "turned.jpg").read()
    assert read.shape == (40, 20, 3)
    assert np.abs(read.astype(int) - np.rot90(pixels, -1)).mean() < 5
