"""Whether bfloat16 pays on this machine."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only

_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Names of bfloat16 instructions in /proc/cpuinfo: AVX-512, AMX and Arm's."""


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware; where that is not known, it counts as no.

    Without such instructions PyTorch emulates them, at two to seven times the time of float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type != "cpu" or not _UNITS.isdisjoint(re.findall(r"\w+", _processor()))


def _processor() -> str:
    """What Linux says of the processor; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


@cache
@rank_zero_only
def tell_once(line: str) -> None:
    """Prints a line on stderr, once a process, and in the first process of several only."""
    print(line, file=sys.stderr, flush=True)
