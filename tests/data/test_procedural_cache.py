"""Generated instances: from several processes, and from disk."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import fgsbir.data.procedural.cache as cache
from fgsbir.data.procedural import Category, Instance, load_instances
from fgsbir.data.procedural.generate import generate, make_instance
from fgsbir.data.processes import in_processes
from fgsbir.errors import InputError
from fgsbir.files import cache_root, load_arrays, save_arrays

SETTINGS = (3, 2, 11, 48)  # count, sketches a photo, seed, size


def content(value: object) -> object:
    """Everything in a value, types included, in a form that compares."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, tuple | list):
        return (type(value), [content(item) for item in value])
    if hasattr(value, "__dataclass_fields__"):
        return (type(value), [content(getattr(value, field.name)) for field in fields(value)])  # type: ignore[arg-type]
    return (type(value), value)


def plain(category: Category, count: int, sketches_per_photo: int, seed: int, size: int) -> list[Instance]:
    """The reference: one instance after another, in this process."""
    return [make_instance(category, index, sketches_per_photo, seed, size) for index in range(count)]


def kept() -> list[Path]:
    return sorted((cache_root() / "embedded").glob("*.npz"))


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The arguments of every call of `generate`."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(cache, "generate", lambda *args: calls.append(args) or generate(*args))
    return calls


@pytest.mark.parametrize("category", ["chairs", "screens"])
@pytest.mark.parametrize("settings", [SETTINGS, (1, 1, 0, 33), (5, 3, 4, 20)])
def test_the_cache_gives_the_same_bytes_as_the_generator(
    category: Category, settings: tuple[int, ...], generated: list[tuple[object, ...]]
) -> None:
    expected = content(plain(category, *settings))
    assert content(load_instances(category, *settings)) == expected  # generated
    assert content(load_instances(category, *settings)) == expected  # read
    assert generated == [(category, *settings)]


@pytest.mark.parametrize("category", ["chairs", "shoes"])
def test_processes_give_the_same_bytes_in_the_same_order(category: Category) -> None:
    calls = [(category, index, 2, 5, 40) for index in range(7)]
    assert content(list(in_processes(make_instance, calls, "chairs", 3))) == content(plain(category, 7, 2, 5, 40))


def test_other_settings_are_other_files(generated: list[tuple[object, ...]]) -> None:
    for settings in ((3, 2, 11, 48), (2, 2, 11, 48), (3, 1, 11, 48), (3, 2, 12, 48), (3, 2, 11, 47)):
        load_instances("shoes", *settings)
    load_instances("screens", *SETTINGS)
    assert len(generated) == len(kept()) == 6


def test_another_generator_is_another_file(
    generated: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_instances("shoes", *SETTINGS)
    changed = tmp_path / "shoes.py"
    changed.write_text("# another shoe")
    monkeypatch.setattr(cache, "GENERATOR", (*cache.GENERATOR[1:], changed))
    cache._generator.cache_clear()
    try:
        load_instances("shoes", *SETTINGS)
    finally:
        cache._generator.cache_clear()
    assert len(generated) == len(kept()) == 2


def test_the_generator_is_all_code_of_this_package_that_a_process_loads_and_no_torch() -> None:
    program = (
        "import json, sys; import fgsbir.data.worker, fgsbir.data.procedural.generate;"
        "print(json.dumps({n: getattr(m, '__file__', None) for n, m in list(sys.modules.items())}))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert not {"torch", "torchvision", "lightning", "timm"} & set(loaded)
    ours = {Path(file) for name, file in loaded.items() if name.startswith("fgsbir")}
    assert set(cache.GENERATOR) <= ours
    rest = {"__init__.py", "errors.py", "files.py", "processes.py", "progress.py", "worker.py"}  # decide nothing
    assert {path.name for path in ours - set(cache.GENERATOR)} == rest


@pytest.mark.parametrize("damage", ["empty", "half", "flip", "text", "settings", "lacking", "short", "misfit"])
def test_a_damaged_or_foreign_file_is_made_anew(damage: str, generated: list[tuple[object, ...]]) -> None:
    expected = content(load_instances("chairs", *SETTINGS))
    (path,) = kept()
    whole = path.read_bytes()
    arrays = load_arrays(path, *cache._NAMES)
    if damage == "settings":
        save_arrays(path, **{**arrays, "settings": json.dumps(["chairs", *SETTINGS, "older", "1", "2"])})
    elif damage == "lacking":
        save_arrays(path, **{name: array for name, array in arrays.items() if name != "points"})
    elif damage == "short":
        save_arrays(path, **{**arrays, "photos": arrays["photos"][:-1]})
    elif damage == "misfit":
        save_arrays(path, **{**arrays, "part_counts": arrays["points"], "point_counts": np.array(3)})
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "half": whole[:middle], "flip": flipped, "text": b"no archive"}[damage])
    assert content(load_instances("chairs", *SETTINGS)) == expected
    assert len(generated) == 2
    assert path.read_bytes() == whole
    assert content(load_instances("chairs", *SETTINGS)) == expected
    assert len(generated) == 2


@pytest.mark.parametrize("settings", [(0, 2, 11, 48), (2, 0, 11, 48)])
def test_nothing_is_not_kept(settings: tuple[int, ...]) -> None:
    assert content(load_instances("chairs", *settings)) == content(plain("chairs", *settings))
    assert kept() == []


def test_numbers_of_numpy_are_numbers(generated: list[tuple[object, ...]]) -> None:
    expected = content(load_instances("chairs", *SETTINGS))
    assert content(load_instances("chairs", *map(np.int64, SETTINGS))) == expected
    assert len(generated) == len(kept()) == 1


def test_two_processes_at_once_generate_once() -> None:
    program = """
import sys
import fgsbir.data.procedural.cache as cache
real = cache.generate
def generate(*args):
    print("generates", flush=True)
    sys.stdin.readline()  # until the other one waits
    return real(*args)
cache.generate = generate
print(len(cache.load_instances("shoes", 3, 1, 0, 32)))
"""

    def start() -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", program], text=True, **pipes)  # type: ignore[call-overload]

    with start() as holder:
        assert holder.stdout.readline() == "generates\n"
        with start() as other:
            assert "waiting for it" in other.stderr.readline()
            assert holder.communicate("go\n")[0] == "3\n"
            assert other.communicate()[0] == "3\n"  # it has generated nothing
    assert len(kept()) == 1
    assert len(list(kept()[0].parent.iterdir())) == 2  # and the lock


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FGSBIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="FGSBIR_CACHE"):
        load_instances("chairs", *SETTINGS)
    with pytest.raises(InputError, match=r"^size: 0 is too small"):
        generate("chairs", 1, 1, 0, 0)
