"""`fgsbir sweep`: all runs of a sweep file, by the launcher of choice."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fgsbir.commands.parser import CommandParser
from fgsbir.errors import InputError
from fgsbir.runs.shipped import shipped
from fgsbir.sweep import local, slurm, wandb_agents
from fgsbir.sweep.plan import Plan, make_plan, wanted
from fgsbir.sweep.spec import Sweep, load_sweep
from fgsbir.sweep.state import state_of, summary, table


def run(argv: list[str]) -> None:
    """Runs the command.

    Args:
        argv: options behind "fgsbir sweep".

    Raises:
        InputError: if the sweep or one of its experiments is not right; then nothing was started.
        SystemExit: 1 if a run failed, 130 after Ctrl-C.
    """
    options = _options(argv)
    overrides: dict[str, Sequence[Any]] = {}
    for name, text in (("dataset", options.dataset), ("recipe", options.recipe)):
        if text:
            overrides[name] = text.split(",")
    if options.seeds:
        overrides["seed"] = _seeds(options.seeds)
    for name, value in (_setting("--set", text) for text in options.set):
        overrides[name] = [value]
    for name in ("runs_dir", "experiments"):
        if getattr(options, name) is not None:
            overrides[name] = [str(getattr(options, name))]
    try:
        sweep = load_sweep(_found(options.file), overrides)
        plan = make_plan(sweep, options.runs_dir)
        if options.action == "status" or options.dry_run:
            _print(plan, options.dry_run)
        else:
            _run(sweep, plan, options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _run(sweep: Sweep, plan: Plan, options: argparse.Namespace) -> None:
    pending = [run for run in plan.runs if not run.folder.is_done]
    if not pending:
        print(f"{plan.name}: {summary([state_of(run) for run in plan.runs])}, nothing to do")
        return
    print(f"{plan.name}: {len(plan.runs)} runs, {len(plan.runs) - len(pending)} done already; plan: {plan.path}")
    plan.write()
    os.environ.setdefault("WANDB_RUN_GROUP", plan.name)  # W&B's own variable, which all runs inherit
    if options.launcher == "slurm":
        of_sbatch = dict(_setting("--slurm", text) for text in options.slurm)
        folder = plan.path.parent / "slurm"
        slurm.launch(pending, f"{plan.name}-{plan.digest}", folder, of_sbatch, options.slots)
    else:
        slots = local.slots_of_machine(options.slots, wanted(pending, "trainer.devices"))
        if options.launcher == "wandb":
            wandb_agents.launch(sweep, slots)
        else:
            local.launch(pending, slots)
    states = [state_of(run) for run in plan.runs]
    print(f"{plan.name}: {summary(states)}")
    unfinished = [(run, state) for run, state in zip(plan.runs, states, strict=True) if state.kind != "done"]
    for run, state in unfinished:
        print(f"  {state.kind} {run.label}: {state.detail} ({run.folder.log})")
    if unfinished:
        raise SystemExit(1)


def _print(plan: Plan, with_commands: bool) -> None:
    states = [state_of(run) for run in plan.runs]
    print(f"{plan.name}: {summary(states)}")
    print(table(plan.runs, states))
    if with_commands:
        print("\nTo be run:")
        for run, state in zip(plan.runs, states, strict=True):
            if state.kind != "done":
                print(f"  fgsbir run {' '.join(run.arguments)}")


def _options(argv: list[str]) -> argparse.Namespace:
    description = "Runs all experiments of a sweep file; those that are finished are skipped, interrupted ones go on."
    parser = CommandParser("fgsbir sweep", description)
    parser.add_argument("action", choices=("run", "status"), help="run it, or tell how far it is")
    parser.add_argument("file", type=Path, metavar="FILE", help="sweep file, or a shipped one by its name: ablation")
    parser.add_argument("--dataset", help="folder of experiments, e.g. chair_v2; several: chair_v2,shoe_v2")
    parser.add_argument("--recipe", help="modern or paper")
    parser.add_argument("--seeds", help="e.g. 0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all runs")
    parser.add_argument("--launcher", choices=("local", "slurm", "wandb"), default="local", help="default: %(default)s")
    parser.add_argument(
        "--slots", type=int, help="runs at once; default: one a GPU, or one a core without GPU; with Slurm, all"
    )
    parser.add_argument("--slurm", action="append", default=[], metavar="NAME=VALUE", help="of sbatch: time=240")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="folder of all runs; default: %(default)s")
    parser.add_argument("--experiments", type=Path, help="folder of experiments; default: those that come with fgsbir")
    parser.add_argument("--dry-run", action="store_true", help="show the runs and their states, and start none")
    options = parser.parse_args(argv)
    if options.slots is not None and options.slots < 1:
        raise InputError("--slots", f"{options.slots} is not positive", "use 1 or more")
    return options


def _found(file: Path) -> Path:
    """A sweep file, or the shipped one of that name where there is no such file."""
    named = shipped("sweeps") / f"{file.stem}.yaml"
    return named if not file.exists() and named.is_file() else file


def _setting(option: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(option, f"'{text}' has no '='", "write name=value")
    return name, yaml.safe_load(value)


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise InputError("--seeds", f"'{text}' is not a list of whole numbers", "use e.g. 0,1,2") from None
