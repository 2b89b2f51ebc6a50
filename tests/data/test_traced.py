"""Strokes of images are traced once."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import fgsbir.data.traced
from fgsbir.data.datasets import Folder
from fgsbir.data.traced import read_sketch_files, traced
from fgsbir.errors import InputError
from fgsbir.sketch.formats import read_raster
from fgsbir.sketch.strokes import VectorSketch


def draw(path: Path, lines: int) -> Path:
    """A drawing of level lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (64, 64), 255)
    for line in range(lines):
        ImageDraw.Draw(image).line((8, 8 + 9 * line, 50, 8 + 9 * line), 0, 2)
    image.save(path)
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are traced, however many, in this process."""
    names: list[str] = []

    def spy(path: Path, max_strokes: int = 16) -> VectorSketch:
        names.append(path.name)
        return read_raster(path, max_strokes)

    monkeypatch.setattr(fgsbir.data.traced, "read_raster", spy)
    return names


def trace(paths: list[Path], algorithm: int = 1, **settings: int) -> list[VectorSketch | InputError]:
    return traced(paths, fgsbir.data.traced.read_raster, algorithm, **settings)


def test_only_new_content_settings_and_algorithms_are_traced(tmp_path: Path, calls: list[str]) -> None:
    paths = [draw(tmp_path / f"{lines}.png", lines) for lines in (1, 2, 3)]
    expected = [read_raster(path) for path in paths]
    for _ in range(2):
        assert trace(paths) == expected
    assert calls == ["1.png", "2.png", "3.png"]
    calls.clear()
    assert trace([paths[1].rename(tmp_path / "renamed.png")]) == expected[1:2]
    assert calls == []
    assert trace([draw(paths[0], 4), paths[2]]) == [read_raster(paths[0]), expected[2]]
    assert calls == ["1.png"]
    calls.clear()
    assert [len(sketch) for sketch in trace(paths[2:], max_strokes=1) if isinstance(sketch, VectorSketch)] == [1]
    trace(paths[2:], algorithm=2)
    assert calls == ["3.png", "3.png"]


def test_a_damaged_entry_is_traced_again(tmp_path: Path, calls: list[str]) -> None:
    path = draw(tmp_path / "a.png", 2)
    expected = trace([path])
    (entry,) = (tmp_path / "cache" / "strokes").glob("*.npz")
    entry.write_bytes(entry.read_bytes()[:-20])
    assert trace([path]) == expected
    assert calls == ["a.png", "a.png"]


def test_each_file_that_cannot_be_read_says_why(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    good = draw(tmp_path / "good.png", 1)
    absent, broken, sketch = trace([tmp_path / "absent.png", tmp_path / "broken.png", good])
    assert isinstance(absent, InputError)
    assert isinstance(broken, InputError)
    assert "absent.png" in str(absent)
    assert "broken.png" in str(broken)
    assert sketch == read_raster(good)


def test_other_formats_are_read_and_not_kept(tmp_path: Path) -> None:
    vector = tmp_path / "a.svg"
    vector.write_text('<svg viewBox="0 0 10 10"><path d="M1 1L9 9" stroke="black"/></svg>')
    image = draw(tmp_path / "b.png", 1)
    first, second, third = read_sketch_files([vector, image, tmp_path / "c.svg"])
    assert isinstance(first, VectorSketch)
    assert second == read_raster(image)
    assert "c.svg" in str(third)
    assert len(list((tmp_path / "cache" / "strokes").glob("*.npz"))) == 1


def test_a_folder_is_traced_once(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "mine" / "photos").mkdir(parents=True)
    Image.new("RGB", (20, 10), "red").save(tmp_path / "mine" / "photos" / "a.png")
    draw(tmp_path / "mine" / "sketches" / "a_1.png", 2)
    for _ in range(2):
        data = Folder(tmp_path / "mine", None, 0, 0).load()
        assert [len(record.sketch) for record in data.sketches] == [2]
    assert calls == ["a_1.png"]


def test_many_are_traced_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fgsbir.data.processes, "usable_cores", lambda: 2)
    paths = [draw(tmp_path / f"{number}.png", number % 5 + 1) for number in range(21)]
    paths[7].write_bytes(b"no image")
    found = traced(paths, read_raster, 1, max_strokes=3)
    assert "7.png: not a readable image" in str(found[7])
    expected = [read_raster(path, 3) for path in paths[:7] + paths[8:]]
    assert found[:7] + found[8:] == expected


def test_a_cache_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw(tmp_path / "a.png", 2)
    (tmp_path / "file").touch()
    monkeypatch.setenv("FGSBIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="the cache cannot be written; set FGSBIR_CACHE"):
        trace([path])
    assert calls == []
