"""`DataSource`: what every dataset is to the rest of the package."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fgsbir.data.records import PairedData


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
