"""The command line, less the trainings."""

import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from fgsbir import __version__
from fgsbir.cli import main
from fgsbir.images import IMAGE_SUFFIXES

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
        svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" fill="none" stroke="black">'
        svg += f'<path d="M10 10 L{50 + n} 60"/>'
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


def test_check_lists_every_fault_and_says_what_it_left_out(tmp_path, capsys):
    words = folder(tmp_path / "mine", sketches=("stool_1", "stool_2", "sofa", "lamp"))
    (tmp_path / "mine" / "photos" / "sofa.png").write_bytes(b"no image")
    (tmp_path / "mine" / "sketches" / "stool_1.svg").write_text("<svg")
    (tmp_path / "mine" / "sketches" / "stool_2.svg").write_text("<svg")
    (tmp_path / "hierarchies").mkdir()
    (tmp_path / "hierarchies" / "stool.json").write_text('{"bounds": [0, 0, 9]}')
    (tmp_path / "hierarchies" / "sofa.json").write_text('{"bounds": [0, 0, 1440, 2560]}')
    words += ["--regions", "ViewHierarchy", "--regions.root", str(tmp_path)]
    assert main(["data", "check", *words]) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.out.splitlines() if line.startswith("error: ")]
    for name in ("lamp.svg", "stool_1.svg", "stool_2.svg", "photo sofa", "stool.json"):
        assert len([line for line in errors if name in line]) == 1
    assert len(errors) == 5
    assert "note: regions: 1 photos have no region but the whole: sofa" in captured.out
    assert "mine: 1 sketches, 2 photos, 5 errors\nnot checked: counts: none are published for mine\n" in captured.out
    assert captured.err == "fgsbir: error: mine: 5 errors, listed above; repair or remove these files\n"


def test_what_is_wrong_for_every_photo_is_told_once(tmp_path, capsys):
    words = [*folder(tmp_path / "mine"), "--regions", "ViewHierarchy", "--regions.root", str(tmp_path)]
    assert main(["data", "check", *words]) == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert "no folder 'hierarchies'" in line


def test_a_dataset_that_is_not_there_is_one_error(tmp_path, capsys):
    assert main(["data", "check", "--source", "Folder", "--source.path", str(tmp_path)]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f"error: folder: {tmp_path / 'photos'}: no such folder; put the photos ({', '.join(IMAGE_SUFFIXES)}) there",
        "folder: 1 errors",
        "not checked: everything else, until this is repaired",
    ]


def test_an_experiment_names_its_dataset_and_regions(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "mine"
    folder(mine)
    data = {
        "source": {"class_path": "Folder", "init_args": {"path": str(mine), "val_fraction": 0, "test_fraction": 0}},
        "regions": {"class_path": "ViewHierarchy", "init_args": {"root": str(tmp_path)}},
    }
    config = {"model": {"class_path": "RawPixels"}, "data": data}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "hierarchies").mkdir()
    for name in ("stool", "sofa"):
        (tmp_path / "hierarchies" / f"{name}.json").write_text('{"bounds": [0, 0, 1440, 1000]}')
    assert main(["data", "check", "--experiment", str(tmp_path / "mine.yaml")]) == 0
    out = capsys.readouterr().out
    assert "mine: 3 sketches, 2 photos, 0 errors" in out
    assert "not checked: regions" not in out
    (tmp_path / "hierarchies" / "sofa.json").unlink()
    assert main(["data", "check", "--experiment", str(tmp_path / "mine.yaml")]) == 2
    assert "sofa.json" in capsys.readouterr().out


def test_the_help_lists_the_options_of_every_dataset(capsys):
    for words in (["data", "check"], ["data", "show"], ["pretrain"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        out = capsys.readouterr().out
        for name in ("Folder", "ChairV1", "ChairV2", "ShoeV2", "Swire", "Embedded"):
            assert f"\n  {name} " in out
        assert re.search(r"\n +--source\.path PATH +required\n +--source\.pairs PAIRS\n", out)
        assert re.search(r"\n +--source\.val_fraction VAL_FRACTION +default: 0\.1\n", out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--source", "Folder"], "--source Folder: it needs --source.path; see fgsbir data check --help"),
        (["--source", "Folder", "--source.pth", "x"], "--source Folder: it has no option --source.pth; see"),
        (["--source", "Fold"], "--source: there is no dataset 'Fold'; use one of ChairV1, ChairV2, Embedded, Folder"),
        ([], "fgsbir data: no dataset is named; give --source NAME or --experiment NAME"),
        (["--source", "ChairV2", "--experiment", "chair_v2/proposed"], "two datasets are named"),
        (["--experiment", "chair_v2/no_such"], "experiment 'chair_v2/no_such': there is none"),
    ],
)
def test_a_wrong_dataset_says_what_is_missing(words, says, capsys):
    assert main(["data", "check", *words]) == 2
    assert says in only_error(capsys)


@pytest.mark.parametrize("words", [["look"], ["check"], ["check", "--source", "NoSuchSource"]], ids=str)
def test_bad_words_after_data_are_refused(words, capsys):
    assert main(["data", *words]) == 2
    assert only_error(capsys)
