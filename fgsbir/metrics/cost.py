"""What a system costs: parameters, FLOPs, time and memory."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fgsbir.data.dataset import Rendering
from fgsbir.data.sample import PhotoBatch, SketchBatch, on_device, stacked
from fgsbir.data.transforms import UnitAffine
from fgsbir.models.backbone import Backbone
from fgsbir.sketch.strokes import VectorSketch

STROKES = 10
"""Strokes of the sketch on which systems are measured: the mean of ChairV2's training sketches."""

POINTS = 11
"""Points of each stroke: ChairV2 has 113 in the 10 strokes of a training sketch, on average."""


class Cost(NamedTuple):
    """Parameters and FLOPs of a system.

    Attributes:
        parameters: number of parameters, frozen ones included.
        sketch: FLOPs to encode one sketch.
        photo: FLOPs to encode one photo.
        pair: FLOPs to match one encoded pair.
    """

    parameters: int
    sketch: int
    photo: int
    pair: int


def example(rendering: Rendering, strokes: int, regions: int) -> tuple[SketchBatch, PhotoBatch]:
    """A random sketch and photo with that many strokes and regions, as an experiment renders them."""
    rng, rendering = np.random.default_rng(0), replace(rendering, max_strokes=strokes, num_regions=regions)
    sketch = VectorSketch.from_strokes(rng.random((strokes, POINTS, 2)))
    pixels = rng.integers(0, 256, (rendering.image_size, rendering.image_size, 3), dtype=np.uint8)
    corners = rng.random((regions, 2, 2), dtype=np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    drawn = SketchBatch(*rendering.sketch(sketch), torch.tensor(0), torch.tensor(0))
    shown = PhotoBatch(*rendering.photo(pixels, boxes, UnitAffine.about_centre()), torch.tensor(0))
    return stacked([drawn]), stacked([shown])


@torch.inference_mode(False)  # a test runs in it, and nothing in it has a gradient
@torch.enable_grad()  # without a gradient a transformer's layer is one operation, which torch does not count
def measure(system: Any, rendering: Rendering, strokes: int, regions: int) -> Cost:
    """The cost of a `System` in evaluation mode for one sketch and one photo of so many strokes and regions.

    Both are read as images and not as cached features.
    """
    device = next((p.device for p in system.parameters()), torch.device("cpu"))
    sketch, photo = example(rendering, strokes, regions)
    backbones = [m for m in system.modules() if isinstance(m, Backbone)]
    cached = [backbone.reads_trunk_features for backbone in backbones]
    try:
        for backbone in backbones:
            backbone.reads_trunk_features = False
        encoded_sketch, for_sketch = _counted(system.encode_sketch, on_device(sketch, device))
        encoded_photo, for_photo = _counted(system.encode_photo, on_device(photo, device))
        _, for_pair = _counted(system.match, encoded_sketch, encoded_photo)
    finally:
        for backbone, reads in zip(backbones, cached, strict=True):
            backbone.reads_trunk_features = reads
    return Cost(sum(p.numel() for p in system.parameters()), for_sketch, for_photo, for_pair)


def _counted(function: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """What a function returns, and its FLOPs."""
    # Plain attention, because torch 2.4 does not count the fused one of a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        out = function(*arguments)
    return out, counter.get_total_flops()


class Stopwatch:
    """Adds up the time spent in its `with` blocks; waits for a GPU at both ends of each.

    Attributes:
        seconds: time so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        _wait_for_gpu()
        self._since = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        _wait_for_gpu()
        self.seconds += time.perf_counter() - self._since


def reset_peak_memory(device: torch.device) -> None:
    """Lets `peak_memory` count from here, on a GPU and on Linux; elsewhere it goes on counting from the start."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # what was freed still counts otherwise, if glibc keeps it
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5)


def peak_memory(device: torch.device) -> float:
    """The most memory in use since `reset_peak_memory`, MiB: tensors on a GPU, else the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
