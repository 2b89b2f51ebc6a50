"""The public names, and what a notebook does with them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from lightning import Trainer

import fgsbir


def script(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_is_cheap():
    heavy = ("torch", "lightning", "numpy", "timm", "cv2", "jsonargparse")
    code = "import sys, time; start = time.perf_counter(); import fgsbir; taken = time.perf_counter() - start\n"
    code += f"print(taken, [name for name in {heavy} if name in sys.modules], 'Proposed' in dir(fgsbir))"
    taken, rest = min((script(code).split(" ", 1) for _ in range(3)), key=lambda told: float(told[0]))
    assert rest == "[] True"
    assert float(taken) < 0.1


def test_every_public_name_is_there():
    for name in fgsbir.__all__:
        assert getattr(fgsbir, name) is not None, name
    assert set(fgsbir.__all__) <= set(dir(fgsbir))
    assert {cls.__name__ for cls in fgsbir.SYSTEMS.values()} <= set(fgsbir.__all__)
    assert fgsbir.SwireData is not fgsbir.Swire
    with pytest.raises(AttributeError, match="no attribute 'Propsed'"):
        _ = fgsbir.Propsed


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse(Path(fgsbir.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.asname or alias.name: (node.module, alias.name) for node in block.body for alias in node.names}
    assert told == fgsbir._HOMES
    assert (Path(fgsbir.__file__).parent / "py.typed").exists()


def test_a_model_is_trained_tested_and_asked_in_five_lines():
    source = fgsbir.Embedded(train=6, val=2, test=4, sketches_per_photo=2, size=64)
    rendering = fgsbir.Rendering(image_size=48, num_regions=4, max_strokes=6)
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}

    data = fgsbir.SketchPhotoDataModule(source, rendering=rendering, batch_size=4, num_workers=0)
    model = fgsbir.BSiamese(fgsbir.Backbone("test_efficientnet", level=2))
    Trainer(max_epochs=1, **options).fit(model, data)
    scores = Trainer(**options).test(model, data, verbose=False)[0]
    hits = model.rank(data.records.split_sketches("test")[0].sketch, data.records.split_photos("test"), top=3)

    assert 0 <= scores["test/acc1"] <= 100
    assert len(hits) == 3
    assert hits[0].distance <= hits[1].distance <= hits[2].distance
    assert {hit.photo for hit in hits} <= set(data.records.photos)
