"""The retrieval systems; `SYSTEMS` is the list of them all."""

from fgsbir.systems.b_siamese import BSiamese
from fgsbir.systems.base import System
from fgsbir.systems.proposed import Proposed
from fgsbir.systems.raw_pixels import RawPixels

SYSTEMS: dict[str, type[System]] = {
    "raw_pixels": RawPixels,
    "b_siamese": BSiamese,
    "proposed": Proposed,
}
"""By the name that experiment files and tables use."""

__all__ = ["SYSTEMS", "BSiamese", "Proposed", "RawPixels", "System"]
