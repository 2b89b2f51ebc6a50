"""`fgsbir fit|test|validate|run`: trains and tests one experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgsbir.runs.config import Settings, resolve

if TYPE_CHECKING:
    from fgsbir.runs.training import Stage

INTERRUPTED = 130
"""Exit status after Ctrl-C, as of a shell."""

HELP = """\
usage: fgsbir {name} [--system NAME] [--dataset NAME] [--recipe NAME] [--variant NAME] [--seed N] [--SETTING VALUE ...]
       fgsbir {name} --config FILE [--config FILE ...] [--SETTING VALUE ...]

{what}

what is run:
  --system NAME       system, e.g. proposed or b_siamese; see fgsbir list
  --dataset NAME      embedded (generated chairs; default), chair_v1, chair_v2, shoe_v2 or swire
  --recipe NAME       modern (default) or paper
  --variant NAME      coarse or coarse_plus test sketches, or k8, k12 or k20 regions a photo
  --experiment NAME   all of it by name, e.g. chair_v2/proposed_coarse; with --config, name of the run's folder
  --config FILE       experiment file; several are merged, the later over the earlier
  --seed N            seed of the run; default: 0

settings by name, among them:
  --trainer.max_epochs N          epochs of the training
  --trainer.accelerator NAME      cpu, gpu or auto (default)
  --trainer.devices N             devices of the training
  --trainer.logger CLASS          a logger of Lightning's beside ours, e.g. CSVLogger or TensorBoardLogger
  --trainer.callbacks+=CLASS      one more callback; its arguments follow as --trainer.callbacks.NAME VALUE
  --data.batch_size N             pairs a training step
  --data.num_workers N            loader processes
  --model.optimisation.lr RATE    learning rate
  --optimizer CLASS               an optimiser of torch's in place of the recipe's; --optimizer.lr RATE
  --wandb.mode MODE               online, offline or disabled
  --runs_dir DIR                  folder of all runs; default: runs
  --ckpt_path FILE                checkpoint to go on from, or to test, in place of the run's own

  --print_config      print the configuration with all defaults, and stop
  --help=all          list every setting, including those for Lightning's trainer
"""

WHAT = {
    "fit": "Trains an experiment; goes on where it was interrupted.",
    "test": "Ranks the test split by the best checkpoint, once.",
    "validate": "Prints the metrics of the best checkpoint on val.",
    "run": "Trains an experiment, then tests it; goes on where it was interrupted.",
}


def fit(argv: list[str]) -> None:
    """Trains an experiment; `argv` is what follows "fgsbir fit".

    Raises:
        InputError: for anything wrong with the options, the configuration or the files that they name.
    """
    _run("fit", argv, ("fit",))


def test(argv: list[str]) -> None:
    """Tests an experiment; see `fit`."""
    _run("test", argv, ("test",))


def validate(argv: list[str]) -> None:
    """Validates an experiment; see `fit`."""
    _run("validate", argv, ("validate",))


def run(argv: list[str]) -> None:
    """Trains and tests an experiment; see `fit`."""
    _run("run", argv, ("fit", "test"))


def _run(name: str, argv: list[str], stages: tuple[Stage, ...]) -> None:
    if "-h" in argv or "--help" in argv:
        print(HELP.format(name=name, what=WHAT[name]), end="")
        return
    if "--help=all" in argv:
        from fgsbir.runs.training import print_help

        print_help()
        return
    only_print = "--print_config" in argv
    resolved = resolve(Settings.parse([option for option in argv if option != "--print_config"]))
    if name != "validate" and not only_print and resolved.report_done():
        return

    from fgsbir.runs import training  # here: torch is slow to load, and a mistake above should not wait for it

    if only_print:
        training.print_config(resolved)
    else:
        try:
            training.run(resolved, stages)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except SystemExit as left:  # Lightning's answer to Ctrl-C in a loop
            raise SystemExit(INTERRUPTED if isinstance(left.__context__, KeyboardInterrupt) else left.code) from None
