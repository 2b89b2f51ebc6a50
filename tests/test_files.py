"""Files: atomic, locked and cached."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.files import atomic_write, cache_root, data_root, is_locked, load_arrays, locked, save_arrays

HOLDER = """
import sys, time
from pathlib import Path
from fgsbir.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_only_at_the_end_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path, "w") as file:
        file.write("größer\n")
        file.flush()
        assert not path.exists()
        assert len(names(path.parent)) == 1  # the temporary file is in the same folder
    assert path.read_bytes() == "größer\n".encode()
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_write(path) as file:
            file.write(b"ne")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_what_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.bin", tmp_path / "folder"):
        with pytest.raises(InputError, match=f"{path}: cannot be written"), atomic_write(path) as file:
            file.write(b"new")
    assert names(tmp_path) == ["file", "folder"]


def test_an_error_of_the_block_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"other\.txt"), atomic_write(tmp_path / "a.bin"):
        (tmp_path / "other.txt").read_bytes()
    with (
        pytest.raises(InputError, match=r"a\.bin: cannot be written \(No space left"),
        atomic_write(tmp_path / "a.bin"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


# Arrays

ARRAYS = {
    "ids": np.array(["a", "größer"]),
    "ranks": np.array([[1, 2], [3, 4]]),
    "none": np.zeros((0, 3), dtype=np.float32),
    "text": np.array("2026"),
}


@pytest.mark.parametrize("compress", [True, False])
def test_arrays_come_back_as_they_were(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "new" / "arrays.npz"
    save_arrays(path, compress=compress, **ARRAYS)
    loaded = load_arrays(path, *ARRAYS)
    for name, array in ARRAYS.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(loaded[name], array)
    assert list(load_arrays(path, "ranks")) == ["ranks"]
    assert names(path.parent) == ["arrays.npz"]


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_arrays(tmp_path / name, **ARRAYS)
        time.sleep(0.01)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("compress", [True, False])
def test_arrays_may_have_any_name_and_are_written_as_numpy_does(tmp_path: Path, compress: bool) -> None:
    save_arrays(tmp_path / "a.npz", compress=compress, **ARRAYS)
    (np.savez_compressed if compress else np.savez)(tmp_path / "b.npz", **ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    save_arrays(tmp_path / "c.npz", compress=compress, file=[1, 2], path=3)
    assert load_arrays(tmp_path / "c.npz", "file", "path")["file"].tolist() == [1, 2]


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="ids holds Python objects"):
        save_arrays(tmp_path / "a.npz", ids=np.array(["a", None]))
    assert names(tmp_path) == []
    np.savez(tmp_path / "b.npz", ids=np.array(["a", None]))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "b.npz", "ids")


@pytest.mark.parametrize("compress", [True, False])
def test_whatever_is_wrong_with_an_archive_is_one_kind_of_error(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "arrays.npz"
    array = np.random.default_rng(0).integers(0, 9, 200)
    save_arrays(path, compress=compress, array=array)
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):  # each byte in turn: unread, or noticed
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        try:
            np.testing.assert_array_equal(load_arrays(path, "array")["array"], array)
        except ValueError:
            refused += 1
    assert refused > len(whole) / 2
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"."):
            load_arrays(path, "array")
    np.save(tmp_path / "a.npy", array)
    for other, name in ((tmp_path / "a.npy", "array"), (tmp_path / "missing.npz", "array"), (tmp_path, "array")):
        with pytest.raises(ValueError, match=r"."):
            load_arrays(other, name)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="ranks"):
        load_arrays(path, "array", "ranks")


# Locks


def held_by_another(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_waits_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / ".lock"
    assert not is_locked(path)
    assert not path.exists()
    with held_by_another(path) as process:
        assert process.stdin is not None
        assert is_locked(path)
        with pytest.raises(InputError, match=r"\.lock: another process holds this lock"), locked(path, wait=False):
            pass
        assert capsys.readouterr().err == ""
        threading.Timer(0.3, process.stdin.close).start()
        with locked(path):
            assert process.wait() == 0
            assert is_locked(path)
        assert capsys.readouterr().err == f"{path}: another process holds this lock; waiting for it\n"
    assert not is_locked(path)
    with locked(path, wait=False):
        pass
    assert capsys.readouterr().err == ""


def test_a_lock_is_given_up_when_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="inside"), locked(tmp_path / ".lock"):  # not taken for a failure of the lock
        raise OSError("inside")
    assert not is_locked(tmp_path / ".lock")


def test_a_look_at_a_lock_does_not_open_it(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock"):
        assert is_locked(tmp_path / ".lock")  # by this process
        assert is_locked(tmp_path / ".lock")


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: cannot be locked .*use a folder"), locked(tmp_path / "file" / ".lock"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be locked"), locked(tmp_path / "folder"):
        pass


ORPHAN = """
import os, sys, time
from pathlib import Path
from fgsbir.files import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:  # as loader processes are made
        print(os.getpid(), flush=True)
        time.sleep(60)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_lock_ends_with_its_process_though_a_forked_child_lives_on(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = subprocess.Popen([sys.executable, "-c", ORPHAN, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert is_locked(path)
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        assert not is_locked(path)
        with locked(path, wait=False):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def count_up(path: Path) -> None:
    for _ in range(20):
        with locked(path / ".lock"):
            value = int((path / "value").read_text())
            time.sleep(0.001)
            (path / "value").write_text(str(value + 1))


def test_processes_take_turns(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("0")
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    processes = [context.Process(target=count_up, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "value").read_text() == "60"


@pytest.mark.parametrize("kind", [str, Path])
def test_data_root(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FGSBIR_DATA", raising=False)
    assert data_root() == Path("data")
    assert data_root(kind("elsewhere")) == Path("elsewhere")
    monkeypatch.setenv("FGSBIR_DATA", "mine")
    assert data_root() == Path("mine")


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FGSBIR_CACHE", raising=False)
    assert cache_root() == tmp_path / ".cache" / "fgsbir"
    monkeypatch.setenv("FGSBIR_CACHE", "~/elsewhere")
    assert cache_root() == tmp_path / "elsewhere"
