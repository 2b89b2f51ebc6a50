"""Files that travel with the package: experiments and sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import fgsbir


def shipped(name: Literal["experiments", "sweeps"]) -> Path:
    """The folder of the shipped experiments or sweeps: inside an installed package, or at the top of a checkout."""
    package = Path(fgsbir.__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
