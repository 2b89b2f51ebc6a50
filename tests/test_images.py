"""The decoder of images: every format and every kind of pixel, against values worked out by hand."""

import builtins
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from fgsbir import images
from fgsbir.errors import InputError
from fgsbir.images import FORMATS, IMAGE_SUFFIXES, MOST_PIXELS, content_type, drawing_pixels, image_size, photo_pixels

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)
LOSSLESS = {  # options by which a format keeps every pixel
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
}
LOSSY = {"JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
QUARTER_TURN = 6  # EXIF: the top is on the right side of what is stored


def encoded(image: Image.Image | np.ndarray, plugin: str, **options: object) -> bytes:
    """The content of a file; skips the test where the plugin is not installed."""
    if plugin not in images.plugins():
        pytest.skip(f"Pillow has no {plugin} here")
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, plugin, **options)
    return file.getvalue()


def png(width: int, depth: int, kind: int, row: bytes, key: bytes = b"", height: int = 1) -> bytes:
    """A PNG put together by hand: one row, and the transparent colour `key`."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    parts = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    parts += (chunk(b"tRNS", key) if key else b"") + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def grey(content: bytes) -> np.ndarray:
    """The levels of a photo that must be grey."""
    pixels = photo_pixels(content)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


# --- Formats


@pytest.mark.parametrize("plugin", LOSSLESS)
def test_a_lossless_file_gives_the_pixels_that_were_written(plugin: str, tmp_path: Path) -> None:
    content = encoded(RGB, plugin, **LOSSLESS[plugin])
    (tmp_path / "a.jpg").write_bytes(content)  # the content counts, not the suffix
    for source in (content, tmp_path / "a.jpg"):
        assert np.array_equal(photo_pixels(source), RGB)
        drawing = drawing_pixels(source)
        assert np.array_equal(drawing[..., :3], RGB)
        assert (drawing[..., 3] == 255).all()
    assert image_size(tmp_path / "a.jpg") == (20, 12)


@pytest.mark.parametrize("plugin", LOSSY)
def test_a_file_of_best_quality_gives_nearly_those_pixels(plugin: str) -> None:
    pixels = photo_pixels(encoded(RGB, plugin, **LOSSY[plugin]))
    assert np.abs(pixels.astype(int) - RGB).max() <= 6


@pytest.mark.parametrize("plugin", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_or_pages_the_first_is_read(plugin: str) -> None:
    frames = [Image.new("RGB", (20, 12), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], plugin, save_all=True, append_images=frames[1:], **LOSSLESS.get(plugin, {}))
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 3
    assert (photo_pixels(content) == (255, 0, 0)).all()


def test_a_gif_is_its_palette_and_its_hole_is_transparent() -> None:
    image = Image.new("P", (4, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1, 0, 1])
    assert photo_pixels(encoded(image, "GIF"))[0, :2].tolist() == [[10, 20, 30], [200, 100, 50]]
    content = encoded(image, "GIF", transparency=1)
    assert photo_pixels(content)[0, :2].tolist() == [[10, 20, 30], [255, 255, 255]]
    assert drawing_pixels(content)[0, :, 3].tolist() == [255, 0, 255, 0]


@pytest.mark.parametrize("plugin", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_note_of_a_turn_is_heeded_in_every_format_that_has_one(plugin: str) -> None:
    blocks = Image.fromarray(np.kron(np.array([[0, 90, 180], [60, 120, 255]], np.uint8), np.ones((16, 16), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = QUARTER_TURN
    options = {"exif": exif, **LOSSLESS.get(plugin, LOSSY.get(plugin, {}))}
    if plugin == "HEIF":  # it stores the turn as a property of its own, which its plugin takes from the image
        blocks.info["exif"] = options.pop("exif").tobytes()
    content = encoded(blocks, plugin, **options)
    for pixels in (photo_pixels(content), drawing_pixels(content)):
        assert pixels.shape[:2] == (48, 32)
        assert np.abs(pixels[8::16, 8::16, 0].astype(int) - [[60, 0], [120, 90], [255, 180]]).max() <= 3


def test_a_broken_note_turns_nothing() -> None:
    content = encoded(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert photo_pixels(content).shape == RGB.shape


# --- Depth


@pytest.mark.parametrize("plugin", ["PNG", "TIFF"])
def test_16_bits_are_divided_by_257(plugin: str) -> None:
    assert np.array_equal(grey(encoded(RAMP.astype(np.uint16) * 257, plugin)), RAMP)
    # 100 * 257 + 128 is nearer to 100, 129 more to 101; white must not clip from below.
    levels = np.array([[0, 128, 129, 25_828, 25_829, 65_535]], np.uint16)
    assert grey(encoded(levels, plugin)).tolist() == [[0, 0, 1, 100, 101, 255]]


def test_16_bits_in_both_orders_of_bytes_and_white_for_zero() -> None:
    little = encoded(RAMP.astype(np.uint16) * 257, "TIFF")
    big = encoded(Image.frombytes("I;16B", (32, 8), (RAMP.astype(">u2") * 257).tobytes()), "TIFF")
    assert (little[:2], big[:2]) == (b"II", b"MM")
    assert np.array_equal(grey(big), RAMP)
    photometric = little.index(struct.pack("<HHI", 262, 3, 1)) + 8
    inverted = little[:photometric] + b"\0" + little[photometric + 1 :]
    assert np.array_equal(grey(inverted), 255 - RAMP)


def test_12_bits_of_a_tiff_are_full_at_4095() -> None:
    # Two values a time in three bytes: 0, 4095, 2048, 1365.
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x05, 0x55])
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    content = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory
    assert grey(content).tolist() == [[0, 255, 128, 85]]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([[0, 51, 255]], np.int32), [0, 51, 255]),  # 8 bits
        (np.array([[0, 51, 200]], np.int32), [0, 51, 200]),
        (np.array([[0, 257, 65_535]], np.int32), [0, 1, 255]),  # 16 bits
        (np.array([[-100, -60, 100]], np.int32), [0, 51, 255]),  # neither: from least to largest
        (np.array([[0, 400_000, 2_000_000]], np.int32), [0, 51, 255]),
        (np.array([[0.0, 0.2, 1.0]], np.float32), [0, 51, 255]),  # fractions
        (np.array([[0.0, 0.2, 0.6]], np.float32), [0, 51, 153]),
        (np.array([[0.0, 51.0, 200.0]], np.float32), [0, 51, 200]),
        (np.array([[-1.0, 0.2, 1.0]], np.float32), [0, 153, 255]),
        (np.array([[np.nan, 0.2, np.inf]], np.float32), [255, 51, 255]),
        (np.array([[np.nan, np.nan, np.nan]], np.float32), [255, 255, 255]),
        (np.array([[-7.0, -7.0, -7.0]], np.float32), [0, 0, 0]),
        (np.array([[1e30, 1e30, 1e30]], np.float32), [0, 0, 0]),
    ],
)
def test_32_bits_and_fractions_are_scaled_by_their_range(values: np.ndarray, levels: list[int]) -> None:
    assert grey(encoded(values, "TIFF")).tolist() == [levels]
    assert grey(encoded(values, "TIFF", compression="tiff_lzw")).tolist() == [levels]
    assert photo_pixels(Image.fromarray(values))[0, :, 0].tolist() == levels


def test_unsigned_32_bits_do_not_turn_negative() -> None:
    content = encoded(np.array([[0, 2**31 - 1, -1]], np.int32), "TIFF")  # -1 is 2 ** 32 - 1
    kind = content.index(struct.pack("<HHI", 339, 3, 1)) + 8
    assert grey(content[:kind] + b"\1" + content[kind + 1 :]).tolist() == [[0, 127, 255]]


def test_16_bits_of_colour() -> None:
    values = (0x8123, 0x4567, 0x89AB, 0x4000, 0x4000, 0x4000)
    content = png(2, 16, 2, struct.pack(">6H", *values))
    assert photo_pixels(content).tolist() == [[[0x81, 0x45, 0x89], [0x40, 0x40, 0x40]]]
    with_key = png(2, 16, 2, struct.pack(">6H", *values), struct.pack(">3H", *values[:3]))
    assert photo_pixels(with_key).tolist() == [[[255, 255, 255], [0x40, 0x40, 0x40]]]


# --- Transparency


def test_grey_with_alpha() -> None:
    image = Image.fromarray(np.array([[[100, 255], [100, 0], [100, 51]]], np.uint8))
    assert image.mode == "LA"
    for plugin in ("PNG", "TIFF"):
        assert grey(encoded(image, plugin)).tolist() == [[100, 255, 224]]  # 100 * 0.2 + 255 * 0.8
        assert drawing_pixels(encoded(image, plugin))[0, :, 3].tolist() == [255, 0, 51]


def test_a_palette_with_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    image.putdata([0, 1, 2])
    pixels = drawing_pixels(encoded(image, "PNG", transparency=bytes([255, 51, 0])))
    assert pixels.tolist() == [[[10, 20, 30, 255], [200, 100, 50, 51], [0, 0, 0, 0]]]
    assert drawing_pixels(encoded(image.convert("PA"), "TIFF"))[0, 1].tolist() == [200, 100, 50, 255]


@pytest.mark.parametrize(
    ("depth", "row", "key", "levels", "alpha"),
    [
        (1, b"\x80", 1, [255, 0], [0, 255]),
        (2, b"\x70", 1, [85, 255], [0, 255]),
        (4, b"\xf3", 15, [255, 51], [0, 255]),
        (8, b"\x42\x07", 0x42, [0x42, 7], [0, 255]),
        (16, b"\x42\x07\x07\x07", 0x4207, [0x42, 7], [0, 255]),
    ],
)
def test_the_transparent_grey_of_a_png_at_every_depth(
    depth: int, row: bytes, key: int, levels: list[int], alpha: list[int]
) -> None:
    pixels = drawing_pixels(png(2, depth, 0, row, struct.pack(">H", key)))
    assert pixels[0, :, 0].tolist() == levels
    assert pixels[0, :, 3].tolist() == alpha


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_colours_that_were_multiplied_by_alpha(mode: str) -> None:
    image = Image.new(f"{mode[:-1]}A", (1, 1), (200, 200, 200, 51) if mode == "RGBa" else (200, 51))
    assert np.abs(photo_pixels(image.convert(mode))[0, 0].astype(int) - 244).max() <= 2  # 200 * 0.2 + 255 * 0.8


# --- Colour


def test_cmyk_of_an_adobe_jpeg_and_of_a_tiff() -> None:
    # Half cyan, a quarter black: red is 255 * (1 - 0.5) * (1 - 0.25), green and blue 255 * (1 - 0.25).
    image = Image.new("CMYK", (16, 16), (128, 0, 0, 64))
    for content in (encoded(image, "JPEG", quality=100), encoded(image, "TIFF")):
        assert np.abs(photo_pixels(content)[8, 8].astype(int) - [95, 191, 191]).max() <= 2


def test_ycck_of_an_adobe_jpeg() -> None:
    # Pillow writes no YCCK, but the same bytes are YCCK if the Adobe marker says so: its last byte is the transform.
    content = encoded(Image.new("CMYK", (16, 16), (55, 127, 127, 64)), "JPEG", quality=100)
    transform = content.index(b"Adobe") + 11
    assert content[transform] == 0
    ycck = content[:transform] + b"\2" + content[transform + 1 :]
    # The file holds 255 less each value: Y 200, Cb and Cr 128, K 191. Y is that of C, M, Y = 200, and black is 64.
    assert np.abs(photo_pixels(ycck)[8, 8].astype(int) - round((255 - 200) * 191 / 255)).max() <= 2


def test_lab_and_other_spaces() -> None:
    white, red = Image.new("LAB", (1, 1), (255, 128, 128)), Image.new("LAB", (1, 1), (138, 209, 198))
    assert photo_pixels(encoded(white, "TIFF")).min() >= 253
    assert np.abs(photo_pixels(encoded(red, "TIFF"))[0, 0].astype(int) - [255, 0, 0]).max() <= 6  # L 54, a 81, b 70
    assert photo_pixels(Image.new("HSV", (1, 1), (85, 255, 255)))[0, 0].tolist() == pytest.approx([0, 255, 0], abs=3)
    assert photo_pixels(Image.new("YCbCr", (1, 1), (76, 85, 255)))[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)
    bits = Image.fromarray(np.array([[True, False]])).convert("1")
    assert photo_pixels(encoded(bits, "TIFF"))[0].tolist() == [[255, 255, 255], [0, 0, 0]]


def swapped_profile() -> bytes:
    """A profile whose red is sRGB's green, and the reverse: the two tags change places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        a, b = profile.index(name), profile.index(other)
        profile[a : a + 4], profile[b : b + 4] = other, name
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "tRGB".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_profile_is_applied_and_srgb_is_left_alone(mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    swapped = photo_pixels(encoded(image, "PNG", icc_profile=swapped_profile()))
    assert np.abs(swapped.astype(int) - RGB[..., [1, 0, 2]]).max() <= 3
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile"):
        assert np.array_equal(photo_pixels(encoded(image, "PNG", icc_profile=profile)), RGB)


def test_an_image_of_pil_stays_as_it_is() -> None:
    image = Image.fromarray(RGB)
    image.info["icc_profile"] = swapped_profile()
    exif = Image.Exif()
    exif[0x0112] = QUARTER_TURN
    image.info["exif"] = exif.tobytes()
    assert photo_pixels(image).shape == (20, 12, 3)
    assert np.array_equal(np.asarray(image), RGB)


# --- Size


def test_a_large_drawing_is_reduced_by_means_and_keeps_its_thin_lines() -> None:
    page = np.full((600, 4000), 255, np.uint8)
    page[100] = 0  # one pixel thin: a mean of three rows, of which one is black
    page[:, 1002:1005] = 0
    drawing = drawing_pixels(encoded(page, "PNG"))
    assert drawing.shape == (200, 1334, 4)
    assert np.abs(drawing[33, :300, 0].astype(int) - 170).max() <= 1
    assert (drawing[100:, 334, 0] == 0).all()
    assert (drawing[100:, 335, 0] == 255).all()
    small = encoded(page[:, :2047], "PNG")
    assert drawing_pixels(small).shape == (600, 2047, 4)
    assert photo_pixels(encoded(page, "PNG")).shape == (600, 4000, 3)


def test_white_ink_on_transparency_stays_white_when_it_is_reduced() -> None:
    page = np.zeros((300, 3000, 4), np.uint8)
    page[100:104] = 255
    drawing = drawing_pixels(encoded(page, "PNG"))
    assert drawing.shape == (150, 1500, 4)
    assert (drawing[50:52] == 255).all()
    assert not drawing[:50, :, 3].any()


@pytest.mark.parametrize("width", [MOST_PIXELS // 8000 + 1, 60_000])
def test_too_many_pixels_are_refused_by_the_header(width: int) -> None:
    content = png(width, 8, 2, b"", height=8000)
    for read in (photo_pixels, drawing_pixels):
        with pytest.raises(InputError, match=r"pixels.*; give an image of at most 50 million pixels") as caught:
            read(content, "a")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="20 x 12 pixels; give an image of at most 0 million"):
        drawing_pixels(encoded(RGB, "PNG"), "a", max_pixels=239)
    assert len(drawing_pixels(encoded(RGB, "PNG"), "a", max_pixels=240)) == 12


# --- Refusals


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript document"),
        (b"8BPS\0\1", "a Photoshop document (PSD)"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"\xef\xbb\xbf<html lang='en'>", "an HTML page"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        ("<svg/>".encode("utf-16"), "an SVG drawing"),
        (b"<?xml version='1.0'?><plist/>", "an XML document"),
        (b"sketch,photo\n1,2\n", "text"),
        (b"\0\1\2\3", "no known type of file"),
        (b"PK\3\4", "a ZIP archive or office document"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw file"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file"),
        (b"RIFF\0\0\0\0WAVE", "a sound"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the file itself"),
        (b"P6\n2 2\n255\n", "a Netpbm image"),
        (b"SIMPLE  =                    T", "a FITS image"),
    ],
)
def test_a_refusal_names_what_it_got(content: bytes, kind: str, tmp_path: Path) -> None:
    assert content_type(content) == kind
    (tmp_path / "a.png").write_bytes(content)
    for read in (photo_pixels, drawing_pixels):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "a.png")
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'a.png'}: not a readable image: it is {kind}; give one of PNG, JPEG,")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_a_file_that_was_cut_off_is_named_by_its_format(format_: images.Format) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(noise, format_.plugin)
    for part in (20, len(content) // 2):
        with pytest.raises(InputError, match=rf"photo: not a readable image: it is an? .*\b{format_.name}\b"):
            photo_pixels(content[:part], "photo")
    if format_.name in ("PNG", "JPEG", "BMP", "GIF", "TIFF"):
        with pytest.raises(InputError, match=f"a truncated {format_.name} "):
            photo_pixels(content[: len(content) // 2], "photo")


def test_damage_of_any_kind_is_one_line() -> None:
    rng = np.random.default_rng(0)
    refusals = []
    for format_ in FORMATS:
        if format_.plugin not in images.plugins():
            continue
        whole = np.frombuffer(encoded(RGB, format_.plugin), np.uint8)
        for _ in range(60):
            content = whole.copy()
            spots = rng.integers(0, len(content), rng.integers(1, 8))
            content[spots] = rng.integers(0, 256, len(spots))
            try:
                assert photo_pixels(content.tobytes(), "a").shape[2] == 3
            except InputError as error:
                refusals.append(str(error))
    assert len(refusals) > 50
    assert not any("\n" in refusal for refusal in refusals)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for read, noun in ((photo_pixels, "photo"), (drawing_pixels, "sketch")):
        with pytest.raises(InputError, match=rf"none\.png: no such {noun}; check the path"):
            read(tmp_path / "none.png")
        with pytest.raises(InputError, match=f"{tmp_path}: Is a directory; check the path"):
            read(tmp_path)


def test_the_thumbnail_of_a_cameras_raw_file_is_not_taken_for_the_photo() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[50706] = b"\1\4\0\0"  # DNGVersion
    tags.tagtype[50706] = 1
    with pytest.raises(InputError, match="a camera's raw file; export it"):
        photo_pixels(encoded(RGB, "TIFF", tiffinfo=tags), "a")


@pytest.mark.parametrize(("brand", "fix"), [(b"heic", r"fgsbir\[heic\]"), (b"avif", "pillow>=11.3")])
def test_a_format_whose_package_is_missing_names_it(brand: bytes, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "pillow_heif":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(images.features, "check", lambda name: name != "avif")
    images.plugins.cache_clear()
    try:
        with pytest.raises(InputError, match=fix):
            photo_pixels(b"\0\0\0\x18ftyp" + brand + bytes(12), "a")
    finally:
        images.plugins.cache_clear()


# --- The list


def test_the_list_of_formats_is_consistent() -> None:
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
    known = Image.registered_extensions()
    for format_ in FORMATS:
        if format_.plugin in images.plugins():
            assert {known[suffix] for suffix in format_.suffixes} == {format_.plugin}
            assert Image.MIME[format_.plugin].partition("/")[0] == "image"
