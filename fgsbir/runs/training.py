"""`fgsbir fit|validate|test|predict`: LightningCLI, with one folder a run."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonargparse import ArgumentError
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger

import fgsbir.data.datasets
import fgsbir.regions.box_file
import fgsbir.regions.selective_search
import fgsbir.systems  # noqa: F401  (their short class names can then be used in configs)
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.errors import InputError
from fgsbir.runs.config import backbone_words, load_experiment
from fgsbir.runs.environment import is_first_process
from fgsbir.runs.folder import RunFolder, config_hash
from fgsbir.runs.loading import load_backbone, read_checkpoint
from fgsbir.runs.recorder import RunRecorder
from fgsbir.runs.wandb_logger import WandbOptions, close_run, log_test, open_run
from fgsbir.sweep.process import fgsbir as command_line
from fgsbir.sweep.process import start
from fgsbir.systems.base import System

if TYPE_CHECKING:
    from wandb import Run


class FgsbirCLI(LightningCLI):
    """LightningCLI that gives every run a folder of its own and goes on where a run stopped.

    Args:
        words: the command and its options; the command has run when the object is made.
    """

    folder: RunFolder
    """Of the run."""
    training: RunFolder
    """Where its checkpoints are: another one's where an experiment differs from that in its test alone."""
    backbone: RunFolder | None = None
    """Of the training whose backbone is taken over."""

    def __init__(self, words: list[str]) -> None:
        name = words[0]
        self.backbone_words = backbone_words(words[1:])
        with ExitStack() as self.held:  # the lock of the folder
            super().__init__(
                System,
                SketchPhotoDataModule,
                subclass_mode_model=True,
                save_config_callback=None,
                auto_configure_optimizers=False,
                seed_everything_default=0,
                parser_kwargs={"exit_on_error": False, name: {"exit_on_error": False}},
                trainer_defaults={"log_every_n_steps": 10},
                args=[name, *_with_bases(words[1:])],
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what stands beside trainer, model and data."""
        parser.add_argument("--experiment", type=str, default="custom", help="the run's folder, e.g. chair_v2/proposed")
        parser.add_argument("--recipe", type=str, default="custom", help="name of the training recipe, for tables")
        trained_as = "experiment whose training this one shares: it differs in data.test_detail alone"
        parser.add_argument("--trained_as", type=str | None, default=None, help=trained_as)
        backbone_from = "experiment whose trained backbone this one takes over: one on the same dataset, or a file"
        parser.add_argument("--backbone_from", type=str | None, default=None, help=backbone_from)
        parser.add_argument("--experiments", type=str, default="experiments", help="folder of all experiments")
        parser.add_argument("--runs_dir", type=str, default="runs", help="folder of all runs")
        parser.add_argument("--compile", type=bool, default=False, help="compile the encoders for training")
        parser.add_class_arguments(WandbOptions, "wandb")
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses our words, whatever the process was started with."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Finds the run's folder, and stops here if there is nothing left to do."""
        self.find_folders()
        self._leave_if_done()
        if self.subcommand == "fit" and self.training != self.folder:
            # The training is that of the other experiment, to the last setting.
            config = self.config[self.subcommand]
            config.experiment, config.trained_as, config.data.test_detail = config.trained_as, None, "full"
            self.find_folders()
            self._leave_if_done()
        self.recorder = RunRecorder(
            self.folder,
            yaml.safe_dump(self.settings, sort_keys=False),
            str(self.settings["experiment"]),
            str(self.settings["recipe"]),
            self.seed,
            config_hash(self.settings),
        )

    def find_folders(self) -> None:
        """Resolves the settings, and finds the run's folder and that of its training, mostly the same."""
        config = self.config[self.subcommand]
        parser = self._parser(self.subcommand)
        self.settings = yaml.safe_load(
            parser.dump(config, skip_none=False, skip_validation=True, skip_link_targets=False)
        )
        for key in ("config", "ckpt_path", "weights_only", "return_predictions", "verbose", "experiments"):
            self.settings.pop(key, None)
        del self.settings["backbone_from"]
        if self.backbone_words is not None:
            self.backbone, _ = locate(self.backbone_words)
            experiment = self.backbone.path.relative_to(self.settings["runs_dir"]).parent
            self.settings["backbone_from"] = f"{experiment}/{self.backbone.path.name.rpartition('-s')[0]}"
        self.seed = int(config.seed_everything)
        precision = str(config.trainer.precision)
        if precision.endswith("-true") and not precision.startswith(("32", "64")):
            problem = f"'{precision}' would rank photos by rounded distances"
            raise InputError("trainer.precision", problem, "use bf16-mixed or 16-mixed, which match in float32")
        self.folder = self.training = self._locate("experiment", self.settings)
        if config.trained_as is not None:
            full = {**self.settings, "data": {**self.settings["data"], "test_detail": "full"}}
            self.training = self._locate("trained_as", full)

    def _locate(self, name: str, settings: dict[str, Any]) -> RunFolder:
        """The folder of an experiment that is named in the settings."""
        experiment = str(settings[name])
        if Path(experiment).is_absolute() or ".." in Path(experiment).parts:
            raise InputError(name, f"'{experiment}' leads out of the runs folder", "use e.g. chair_v2/proposed")
        return RunFolder.locate(Path(settings["runs_dir"]), experiment, settings, self.seed)

    def _leave_if_done(self) -> None:
        if self.subcommand in ("fit", "test") and self.folder.is_done:
            result = self.folder.read_result()
            print(
                f"{self.folder.path}: done, nothing to do: {result.system} acc@1 {result.acc1:.2f}, "
                f"acc@10 {result.acc10:.2f} on {result.n_test} sketches of {result.dataset}"
            )
            raise SystemExit(0)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer with our callbacks, folder and loggers."""
        config = self.config_init[self.subcommand]
        if self.subcommand == "fit" and config.compile:
            self.model.compile_encoders()
        self._claim(config)
        folder: Any = {"dirpath": self.folder.checkpoints, "enable_version_counter": False}
        # Of a few dozen queries acc@1 takes few values, and which epoch has the highest is luck; MRR uses every rank.
        best = ModelCheckpoint(filename="best", monitor="val/mrr", mode="max", **folder)
        # Behind `best`, whose score it then holds for a resumed run.
        last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **folder)
        return super().instantiate_trainer(
            callbacks=[*(config.trainer.callbacks or []), self.recorder, best, last],
            logger=False,  # see before_fit
            default_root_dir=str(self.folder.path),
            **kwargs,
        )

    def before_fit(self) -> None:
        """Logs to Weights & Biases if it is installed and wanted."""
        if self._wandb_wanted():
            self.trainer.logger = WandbLogger(experiment=self._wandb_run(), save_dir=self.folder.path)

    def before_test(self) -> None:
        """Finds out before the test whether W&B can be reached."""
        self.wandb_run = self._wandb_run() if self._wandb_wanted() else None

    def after_test(self) -> None:
        """Logs what the test left."""
        if self.wandb_run is not None:
            log_test(self.wandb_run, self.folder)

    def _wandb_wanted(self) -> bool:
        config = self.config_init[self.subcommand]
        return config.wandb.resolved_mode != "disabled" and not config.trainer.fast_dev_run

    def _wandb_run(self) -> Run | None:
        """The W&B run of this folder, in the one process that logs."""
        if not self.trainer.is_global_zero:
            return None
        config, records = self.config_init[self.subcommand], self.datamodule.records
        what = {
            **{key: value for key, value in self.settings.items() if key not in ("wandb", "runs_dir")},
            "system": self.model.name,
            "dataset": records.name,
            "seed": self.seed,
            "split_hash": records.split_hash("test"),
            "config_hash": config_hash(self.settings),
        }
        tags = [records.name, str(config.recipe), f"seed {self.seed}"]
        return open_run(self.folder, str(config.experiment), config.wandb, what, tags)

    def _claim(self, config: Any) -> None:
        """Makes sure that no other process works on the run, and finds the checkpoint to go on from.

        Another process that does is waited for, and what it finished is not done again.

        Raises:
            InputError: if a system is to be evaluated that was never trained, or the checkpoint is damaged.
        """
        fits = self.subcommand == "fit"
        checkpoint = self.training.last_checkpoint if fits else self.training.best_checkpoint
        trained = any(p.requires_grad for p in self.model.parameters())
        if fits and not trained:
            print(f"{self.folder.path}: {self.model.name} has nothing to train; fgsbir test is enough")
            raise SystemExit(0)
        if trained and not fits and config.ckpt_path is None and not checkpoint.exists():
            raise InputError(
                self.training.path, "this run has no checkpoint", "train it first: fgsbir fit with the same settings"
            )
        if self.subcommand in ("fit", "test") and is_first_process():  # it answers for all
            self.held.enter_context(self.folder.lock())
            self._leave_if_done()
            if self.training != self.folder:
                self.folder.copy_training(self.training)
            if fits and self.backbone is not None and not checkpoint.exists() and not config.trainer.fast_dev_run:
                self._take_over_backbone(self.backbone)
        if config.ckpt_path is None and checkpoint.exists():
            config.ckpt_path = str(checkpoint)
        if config.ckpt_path is not None and (given := Path(str(config.ckpt_path))).is_file():
            read_checkpoint(given, "delete it: the training then begins anew" if fits else None)

    def _take_over_backbone(self, run: RunFolder) -> None:
        """Loads the backbone of the best checkpoint of another training, which is first made if it is missing.

        With several processes this is the first one, from which the others get their weights.
        """
        words = self.backbone_words or []
        if not run.is_trained:
            command = f"fgsbir fit {shlex.join(words)}"
            if int(os.environ.get("SLURM_NTASKS", "1")) > 1 or "TORCHELASTIC_RUN_ID" in os.environ:
                raise InputError(run.path, "the backbone to take over is not trained", f"run: {command}")
            print(f"{self.folder.path}: training its backbone first: {command}", flush=True)
            if status := start(command_line("fit", *words), os.environ).wait():
                raise InputError(run.path, f"training the backbone failed, exit status {status}", f"run: {command}")
        load_backbone(self.model, run)


class _Located(Exception):
    """Ends a command line whose run folder is found."""


class _Locator(FgsbirCLI):
    """Finds the run's folder and does nothing else."""

    def before_instantiate_classes(self) -> None:
        """Leaves with the folders."""
        self.find_folders()
        raise _Located(self.folder, self.training)


def run(words: list[str]) -> None:
    """Runs one of LightningCLI's commands.

    Args:
        words: the command and its options.

    Raises:
        InputError: for anything wrong with the options, the configuration or the files that they name.
    """
    keep_freed_memory()
    failed = True
    try:
        _command(FgsbirCLI, words)
        failed = False
    finally:
        close_run(failed)


def locate(words: list[str]) -> tuple[RunFolder, RunFolder]:
    """The folder that a run would have.

    Args:
        words: options of `fgsbir fit`.

    Returns:
        The run's folder, and the one of its training: another where the experiment is `trained_as` another one.

    Raises:
        InputError: for anything wrong with the options.
    """
    try:
        _command(_Locator, ["fit", *words])
    except _Located as found:
        folder, training = found.args
    return folder, training


def _command(cli: type[FgsbirCLI], words: list[str]) -> None:
    try:
        cli(words)
    except ArgumentError as error:
        raise InputError(f"fgsbir {words[0]}", _first_problem(str(error)), f"see fgsbir {words[0]} --help") from None
    except ValueError as error:  # jsonargparse wraps what a class says of its arguments
        raise _input_error(error) or error from None


def keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the kernel.

    Training on a CPU frees and asks for the same large arrays at every step; fetching their pages anew takes up to a
    third of the time. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_max = -1, -4  # from malloc.h
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_max, 0)


def _with_bases(words: list[str]) -> list[str]:
    """Merges each `--config` file with the files that it names under `base`.

    An experiment file thus holds only what sets it apart.

    Raises:
        InputError: if a file is missing or not valid YAML.
    """
    out: list[str] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option not in ("--config", "-c"):
            out.append(word)
            continue
        path = Path(value if equals else next(pending, ""))
        out += ["--config", yaml.safe_dump(load_experiment(path), sort_keys=False)]
    return out


def _input_error(error: BaseException | None) -> InputError | None:
    """The `InputError` that another exception was raised from, if there is one."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def _first_problem(message: str) -> str:
    """The line of jsonargparse's message that says what is wrong; the rest lists what else was tried."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
