"""Image files: one list of formats and one decoder, for photos and for sketches that are images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from fgsbir.errors import InputError

# What Pillow warns of, size and damage, is refused here in one line or does no harm (odd metadata).
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]


class Format(NamedTuple):
    """A format of image files.

    Attributes:
        name: its name in messages.
        suffixes: suffixes of its files, in lower case.
        media: its Content-Type.
        plugin: its name in Pillow.
    """

    name: str
    suffixes: tuple[str, ...]
    media: str
    plugin: str


FORMATS = (
    Format("PNG", (".png",), "image/png", "PNG"),
    Format("JPEG", (".jpg", ".jpeg"), "image/jpeg", "JPEG"),
    Format("WebP", (".webp",), "image/webp", "WEBP"),
    Format("BMP", (".bmp",), "image/bmp", "BMP"),
    Format("GIF", (".gif",), "image/gif", "GIF"),
    Format("TIFF", (".tif", ".tiff"), "image/tiff", "TIFF"),
    Format("AVIF", (".avif",), "image/avif", "AVIF"),
    Format("HEIC", (".heic", ".heif"), "image/heic", "HEIF"),
)
"""Formats of photos and of sketches that are images. A file may have the suffix of another one: its content counts."""
IMAGE_SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)
"""Suffixes of image files, in lower case."""
FORMAT_NAMES = ", ".join(format_.name for format_ in FORMATS)
PHOTO_HELP = f"{FORMAT_NAMES} ({', '.join(IMAGE_SUFFIXES)})"
"""Formats of photos, for help texts."""
MOST_PIXELS = 48 * 2**20
"""Most pixels of an image, e.g. 8192 x 6144: any format is decoded in some 800 MB, WebP being the most expensive."""

_REDUCED = 1024  # pixels of the longer side that a drawing keeps at least
_STRIP = 2**20  # pixels that are converted at a time
_WHITE_IS_ZERO, _TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES = 0, 258, 262, 339
_TIFF_SUBFILE, _TIFF_SUB_IFDS, _TIFF_DNG = 254, 330, 50706

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"BM": "a BMP",
    b"GIF8": "a GIF",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"II+\x00": "a TIFF",
    b"MM\x00+": "a TIFF",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"\xc5\xd0\xd3\xc6": "a PostScript document",
    b"8BPS": "a Photoshop document (PSD)",
    b"gimp xcf": "a GIMP document (XCF)",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\x00\x00\x01\x00": "an icon (ICO)",
    b"\x76\x2f\x31\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance image (HDR)",
    b"SIMPLE  =": "a FITS image",
    b"DDS ": "a DirectDraw surface (DDS)",
    b"qoif": "a QOI image",
    **{f"P{kind}{space}".encode(): "a Netpbm image" for kind in range(1, 8) for space in "\n\r\t "},
    b"PK\x03\x04": "a ZIP archive or office document",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "a gzip file",
    b"\x1a\x45\xdf\xa3": "a video",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}
_BRANDS = dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx"), "a HEIC")
_BRANDS |= {"avif": "an AVIF", "avis": "an AVIF", "crx ": "a camera's raw file"}


def photo_pixels(source: Path | bytes | Image.Image, where: object = "") -> Pixels:
    """A photo as `(H, W, 3)` uint8 RGB, upright, transparency on white.

    Of an animation it is the first frame, of a TIFF the first page. The camera's note of its turn is heeded, and
    colours are turned into sRGB where the file has another profile. Grey of more than 8 bits is scaled: values up to
    255 are 8 bits, up to 65,535 they are 16 bits (divided by 257), fractions in [0, 1] count in 255ths, and any others
    are spread from least to largest. What is no number is white.

    Args:
        source: file, its content, or an image of PIL, which stays as it is.
        where: name of the source in errors; by default its path, or "image".

    Raises:
        InputError: if it is missing, damaged, of another format (the message says which) or of more than `MOST_PIXELS`.
    """
    if isinstance(source, Path | bytes):
        with _decoded(source, where, "photo", MOST_PIXELS) as image:
            return _on_white(image)
    with _refusing(where or "image", "image"):
        return _on_white(_plain(_upright(source.copy())))


def drawing_pixels(source: Path | bytes, where: object = "", max_pixels: int = MOST_PIXELS) -> Pixels:
    """A drawing as `(H, W, 4)` uint8 RGBA, upright, transparency kept; see `photo_pixels`.

    A large one is reduced by the mean of squares of pixels, to a longer side of 1,024 to 2,047.

    Args:
        source: file, or its content.
        where: name of the source in errors; by default its path, or "image".
        max_pixels: largest number of pixels.

    Raises:
        InputError: if it is missing, damaged, of another format (the message says which) or of more than `max_pixels`.
    """
    with _decoded(source, where, "sketch", min(max_pixels, MOST_PIXELS)) as image:
        factor = max(image.size) // _REDUCED
        return np.array((image.reduce(factor) if factor > 1 else image).convert("RGBA"))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image in pixels, as its header says, before it is turned.

    Raises:
        InputError: if it is missing, of another format, or its header is damaged.
    """
    with _opened(path, path, "photo") as (image, _):
        return image.size


