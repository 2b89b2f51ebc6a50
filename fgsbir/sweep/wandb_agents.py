"""The launcher that leaves the queue to Weights & Biases: it registers the sweep and starts agents."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fgsbir.errors import InputError
from fgsbir.sweep.local import Slot
from fgsbir.sweep.process import start
from fgsbir.sweep.spec import Sweep


def launch(sweep: Sweep, slots: Sequence[Slot]) -> None:
    """Registers a sweep and works on it until it is done; agents on other machines may join.

    At a terminal, the first Ctrl-C lets the runs end, the second ends them.

    Args:
        sweep: goes to W&B as it is, overrides included.
        slots: one agent each.

    Raises:
        InputError: if wandb is not installed, there is no account, or W&B is not reached.
    """
    os.environ["WANDB_MODE"] = "online"
    try:
        import wandb
    except ModuleNotFoundError:
        raise InputError("--launcher wandb", "wandb is not installed", "pip install 'fgsbir[wandb]'") from None
    try:
        wandb.Api()  # raises without an account, where the next line would ask for one
        sweep_id = wandb.sweep(sweep.config)
    except wandb.Error as error:
        problem = str(error).splitlines()[0]
        fix = "run 'wandb login', or use --launcher local, which needs no account"
        raise InputError("--launcher wandb", problem, fix) from None
    # The command of a sweep file is `fgsbir run ...`, and that `fgsbir` is the one beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "wandb", "agent", sweep_id]
    agents = [start(command, {**os.environ, "PATH": path, **slot}) for slot in slots]
    while any(agent.poll() is None for agent in agents):
        try:
            for agent in agents:
                agent.wait()
        except KeyboardInterrupt:
            continue  # the agents have it too, and know what to do
