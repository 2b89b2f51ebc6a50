"""`DataSource`: what every dataset is to the rest of the package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from fgsbir.data.records import PairedData
from fgsbir.errors import InputError


class DataSource(ABC):
    """A dataset: it knows where its files are and how they are split.

    Attributes:
        name: short name of the dataset, e.g. "chair_v2".
    """

    name: str

    @abstractmethod
    def load(self) -> PairedData:
        """Reads the records of all splits.

        Raises:
            InputError: if files are missing or broken.
        """


def find_folder(root: Path, names: Sequence[str], contents: Sequence[str], what: str) -> Path:
    """The folder of a dataset: the first of `root` and the folders `names` below it that holds all `contents`.

    Raises:
        InputError: if there is none; it says that `what` is missing.
    """
    for folder in (root, *(root / name for name in names)):
        if all((folder / content).exists() for content in contents):
            return folder
    problem = f"no {what}, here or in {' or '.join(map(repr, names))}"
    fix = "download the dataset and name its folder in FGSBIR_DATA or --data.source.init_args.root"
    raise InputError(root, problem, fix)
