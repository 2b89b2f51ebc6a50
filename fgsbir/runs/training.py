"""Fit, validate and test: a resolved run is trained and tested in this process."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jsonargparse import ArgumentError
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

import fgsbir.data.datasets
import fgsbir.losses
import fgsbir.regions.box_file
import fgsbir.regions.selective_search
import fgsbir.regions.view_hierarchy
import fgsbir.systems  # noqa: F401  (the short names of their classes can then be used in configs)
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.errors import InputError
from fgsbir.runs.config import ResolvedRun
from fgsbir.runs.environment import is_first_process
from fgsbir.runs.experiments import Config
from fgsbir.runs.loading import load_backbone
from fgsbir.runs.recorder import RunRecorder
from fgsbir.runs.terminal import EpochLines, metric_table
from fgsbir.runs.wandb_logger import WandbOptions, close_run, log_test, open_run
from fgsbir.systems.base import System
from fgsbir.systems.checkpoint import read_checkpoint
from fgsbir.systems.precision import has_bfloat16, tell_once

if TYPE_CHECKING:
    from wandb import Run

Stage = Literal["fit", "validate", "test"]


class FgsbirCLI(LightningCLI):
    """LightningCLI over a full configuration: it checks every setting and builds trainer, system and data.

    Args:
        config: configuration of a run, or an empty one, for the help alone.
    """

    def __init__(self, config: Config) -> None:
        with _one_line_errors():
            super().__init__(
                System,
                SketchPhotoDataModule,
                subclass_mode_model=True,
                save_config_callback=None,
                seed_everything_default=0,
                parser_kwargs={"exit_on_error": False},
                trainer_defaults={"log_every_n_steps": 10},
                args=config,
                run=False,
                load_from_checkpoint_support=False,  # a System brings its own
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what stands beside trainer, model and data."""
        parser.add_argument("--experiment", type=str, default="custom", help="Name of the run's folder.")
        parser.add_argument("--recipe", type=str, default="custom", help="Name of the training recipe, for tables.")
        trained_as = "Experiment whose training this one shares: the two differ in `data.test_detail` alone."
        parser.add_argument("--trained_as", type=str | None, default=None, help=trained_as)
        backbone_from = "Experiment on the same dataset, or file, whose trained backbone this one takes over."
        parser.add_argument("--backbone_from", type=dict | str | None, default=None, help=backbone_from)
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to start from, or to test.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
        parser.add_argument("--compile", type=bool, default=False, help="Whether to compile the encoders for training.")
        parser.add_class_arguments(WandbOptions, "wandb")
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Checks the configuration, whatever the process was started with."""
        self.config = parser.parse_object(args)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer | None:  # type: ignore[override]
        """The trainer, once it is known what watches it; none before."""
        return super().instantiate_trainer(**kwargs) if kwargs else None


class SettingsParser(FgsbirCLI):
    """The parser of all settings, Lightning's included; builds nothing."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses nothing yet."""
        self.config = parser.get_defaults()

    def instantiate_classes(self) -> None:
        """Builds nothing."""


def print_config(resolved: ResolvedRun) -> None:
    """Prints a configuration with all defaults, Lightning's included.

    Raises:
        InputError: if a setting does not exist or is of the wrong type.
    """
    parser = SettingsParser({}).parser
    with _one_line_errors():
        print(parser.dump(parser.parse_object(resolved.config), skip_none=False), end="")


def print_help() -> None:
    """Prints every setting, including those for Lightning's trainer."""
    SettingsParser({}).parser.print_help()


def run(resolved: ResolvedRun, stages: Sequence[Stage] = ("fit", "test")) -> None:
    """Takes a run through its stages; what is done already is not done again.

    The setting `ckpt_path` is the checkpoint that the first stage starts from, in place of the run's own.

    Args:
        resolved: the run.
        stages: any of "fit", "validate" and "test".

    Raises:
        InputError: for a setting that does not exist, files that cannot be read, or a test without a training.
    """
    if "validate" not in stages and resolved.report_done():
        return
    keep_freed_memory()
    # A worker makes run after run, and Lightning never takes these back.
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    checkpoint = None if resolved.config["ckpt_path"] is None else Path(resolved.config["ckpt_path"])
    if checkpoint is not None and not checkpoint.is_dir():
        read_checkpoint(checkpoint, "name a checkpoint")  # before anything is written
    failed = True
    try:
        for stage in stages:
            path = checkpoint if stage == stages[0] else None
            if stage == "fit":
                _fit(resolved.trained, path)
            else:
                _evaluate(resolved, stage, path)
        failed = False
    finally:
        close_run(failed)


