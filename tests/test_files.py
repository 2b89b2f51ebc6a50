from pathlib import Path

import pytest

from fgsbir.errors import InputError
from fgsbir.files import atomic_write


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
