"""What a run ran on: enough to explain a difference between two machines, nothing private."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import fgsbir
from fgsbir.files import usable_cores

_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "lightning": "lightning",
    "timm": "timm",
    "numpy": "numpy",
    "opencv": "opencv-contrib-python-headless",
}


def environment(weights: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Software, hardware and weights of this process; no host name and no absolute path.

    Args:
        weights: where pre-trained weights came from, each with `source` and `sha256`; of a source that is
            an absolute path only the file name is kept.

    Returns:
        `python`, `platform`, `cpu`, `cores`, `memory_gib`, `gpus`, `versions`, `commit` and `weights`, all
        plain values.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        **_machine(),
        "versions": versions(),
        "commit": git_commit(),
        "weights": [{**item, "source": _without_folder(str(item["source"]))} for item in weights],
    }


def hardware(recorded: Mapping[str, Any] | None = None) -> str:
    """A machine in one line, e.g. `2 x AMD EPYC, 24 GiB`, followed by its GPUs.

    Args:
        recorded: what `environment` found there; this machine by default.
    """
    machine = _machine() if recorded is None else recorded
    parts = [f"{machine['cores']} x {machine['cpu']}"]
    parts += [f"{machine['memory_gib']} GiB"] if machine["memory_gib"] is not None else []
    parts += [f"{machine['gpus'].count(name)} x {name}" for name in dict.fromkeys(machine["gpus"])]
    return ", ".join(parts)


def _machine() -> dict[str, Any]:
    """What `hardware` makes a line of."""
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": usable_memory_gib(),
        "gpus": _gpu_names(),
    }


def versions() -> dict[str, str]:
    """Versions of fgsbir and of the installed packages that decide its results."""
    found = {"fgsbir": fgsbir.__version__}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def git_commit(package: Path = Path(fgsbir.__file__).parent) -> str | None:
    """The commit of the checkout that holds `package`, with `-dirty` if the package's files differ from it.

    Returns:
        None if the package is not at the top of a checkout, or git is not there.
    """
    try:
        # An installed package may lie inside somebody else's checkout: its commit would mean nothing.
        if Path(_git(package, "rev-parse", "--show-toplevel")).resolve() != package.resolve().parent:
            return None
        commit = _git(package, "rev-parse", "--verify", "HEAD")
        return commit + ("-dirty" if _git(package, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    """The processor's name as Linux gives it, else as Python does."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def is_first_process() -> bool:
    """Whether this process is alone, or the first of those that a launcher started for one training.

    It looks at the variables of torchrun, Lightning and Slurm, for it is asked before there is a trainer.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"))


def usable_memory_gib() -> int | None:
    """Memory in GiB, None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


def _gpu_names() -> list[str]:
    import torch  # here, so that reports, which only read runs, do not wait for it

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _without_folder(source: str) -> str:
    return PurePath(source).name if PurePath(source).is_absolute() else source
