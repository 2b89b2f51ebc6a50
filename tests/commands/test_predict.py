"""`fgsbir predict`: any sketches against any photos, by a run folder or a checkpoint."""

import csv
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import make_run, model

from fgsbir.cli import main
from fgsbir.runs.loading import load_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three photos and two sketches."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "photos").mkdir()
    (folder / "sketches").mkdir()
    for seed, name in enumerate(("a", "b", "c")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    for n in (1, 2):
        paths = f'<path d="M1 {n} L7 6"/><path d="M2 8 L6 3"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" fill="none" stroke="black">{paths}</svg>'
        (folder / "sketches" / f"{n}.svg").write_text(svg)
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", model())


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_ranking_of_any_sketches_against_any_photos(files, run, tmp_path, capsys):
    words = ["predict", str(run), "--sketches", str(files / "sketches"), "--photos", str(files / "photos")]
    assert main(words) == 0
    rows = read(capsys.readouterr().out)
    assert [row["sketch"] for row in rows] == [str(files / "sketches" / f"{n}.svg") for n in (1, 1, 1, 2, 2, 2)]
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2
    assert {row["photo"] for row in rows} == {"a.png", "b.png", "c.png"}
    for half in (rows[:3], rows[3:]):
        distances = [float(row["distance"]) for row in half]
        assert distances == sorted(distances)
    system = load_model(run)
    hits = system.rank(files / "sketches" / "2.svg", files / "photos")
    assert [row["photo"] for row in rows[3:]] == [hit.photo for hit in hits]

    out = tmp_path / "ranking.csv"
    assert main([*words, "--top", "1", "--out", str(out)]) == 0
    assert "2 sketches, 3 photos" in capsys.readouterr().out
    assert read(out.read_text()) == [rows[0], rows[3]]


def test_a_checkpoint_is_as_good_as_its_run(files, run, capsys):
    shown = []
    for path in (run, run / "checkpoints" / "best.ckpt"):
        photos = [str(path) for path in sorted((files / "photos").iterdir())]
        sketch = str(files / "sketches" / "1.svg")
        assert main(["predict", str(path), "--sketches", sketch, "--photos", *photos]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_a_broken_model_is_one_line(files, run, capsys):
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["regions.project.weight"].fill_(torch.nan)
    torch.save(content, path)
    sketch, photos = str(files / "sketches" / "1.svg"), str(files / "photos")
    assert main(["predict", str(run), "--sketches", sketch, "--photos", photos]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the model gives distances that are not finite; train it again" in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": "nowhere.ckpt"}, "nowhere.ckpt: no such file"),
        ({"--photos": "nowhere"}, "nowhere: no such photo"),
        ({"--sketches": "nowhere.svg"}, "nowhere.svg"),
        ({"--sketches": "photos"}, "it holds no sketches"),
        ({"--top": "0"}, "--top: 0 is less than 1"),
    ],
)
def test_bad_input_is_one_line(change, says, files, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    options = {"--sketches": str(files / "sketches"), "--photos": str(files / "photos"), "--out": "out.csv"} | change
    words = [word for name, value in options.items() if name != "run" for word in (name, value)]
    assert main(["predict", str(change.get("run", run)), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("command", ["predict", "search"])
def test_a_sketch_that_cannot_be_read_is_told_before_torch_is_loaded(command, files, tmp_path):
    (tmp_path / "broken.svg").write_text("<svg")
    for name in ("missing.svg", "missing.png", "broken.svg"):
        words = {
            "predict": ["nowhere", "--sketches", str(tmp_path / name), "--photos", str(files / "photos")],
            "search": ["nowhere", str(tmp_path / name)],
        }[command]
        code = f"import sys; from fgsbir.cli import main; assert main({[command, *words]}) == 2; "
        code += "sys.exit('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        (line,) = done.stderr.strip().splitlines()
        assert name in line


def test_all_sketches_that_cannot_be_read_are_counted(files, tmp_path, capsys):
    for name in ("1.svg", "2.svg"):
        (tmp_path / name).write_text("<svg")
    words = ["predict", "nowhere", "--sketches", str(tmp_path), "--photos", str(files / "photos")]
    assert main(words) == 2
    assert re.search(r"--sketches: 2 faults, first: \S*1\.svg", capsys.readouterr().err)