class _Session:
    """A stage of a run: trainer, system and data, built anew, and the folder that they write to."""

    def __init__(self, resolved: ResolvedRun, stage: Stage) -> None:
        self.resolved, self.folder = resolved, resolved.folder
        self.cli = FgsbirCLI(_watched(resolved.config, self.folder.path))
        self.settings = self.cli.config_init
        self.system, self.data = self.cli.model, self.cli.datamodule
        assert isinstance(self.system, System)
        assert isinstance(self.data, SketchPhotoDataModule)
        if stage == "fit" and self.settings.compile:
            self.system.compile_encoders()
        checkpoints: dict[str, Any] = {"dirpath": self.folder.checkpoints, "enable_version_counter": False}
        # acc@1 of a few dozen queries takes few values, and the epoch with the highest is luck; MRR uses every rank.
        best = ModelCheckpoint(filename="best", monitor="val/mrr", mode="max", **checkpoints)
        # Behind `best`, whose score it then holds for a resumed run.
        last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **checkpoints)
        recorder = RunRecorder(resolved)
        trainer = self.cli.instantiate_trainer(
            callbacks=[*(self.settings.trainer.callbacks or []), recorder, EpochLines(), best, last],
            logger=_loggers(self.settings.trainer.logger, self.folder.path),
            default_root_dir=str(self.folder.path),
        )
        assert trainer is not None
        if trainer.precision == "bf16-mixed" and not has_bfloat16(trainer.strategy.root_device):
            tell_once(
                "trainer.precision: no bfloat16 instructions on this processor; 32-true is faster than bf16-mixed"
            )
        self.trainer = trainer

    @property
    def learns(self) -> bool:
        """Whether the system has anything to train."""
        return any(p.requires_grad for p in self.system.parameters())

    def report(self, metrics: Sequence[Mapping[str, float]]) -> None:
        """Prints the metrics of an evaluation, given for each of its two loaders, which are evaluated as one."""
        if self.trainer.is_global_zero:
            print(metric_table(metrics[0]), flush=True)

    def open_wandb(self) -> Run | None:
        """The W&B run of this folder, in the one process that logs; None where W&B is not wanted."""
        options, config = self.settings.wandb, self.resolved.config
        unwanted = options.resolved_mode == "disabled" or self.settings.trainer.fast_dev_run
        if unwanted or not self.trainer.is_global_zero:
            return None
        records = self.data.records
        what = {
            **{key: value for key, value in config.items() if key not in ("wandb", "runs_dir")},
            "system": self.system.name,
            "dataset": records.name,
            "seed": self.resolved.seed,
            "split_hash": records.split_hash("test"),
            "config_hash": self.resolved.hash,
        }
        tags = [records.name, str(config["recipe"]), f"seed {self.resolved.seed}"]
        return open_run(self.folder, str(config["experiment"]), options, what, tags)


def _watched(config: Config, folder: Path) -> Config:
    """A configuration without progress bars where nobody looks, and with a place for loggers that have none."""
    trainer = dict(config["trainer"])
    bars = [str(c.get("class_path")) for c in trainer.get("callbacks") or [] if isinstance(c, dict)]
    if not sys.stdout.isatty() and not any(name.endswith("ProgressBar") for name in bars):
        trainer = {"enable_progress_bar": False, "enable_model_summary": False, **trainer}
    loggers = trainer.get("logger")
    many = loggers if isinstance(loggers, list) else [loggers]
    many = [_with_folder(logger, folder / "logs") for logger in many]
    trainer["logger"] = many if isinstance(loggers, list) else many[0]
    return {**config, "trainer": trainer}


def _with_folder(logger: Any, folder: Path) -> Any:
    """A logger of files that was given no folder writes to the run folder."""
    node = {"class_path": logger} if isinstance(logger, str) else logger
    if not isinstance(node, dict) or str(node.get("class_path")).rpartition(".")[2] not in (
        "CSVLogger",
        "TensorBoardLogger",
    ):
        return logger
    return {**node, "init_args": {"save_dir": str(folder), **(node.get("init_args") or {})}}


def _loggers(given: Any, folder: Path) -> list[Logger]:
    """The user's loggers: `true` is a CSV file, `false` or nothing is none."""
    if given is True:
        return [CSVLogger(folder / "logs")]
    return list(given) if isinstance(given, list) else [given] if given else []


