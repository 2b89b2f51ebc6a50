"""What a run prints: a line an epoch where there is no progress bar, and a table of its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from fgsbir.visualization.tables import Column, Table, plain, rounded, to_text


class EpochLines(Callback):
    """Prints a line an epoch, with metrics, seconds and the time that is left, where there is no progress bar."""

    def __init__(self) -> None:
        self._started = self._epoch_started = 0.0
        self._first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the training."""
        self._started, self._first = monotonic(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the epoch."""
        self._epoch_started = monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the line."""
        if trainer.progress_bar_callback is not None or not trainer.is_global_zero:
            return
        now, epoch, last = monotonic(), trainer.current_epoch + 1, trainer.max_epochs or 0
        parts = [f"{name} {float(value):.4g}" for name, value in trainer.callback_metrics.items()]
        parts.append(f"{now - self._epoch_started:.1f} s")
        if last > epoch:
            left = (now - self._started) / (epoch - self._first) * (last - epoch)
            parts.append(f"about {tqdm.format_interval(left)} left")
        print(f"epoch {epoch}{f' of {last}' if last > 0 else ''}: {', '.join(parts)}", flush=True)


def metric_table(metrics: Mapping[str, float]) -> str:
    """Metrics, a line each.

    Args:
        metrics: values by name, e.g. "test/acc1".
    """
    columns = (Column("", "metric", ("metric",), True), Column("", "value", ("value",)))
    rows = tuple((plain(name), rounded(value)) for name, value in metrics.items())
    return to_text(Table("metrics", "", {}, columns, (rows,)))
