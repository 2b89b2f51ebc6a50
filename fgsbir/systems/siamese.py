"""Systems that encode sketches and photos in the same way."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.systems.base import System


class SiameseSystem(System):
    """Base of the systems that encode sketches and photos with one network."""

    @abstractmethod
    def encode_image(self, batch: SketchBatch | PhotoBatch) -> Any:
        """Encodings of B sketches or photos."""

    def encode_sketch(self, batch: SketchBatch) -> Any:
        """See `encode_image`."""
        return self.encode_image(batch)

    def encode_photo(self, batch: PhotoBatch) -> Any:
        """See `encode_image`."""
        return self.encode_image(batch)