def content_type(head: bytes) -> str:
    """What a file is, with an article, by its first kilobyte: "a JPEG", "a PDF document", "text".

    >>> content_type(b"%PDF-1.7"), content_type(b" <svg xmlns='http://www.w3.org/2000/svg'>")
    ('a PDF document', 'an SVG drawing')
    """
    if not head:
        return "empty"
    if head[8:10] == b"CR" and head.startswith(b"II*"):
        return "a camera's raw file"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "a WebP", b"AVI ": "a video", b"WAVE": "a sound"}.get(head[8:12], "a RIFF file")
    if head[4:8] == b"ftyp":  # brands follow: the major one, its version, and those that it is compatible with
        end = int.from_bytes(head[:4], "big")
        brands = (head[at : at + 4].decode("latin-1") for at in range(8, min(end, len(head)), 4))
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "a video")
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", "replace").lower()
    text = text.removeprefix("\xef\xbb\xbf").lstrip()
    if "<svg" in text and text.startswith("<"):
        return "an SVG drawing"
    if text.startswith(("<!doctype html", "<html")) or ("<html" in text and text.startswith("<")):
        return "an HTML page"
    if text.startswith("<?xml"):
        return "an XML document"
    if any(ord(c) < 32 and c not in "\t\n\r\f" for c in text):
        return "no known type of file"
    return "text"


@cache
def plugins() -> tuple[str, ...]:
    """The plugins of Pillow that may run: those of `FORMATS` that are installed."""
    Image.init()
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener(thumbnails=False)
    return tuple(format_.plugin for format_ in FORMATS if format_.plugin in Image.OPEN)


def _require_plugin(kind: str, where: object) -> None:
    """Refuses HEIC and AVIF where they cannot be read."""
    if kind == "a HEIC" and "HEIF" not in plugins():
        raise InputError(where, "it is a HEIC, which pillow-heif reads", "pip install 'fgsbir[heic]'")
    if kind == "an AVIF" and not ("avif" in features.modules and features.check("avif")):
        raise InputError(where, "it is an AVIF, which this Pillow does not read", "pip install 'pillow>=11.3'")


@contextmanager
def _refusing(where: object, kind: str) -> Iterator[None]:
    """Turns whatever a plugin raises for a damaged image, which can be anything, into one line."""
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError:
        ours = kind.partition(" ")[2] in FORMAT_NAMES.split(", ")
        problem = f"not a readable image: it is {kind}{' that is damaged or of a rare kind' if ours else ''}"
        raise InputError(where, problem, f"give one of {FORMAT_NAMES}") from None
    except Image.DecompressionBombError as error:
        fix = f"give an image of at most {MOST_PIXELS / 1e6:.0f} million pixels"
        raise InputError(where, f"it has too many pixels ({error})", fix) from None
    except MemoryError:
        raise InputError(where, "it takes too much memory to read", "make it smaller") from None
    except Exception as error:
        state = "truncated" if "truncated" in str(error).lower() else "damaged"
        problem = f"not a readable image: it is a {state} {kind.partition(' ')[2] or kind} ({error})"
        raise InputError(where, problem, "replace the file") from error


@contextmanager
def _opened(source: Path | bytes, where: object, noun: str) -> Iterator[tuple[Image.Image, bytes]]:
    """An image of which only the header was read, and its first kilobyte."""
    try:
        file: Any = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        head = file.read(1024)
        file.seek(0)
    except FileNotFoundError:
        raise InputError(where, f"no such {noun}", "check the path") from None
    except OSError as error:
        raise InputError(where, error.strerror or "cannot be read", "check the path and its permissions") from None
    with file:
        kind = content_type(head)
        _require_plugin(kind, where)
        with _refusing(where, kind):
            image = Image.open(file, formats=plugins())
            if _is_raw(image):
                raise InputError(where, "not a readable image: it is a camera's raw file", "export it as JPEG or TIFF")
            yield image, head


