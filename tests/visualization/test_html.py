"""Images inside a page, and templates of several packages."""

import base64
import io

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from fgsbir.visualization.html import data_uri, templates


def test_data_uri_gives_the_pixels_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    head, code = data_uri(image, "PNG").split(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))), image)


def test_templates_of_a_package_stand_beside_those_of_drawings() -> None:
    engine = templates("fgsbir.report")
    assert {"report.html.j2", "hierarchy.html.j2", "table.html.j2"} <= set(engine.list_templates())
    assert "report.html.j2" not in templates().list_templates()


def test_templates_escape_and_refuse_missing_names() -> None:
    engine = templates()
    assert engine.from_string("{{ name }}").render(name="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        engine.from_string("{{ name }}").render()
