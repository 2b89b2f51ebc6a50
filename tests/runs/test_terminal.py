"""What a run prints."""

import re

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

import fgsbir.runs.terminal
from fgsbir.cli import main
from fgsbir.runs.terminal import EpochLines, metric_table


class Learner(LightningModule):
    """Logs the number of the epoch as its loss; an epoch takes ten seconds."""

    def __init__(self, clock):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.clock = clock

    def training_step(self, batch):
        self.clock[0] += 10.0
        self.log("train/loss", float(self.current_epoch), on_epoch=True, on_step=False)
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fgsbir.runs.terminal, "monotonic", lambda: now[0])
    return now


def fit(tmp_path, clock, progress_bar=False):
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[EpochLines()],
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Learner(clock), DataLoader(torch.ones(1, 1)))


def test_a_log_has_a_line_an_epoch(tmp_path, clock, capsys):
    fit(tmp_path, clock)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")] == [
        "epoch 1 of 3: train/loss 0, 10.0 s, about 00:20 left",
        "epoch 2 of 3: train/loss 1, 10.0 s, about 00:10 left",
        "epoch 3 of 3: train/loss 2, 10.0 s",
    ]


def test_a_progress_bar_takes_the_place_of_the_lines(tmp_path, clock, capsys):
    fit(tmp_path, clock, progress_bar=True)
    assert not re.search("^epoch ", capsys.readouterr().out, re.MULTILINE)


def test_metrics_are_one_column():
    assert metric_table({"test/acc1": 20.83333396911621, "test/mean_rank": 3.04, "test/mrr": 100.0}).splitlines() == [
        "metric           value",
        "test/acc1        20.83",
        "test/mean_rank    3.04",
        "test/mrr        100.00",
    ]


@pytest.mark.parametrize(("command", "split"), [("test", "test"), ("validate", "val")])
def test_an_evaluation_prints_each_metric_once(command, split, write_config, capsys):
    config = write_config(model={"class_path": "fgsbir.systems.RawPixels"})
    assert main([command, "--config", str(config)]) == 0
    out = capsys.readouterr().out
    for metric in ("acc1", "acc5", "acc10", "mean_rank", "mrr"):
        assert (
            len(re.findall(rf"^{split}/{metric} +[\d.]+$", out, re.MULTILINE)) == out.count(f"{split}/{metric} ") == 1
        )
