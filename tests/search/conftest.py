"""A tiny run and photos to index."""

import numpy as np
import pytest
from PIL import Image
from tiny_runs import make_run, model


@pytest.fixture(autouse=True)
def shared_regions(tmp_path_factory, monkeypatch):
    """The regions of the same few photos are searched for once."""
    monkeypatch.setenv("FGSBIR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def run_path(tmp_path_factory):
    """A run of Proposed that mixes the distances of nodes and of global embeddings."""
    return make_run(tmp_path_factory.mktemp("runs") / "proposed", model())


@pytest.fixture
def photos(tmp_path):
    """A folder of 13 photos of several shapes, one of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(13):
        height, width = rng.integers(40, 90, 2)
        pixels = np.full((height, width, 3), 200, np.uint8)
        y, x = rng.integers(5, 20, 2)
        pixels[y : y + 18, x : x + 20] = rng.integers(0, 255, 3)
        Image.fromarray(pixels).save(folder / ("more" if i == 12 else ".") / f"p{i:02}.png")
    return folder
