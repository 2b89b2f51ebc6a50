"""`fgsbir run`: trains and tests one experiment. Every launcher of sweeps runs this command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from fgsbir.commands.parser import CommandParser
from fgsbir.runs.config import backbone_words
from fgsbir.runs.environment import is_first_process
from fgsbir.sweep.process import fgsbir, start
from fgsbir.sweep.spec import Parameters, fit_words
from fgsbir.sweep.state import FAILED

_ALONE = ("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto")
"""A test has one process: several would share out the queries and repeat some."""

_OF_A_LAUNCHER = (
    "SLURM_",
    "TORCHELASTIC_",
    "PMI",
    "OMPI_",
    "GROUP_",
    "ROLE_",
    "MASTER_",
    "RANK",
    "LOCAL_",
    "WORLD_",
    "NODE_",
)
"""Variables that tell a process that it is one of several begin so."""


def run(words: list[str]) -> None:
    """Runs the command.

    Args:
        words: its options, without its name.

    Raises:
        InputError: if there is no such experiment.
        SystemExit: if the training or the test fails, with a line that says so.
    """
    parser = CommandParser(
        "fgsbir run",
        "Trains and tests one experiment; goes on where it was interrupted.",
        "All other options are settings, as of fgsbir fit: --trainer.max_epochs=2, --runs_dir=elsewhere.",
    )
    parser.add_argument("--experiment", required=True, help="e.g. proposed, or a file such as my/experiment.yaml")
    parser.add_argument("--dataset", help="folder of experiments, e.g. chair_v2; default: embedded")
    parser.add_argument("--recipe", help="modern or paper; default: modern")
    parser.add_argument("--seed", type=int, help="default: that of the experiment, mostly 0")
    parser.add_argument("--experiments", help="folder of all experiments; default: experiments")
    options, settings = parser.parse_known_args(words)
    parameters: Parameters = {name: value for name, value in vars(options).items() if value is not None}
    fit = fit_words(parameters) + settings
    if not sys.stdout.isatty():
        fit += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    if (backbone := backbone_words(fit)) is not None:
        _stage("fit", backbone, os.environ)
    _stage("fit", fit, os.environ)
    if is_first_process():
        alone = {name: value for name, value in os.environ.items() if not name.startswith(_OF_A_LAUNCHER)}
        _stage("test", [*fit, *_ALONE], alone)


def _stage(name: str, words: list[str], environment: Mapping[str, str]) -> None:
    """Runs one of LightningCLI's commands in a process of its own, so that its end frees all that it holds."""
    process = start(fgsbir(name, *words), environment)
    try:
        status = process.wait()
    except KeyboardInterrupt:  # the child has it too
        process.wait()
        raise SystemExit(130) from None
    if status:
        reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        raise SystemExit(f"{FAILED}{name} failed: {reason}")
