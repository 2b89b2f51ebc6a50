"""The command line, less the trainings."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fgsbir import __version__
from fgsbir.cli import main

FRACTIONS = ["--source.val_fraction", "0", "--source.test_fraction", "0"]
EMBEDDED = {"train": 3, "val": 2, "test": 1, "sketches_per_photo": 2, "size": 48}


def folder(path, photos=("stool", "sofa"), sketches=("stool_1", "stool_2", "sofa")):
    """Photos and sketches as a user would lay them out, and the words that name them."""
    for name in ("photos", "sketches"):
        (path / name).mkdir(parents=True)
    for seed, name in enumerate(photos):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path / "photos" / f"{name}.png")
    for n, name in enumerate(sketches):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="M10 10 L{50 + n} 60"/>'
        (path / "sketches" / f"{name}.svg").write_text(svg + '<path d="M20 80 L90 30"/></svg>')
    return ["--source", "Folder", "--source.path", str(path), *FRACTIONS]


def embedded():
    return ["--source", "Embedded"] + [w for k, v in EMBEDDED.items() for w in (f"--source.{k}", str(v))]


def row(text, name):
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"{name} "))


def only_error(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    return line


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_command(word, capsys):
    assert main([word]) == 0
    out = capsys.readouterr().out
    for command in (
        "fit",
        "test",
        "validate",
        "run",
        "sweep",
        "pretrain",
        "data",
        "report",
        "results",
        "trees",
        "on-the-fly",
        "index",
        "search",
        "serve",
        "dashboard",
        "list",
    ):
        assert f"fgsbir {command} " in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_an_unknown_command_is_refused(capsys):
    assert main(["fitt"]) == 2
    assert "fitt" in only_error(capsys)


def test_help_does_not_wait_for_torch():
    code = "import sys; from fgsbir.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_check_counts_a_folder(tmp_path, capsys):
    assert main(["data", "check", *folder(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-3:] == [
        "mine: 3 sketches, 2 photos, 0 errors",
        "not checked: counts: none are published for mine",
        "not checked: regions: SelectiveSearch computes them from the photos, there is no file to read",
    ]


def test_check_names_a_broken_photo(tmp_path, capsys):
    words = folder(tmp_path / "mine")
    (tmp_path / "mine" / "photos" / "sofa.png").write_bytes(b"no image")
    assert main(["data", "check", *words]) == 2
    captured = capsys.readouterr()
    assert "sofa.png" in captured.out
    assert "mine: 3 sketches, 2 photos, 1 errors" in captured.out
    assert len(captured.err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["stats", "show"])
def test_a_sketch_without_photo_is_one_line(command, tmp_path, capsys):
    words = folder(tmp_path / "mine", sketches=("stool", "lamp"))
    assert main(["data", command, *words]) == 2
    captured = capsys.readouterr()
    assert "lamp.svg" in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_stats_of_a_folder(tmp_path, capsys):
    assert main(["data", "stats", *folder(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert row(out, "sketches")[:3] == ["3", "0", "0"]
    assert row(out, "photos")[:3] == ["2", "0", "0"]
    assert "2 of 30x40" in out


def test_stats_and_check_of_the_embedded_data(capsys):
    assert main(["data", "stats", *embedded()]) == 0
    out = capsys.readouterr().out
    assert row(out, "sketches") == ["6", "4", "2"]
    assert row(out, "photos") == ["3", "2", "1"]
    assert main(["data", "check", *embedded()]) == 0
    assert "12 sketches, 6 photos, 0 errors" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["folder", "embedded"])
def test_show_writes_a_sheet_with_a_row_a_pair(source, tmp_path, capsys):
    words = folder(tmp_path / "mine") if source == "folder" else embedded()
    heights = []
    for count in (1, 2):
        out = tmp_path / f"{count}.png"
        assert main(["data", "show", *words, "--out", str(out), "--count", str(count)]) == 0
        assert str(out) in capsys.readouterr().out
        with Image.open(out) as sheet:
            assert sheet.format == "PNG"
            assert len(np.unique(np.asarray(sheet))) > 10  # something is drawn
            heights.append(sheet.size)
    assert heights[0][0] == heights[1][0] > 4 * 200
    assert heights[1][1] > 1.8 * heights[0][1]


@pytest.mark.parametrize("words", [["look"], ["check"], ["check", "--source", "NoSuchSource"]], ids=str)
def test_bad_words_after_data_are_refused(words, capsys):
    assert main(["data", *words]) == 2
    assert only_error(capsys)