@contextmanager
def _decoded(source: Path | bytes, where: object, noun: str, most: int) -> Iterator[Image.Image]:
    """An image, upright, in mode L, LA, RGB or RGBA."""
    where = where or (source if isinstance(source, Path) else "image")
    with _opened(source, where, noun) as (image, head):
        if image.width * image.height > most:
            problem = f"it has {image.width} x {image.height} pixels"
            raise InputError(where, problem, f"give an image of at most {most / 1e6:.0f} million pixels")
        if image.format == "PNG":
            _scale_key(image, head[24])
        image.load()
        if getattr(image, "fp", None) is not None:
            image.fp.close()  # type: ignore[attr-defined]  # Pillow's WebP keeps all pixels there a second time
        yield _plain(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """The image itself, turned as the camera notes; notes that cannot be read or written again turn nothing else."""
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _is_raw(image: Image.Image) -> bool:
    """Whether a TIFF is a camera's raw file, whose first page is a thumbnail."""
    tags = getattr(image, "tag_v2", {})
    return _TIFF_DNG in tags or (bool(tags.get(_TIFF_SUBFILE, 0) & 1) and _TIFF_SUB_IFDS in tags)


def _scale_key(image: Image.Image, depth: int) -> None:
    """Brings the transparent colour of a PNG from its own depth to the 8 bits that Pillow makes of its pixels."""
    key = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(key, int):
        image.info["transparency"] = min(255, key * 255 // (2**depth - 1))  # some releases scale that of one bit
    elif image.mode == "RGB" and isinstance(key, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _plain(image: Image.Image) -> Image.Image:
    """An image in mode L, LA, RGB or RGBA, in sRGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    image = _in_srgb(image)
    if image.mode in ("La", "RGBa"):
        return image.convert(image.mode.upper())
    if image.mode in ("LA", "RGBA"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as L, or as LA if a value is transparent; `photo_pixels` says how it is scaled."""
    tags = getattr(image, "tag_v2", {})
    strips = [(rows, np.asarray(strip)) for rows, strip in _strips(image)]
    if image.mode == "I" and tags and tags.get(_TIFF_SAMPLES, (1,)) == (1,):  # Pillow takes 32 bits for signed
        strips = [(rows, strip.view(np.uint32)) for rows, strip in strips]
    low, high = _range(strip for _, strip in strips)
    if tags.get(_TIFF_BITS) == (12,):
        low, high = 0, 4095
    key = image.info.get("transparency")
    inverted = tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO  # Pillow heeds it up to 8 bits
    bands = np.full((image.height, image.width, 1 if key is None else 2), 255, np.uint8)
    for rows, strip in strips:
        levels = np.rint((strip.astype(np.float64) - low) / (high - low) * 255).clip(0, 255)
        bands[rows, :, 0] = np.where(np.isfinite(strip), 255 - levels if inverted else levels, 255)
        if key is not None:
            bands[rows, :, 1] = np.where(strip == key, 0, 255)
    return Image.fromarray(bands[..., 0] if key is None else bands)


def _range(strips: Iterator[npt.NDArray[Any]]) -> tuple[float, float]:
    """The values that become black and white."""
    low, high, whole = np.inf, -np.inf, True
    for strip in strips:
        whole = whole and strip.dtype.kind != "f"
        finite = strip[np.isfinite(strip)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        return 0, 1
    if low >= 0:
        for top in (255, 65535) if whole else (1, 255, 65535):
            if high <= top:
                return 0, top
    return low, high if high > low else np.inf  # one value is black


def _in_srgb(image: Image.Image) -> Image.Image:
    """An image in colour with its profile applied; a profile that is sRGB or cannot be used is passed over."""
    profile: Any = image.info.get("icc_profile")
    if image.mode == "LAB":
        profile = ImageCms.createProfile("LAB")
    elif not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        if isinstance(profile, bytes):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" in ImageCms.getProfileDescription(profile).lower():
                return image
        mode = image.mode if image.mode == "RGBA" else "RGB"
        there = mode == image.mode
        turned = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode=mode, inPlace=there
        )
        return image if there or turned is None else turned
    except (ImageCms.PyCMSError, OSError):
        return image


def _on_white(image: Image.Image) -> Pixels:
    """`(H, W, 3)` uint8 RGB of an image in mode L, LA, RGB or RGBA, without a second image of its size."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        if "A" in strip.getbands() and strip.getchannel("A").getextrema() != (255, 255):
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip.convert("RGBA"))
        pixels[rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Rows of an image, a million pixels at a time."""
    step = max(1, _STRIP // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))
