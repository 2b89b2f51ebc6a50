"""Files of features that replace images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fgsbir.errors import InputError
from fgsbir.files import atomic_write

_CHECKSUM = hashlib.sha256().digest_size


@dataclass(frozen=True)
class ImageFeatures:
    """The features of one split's sketches or photos, read from disk one at a time.

    It holds paths and no open files, so that it can be handed to loader processes.

    Args:
        plain: file of `(N, C, H, W)`, in the order of the split.
        mirrored: file of the mirrored images' features, if there is one.
    """

    plain: Path
    mirrored: Path | None = None

    def get(self, index: int, mirror: bool = False) -> Tensor:
        """Features `(C, H, W)` float16 of one image, or of its mirror image."""
        path = self.mirrored if mirror else self.plain
        assert path is not None
        return torch.from_numpy(np.array(np.load(path, mmap_mode="r")[index]))


class SplitFeatures(NamedTuple):
    """The features of one split."""

    sketches: ImageFeatures
    photos: ImageFeatures


def write_features(path: Path, batches: Iterable[npt.NDArray[np.float32]], count: int) -> None:
    """Writes features as float16, batch by batch: a `.npy` file with a SHA-256 of all that precedes it at its end.

    Args:
        path: file to write; it appears only when it is complete.
        batches: arrays `(B, C, H, W)`, at least one.
        count: number of images in all batches together, N.

    Raises:
        InputError: if the file cannot be written, or a feature is too large for float16.
    """
    with atomic_write(path) as file:
        for number, batch in enumerate(batches):
            with np.errstate(over="ignore"):
                half = np.ascontiguousarray(batch, dtype="<f2")
            if not np.isfinite(half).all():
                raise InputError(path, "a feature does not fit float16", "train without the cache")
            if number == 0:
                header = {"descr": "<f2", "fortran_order": False, "shape": (count, *half.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(half.tobytes())
        file.flush()
        file.write(hashlib.sha256(np.memmap(file.name, np.uint8, "r").data).digest())


def is_whole(path: Path) -> bool:
    """Whether `path` is there, complete and undamaged."""
    try:
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError):  # missing, or empty
        return False
    return hashlib.sha256(content[:-_CHECKSUM].data).digest() == content[-_CHECKSUM:].tobytes()
