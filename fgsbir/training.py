"""`fgsbir fit|validate|test|predict`: LightningCLI, with one folder a run."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

import fgsbir.data.sources
import fgsbir.regions.box_file
import fgsbir.regions.selective_search
import fgsbir.systems  # noqa: F401  (their short class names can then be used in configs)
from fgsbir.data.datamodule import SketchPhotoData
from fgsbir.errors import InputError
from fgsbir.runs.folder import RunFolder, config_hash
from fgsbir.runs.recorder import RunRecorder
from fgsbir.systems.base import System


class FgsbirCLI(LightningCLI):
    """LightningCLI that gives every run a folder of its own and goes on where a run stopped."""

    folder: RunFolder

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what stands beside trainer, model and data."""
        parser.add_argument("--experiment", type=str, default="custom", help="the run's folder, e.g. chair_v2/proposed")
        parser.add_argument("--recipe", type=str, default="custom", help="name of the training recipe, for tables")
        parser.add_argument("--runs_dir", type=str, default="runs", help="folder of all runs")
        parser.add_argument("--wandb.mode", type=str, default="offline", help="online, offline or disabled")
        parser.add_argument("--wandb.project", type=str, default="fgsbir", help="project at Weights & Biases")
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses our words, whatever the process was started with."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Finds the run's folder, and stops here if there is nothing left to do."""
        config = self.config[self.subcommand]
        parser = self._parser(self.subcommand)
        settings = yaml.safe_load(parser.dump(config, skip_none=False, skip_validation=True, skip_link_targets=False))
        for key in ("config", "ckpt_path", "weights_only", "return_predictions", "verbose"):
            settings.pop(key, None)
        self.seed = int(config.seed_everything)
        experiment = str(config.experiment)
        if Path(experiment).is_absolute() or ".." in Path(experiment).parts:
            raise InputError("experiment", f"'{experiment}' leads out of the runs folder", "use e.g. chair_v2/proposed")
        self.folder = RunFolder.locate(Path(config.runs_dir), experiment, settings, self.seed)
        if self.subcommand in ("fit", "test") and self.folder.is_done:
            result = self.folder.read_result()
            print(
                f"{self.folder.path}: done, nothing to do: {result.system} acc@1 {result.acc1:.2f}, "
                f"acc@10 {result.acc10:.2f} on {result.n_test} sketches of {result.dataset}"
            )
            raise SystemExit(0)
        if config.ckpt_path is None:
            if self.subcommand == "fit":
                config.ckpt_path = _existing(self.folder.last_checkpoint)
            else:
                config.ckpt_path = _existing(self.folder.best_checkpoint)
        self.recorder = RunRecorder(
            self.folder,
            yaml.safe_dump(settings, sort_keys=False),
            experiment,
            str(config.recipe),
            self.seed,
            config_hash(settings),
        )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer with our callbacks, folder and loggers."""
        config = self.config_init[self.subcommand]
        folder: Any = {"dirpath": self.folder.checkpoints, "enable_version_counter": False}
        # Of a few dozen queries acc@1 takes few values, and which epoch has the highest is luck; MRR uses every rank.
        best = ModelCheckpoint(filename="best", monitor="val/mrr", mode="max", **folder)
        # Behind `best`, whose score it then holds for a resumed run.
        last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **folder)
        return super().instantiate_trainer(
            callbacks=[*(config.trainer.callbacks or []), self.recorder, best, last],
            logger=self._logger() if self.subcommand == "fit" else False,
            default_root_dir=str(self.folder.path),
            **kwargs,
        )

    def _logger(self) -> Logger | bool:
        """Weights & Biases if it is installed and wanted; metrics.csv is written in any case."""
        config = self.config[self.subcommand].wandb
        mode = os.environ.get("WANDB_MODE", config.mode)
        if mode not in ("online", "offline", "disabled"):
            raise InputError("wandb.mode", f"'{mode}' is unknown", "use online, offline or disabled")
        if mode == "disabled":
            return False
        try:
            from lightning.pytorch.loggers import WandbLogger

            # One id a run folder, so that a resumed run goes on in the same place.
            name = f"{self.config[self.subcommand].experiment}/{self.folder.path.name}"
            logger = WandbLogger(
                name=name,
                id=name.replace("/", "-"),
                group=str(Path(name).parent),
                save_dir=self.folder.path,
                project=config.project,
                offline=mode == "offline",
                resume="allow" if mode == "online" else None,
            )
        except ModuleNotFoundError:
            return False
        self.folder.path.mkdir(parents=True, exist_ok=True)
        logger.experiment.define_metric("val/acc1", summary="max")
        logger.experiment.define_metric("val/acc10", summary="max")
        return logger

    def before_test(self) -> None:
        """Refuses to test a system that was never trained."""
        self._need_checkpoint()

    before_validate = before_test
    before_predict = before_test

    def _need_checkpoint(self) -> None:
        trained = any(p.requires_grad for p in self.model.parameters())
        if trained and self.config[self.subcommand].ckpt_path is None:
            raise InputError(
                self.folder.path, "this run has no checkpoint", "train it first: fgsbir fit with the same settings"
            )


def run(words: list[str]) -> None:
    """Runs one of LightningCLI's commands.

    Args:
        words: the command and its options.

    Raises:
        InputError: for anything wrong with the options, the configuration or the files that they name.
    """
    name = words[0]
    keep_freed_memory()
    try:
        FgsbirCLI(
            System,
            SketchPhotoData,
            subclass_mode_model=True,
            save_config_callback=None,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            parser_kwargs={"exit_on_error": False, name: {"exit_on_error": False}},
            trainer_defaults={"log_every_n_steps": 10},
            args=[name, *_with_bases(words[1:])],
        )
    except ArgumentError as error:
        raise InputError(f"fgsbir {name}", _first_problem(str(error)), f"see fgsbir {name} --help") from None
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


def load_experiment(path: Path, inside: tuple[Path, ...] = ()) -> dict[str, Any]:
    """An experiment file merged over its bases; later bases win, and the file itself wins over all.

    Args:
        path: the file; the paths under its `base` are relative to it.
        inside: files that are being merged, to find circles.

    Raises:
        InputError: if a file is missing, not valid YAML or its own base.
    """
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read", "check the path of the config") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid YAML ({str(error).splitlines()[0]})", "mend the file") from None
    if not isinstance(config, dict):
        raise InputError(path, "not a configuration", "write keys and values")
    if path.resolve() in inside:
        raise InputError(path, "it names itself as its base", "remove one 'base'")
    merged: dict[str, Any] = {}
    for base in config.pop("base", []):
        merged = _merge(merged, load_experiment(path.parent / base, (*inside, path.resolve())))
    merged = _merge(merged, config)
    return merged


def _merge(base: Any, over: Any) -> Any:
    """Nested merge; a class replaced by another takes none of its arguments."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    if "class_path" in base and over.get("class_path", base["class_path"]) != base["class_path"]:
        return over
    return {
        key: _merge(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key))
        for key in base | over
    }


def _existing(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _input_error(error: BaseException | None) -> InputError | None:
    """The `InputError` that another exception was raised from, if there is one."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def _first_problem(message: str) -> str:
    """The line of jsonargparse's message that says what is wrong; the rest lists what else was tried."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
