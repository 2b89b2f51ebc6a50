"""HTML that needs no other file: the environment of the templates, and images inside the page."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
import numpy.typing as npt
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

UInt8Array = npt.NDArray[np.uint8]


def templates(*packages: str) -> Environment:
    """The HTML templates; they escape what they are given, and a name that is missing is an error.

    Args:
        packages: packages whose `templates` folder is searched before the one here, e.g. "fgsbir.report".
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "fgsbir.visualization")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(image: UInt8Array, kind: Literal["JPEG", "PNG"] = "JPEG") -> str:
    """An image, `(H, W, 3)` or `(H, W, 4)` uint8, as a `data:` URI that needs no other file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, quality=85, optimize=True)
    return encoded_uri(buffer.getvalue(), kind)


def encoded_uri(content: bytes, kind: Literal["JPEG", "PNG"] = "JPEG") -> str:
    """The content of an image file as a `data:` URI."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"