def _fit(resolved: ResolvedRun, ckpt_path: Path | None) -> None:
    """Trains a run, from where it was interrupted; its backbone first, if it takes one over."""
    folder, backbone = resolved.folder, resolved.backbone
    if resolved.report_done():  # in every process: none must wait for others that have left
        return
    session = _Session(resolved, "fit")
    if not session.learns:
        print(f"{folder.path}: {session.system.name} has nothing to train; fgsbir test is enough")
        return
    fast = bool(session.settings.trainer.fast_dev_run)
    last = folder.last_checkpoint
    if backbone is not None and not fast and not last.exists() and not backbone.folder.is_trained:
        _train_backbone(resolved, backbone)
        session = _Session(resolved, "fit")  # seeded anew: as if the backbone had been there
    with ExitStack() as held:
        if is_first_process():  # it answers for all
            held.enter_context(folder.lock())
            if resolved.report_done():
                return
            if backbone is not None and not last.exists() and not fast:
                load_backbone(session.system, backbone.folder)
        checkpoint = ckpt_path or (last if last.exists() else None)
        if checkpoint == last and not last.is_dir():
            read_checkpoint(last, "delete it: the training then begins anew")
        if (wandb_run := session.open_wandb()) is not None:
            logger = WandbLogger(experiment=wandb_run, save_dir=folder.path)
            session.trainer.loggers = [*session.trainer.loggers, logger]
        session.trainer.fit(session.system, session.data, ckpt_path=checkpoint and str(checkpoint), weights_only=True)


def _train_backbone(resolved: ResolvedRun, backbone: ResolvedRun) -> None:
    """Trains the run whose backbone another one takes over."""
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        fix = f"run: fgsbir fit --experiment {backbone.config['experiment']} with the same settings, in one process"
        raise InputError(backbone.folder.path, "the backbone to take over is not trained", fix)
    print(f"{resolved.folder.path}: training its backbone first: {backbone.folder.path}", flush=True)
    _fit(backbone, None)


def _evaluate(resolved: ResolvedRun, stage: Literal["validate", "test"], ckpt_path: Path | None) -> None:
    """Validates or tests the best checkpoint of a run."""
    folder, trained = resolved.folder, resolved.trained.folder
    session = _Session(resolved, stage)
    best = trained.best_checkpoint
    if session.learns and ckpt_path is None and not best.exists():
        fix = "train it first: fgsbir fit with the same settings"
        raise InputError(trained.path, "this run has no checkpoint", fix)
    with ExitStack() as held:
        if stage == "test" and is_first_process():
            held.enter_context(folder.lock())
            if resolved.report_done():
                return
            if resolved.training is not None:
                folder.copy_training(trained)
        checkpoint = ckpt_path or (best if best.exists() else None)
        if checkpoint == best and not best.is_dir():
            read_checkpoint(best)
        given: dict[str, Any] = {"ckpt_path": checkpoint and str(checkpoint), "weights_only": True, "verbose": False}
        if stage == "validate":
            session.report(session.trainer.validate(session.system, session.data, **given))
            return
        wandb_run = session.open_wandb()
        session.report(session.trainer.test(session.system, session.data, **given))
        if wandb_run is not None:
            log_test(wandb_run, folder)


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


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turns what jsonargparse says of a bad setting into an `InputError`."""
    try:
        yield
    except (ArgumentError, TypeError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):  # jsonargparse wraps what a class says
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise cause from None
        if isinstance(error, ArgumentError):
            raise _refusal(str(error)) from None
        raise


def _refusal(message: str) -> InputError:
    """What jsonargparse says of a setting, in one line: which one, what it should be, and what it is.

    Its message nests the settings from the outermost to the one at fault, and lists all that was tried for each.
    """
    fix = "see fgsbir fit --help=all"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    inside = message.rpartition(f'Parser key "{keys[-1]}"')[2] if keys else ""
    expected = re.findall(r"Expected an? ((?:typing\.)?[^.\n]+)", inside)
    wanted = [re.sub(r"<class '(?:.*\.)?(\w+)'>|typing\.Literal", r"\1", text) for text in expected]
    wanted = [text for text in wanted if text != "NoneType"]
    if not wanted:
        return InputError("fgsbir", message.splitlines()[0].rstrip(":"), fix)
    if wanted[0].startswith("dot import path string: "):
        return InputError(".".join(keys), f"there is no class '{wanted[0].rpartition(' ')[2]}'", fix)
    given = re.search(r"(?:Given|Got) value: ([^\n]{0,80})", inside)
    return InputError(".".join(keys), f"{given[1] if given else 'it'} is not {' or '.join(wanted)}", fix)
