"""A run in two processes, as torchrun starts them."""

import os
import shutil
import socket
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.distributed as dist
from lightning import Trainer
from tiny import EMA, TINY
from torch import multiprocessing

from fgsbir.cli import main
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run
from fgsbir.runs.recorder import RunRecorder

WORLD = 2
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def work(rank, port, config, folder):
    """One of the processes: trains, keeps what it learnt, and tests."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "TORCHELASTIC_RUN_ID": "run"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def keep(self, trainer, pl_module):
        (average,) = (c._average_model for c in trainer.callbacks if hasattr(c, "_average_model"))
        torch.save((pl_module.state_dict(), average.module.state_dict()), f"{folder}/learnt-{rank}.pt")

    RunRecorder.on_fit_end = keep
    assert main(["fit", "--config", config, *TWO]) == 0
    assert main(["test", "--config", config, *TWO]) == 0


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_learn_the_same_and_rank_every_query_once(tmp_path, write_config):
    data, model = deepcopy(TINY["data"]), deepcopy(TINY["model"])
    data["source"]["init_args"] |= {"val": 3, "test": 5, "sketches_per_photo": 1}  # odd: a sampler would repeat some
    model["init_args"]["backbone"]["init_args"]["freeze_bn"] = (
        False  # each process gathers running statistics of its own
    )
    config = write_config(data=data, model=model, trainer={**TINY["trainer"], "callbacks": [EMA]})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, (port, str(config), str(tmp_path)), nprocs=WORLD)

    learnt = [torch.load(tmp_path / f"learnt-{rank}.pt", weights_only=True) for rank in range(WORLD)]
    (run,) = map(RunFolder, (tmp_path / "runs" / "tiny").iterdir())
    last = torch.load(run.last_checkpoint, weights_only=True)
    for first, second in zip(*learnt, strict=True):
        assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert all(torch.equal(value, last["state_dict"][name]) for name, value in learnt[0][1].items())  # what is saved
    assert not torch.equal(last["state_dict"]["embed.weight"], last["current_model_state"]["embed.weight"])

    system, loaders = load_run(run)
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    (alone, _) = trainer.validate(system, loaders, verbose=False)
    best = run.read_metrics()[run.read_result().best_epoch]
    for name in ("val/acc1", "val/mean_rank", "val/mrr"):
        assert best[name] == pytest.approx(alone[name])

    result, ranking = run.read_result(), run.read_ranking()
    assert result.n_test == len(set(ranking.query_ids)) == 5
    shutil.move(run.result, tmp_path / "two.json")
    assert main(["test", "--config", str(config)]) == 0
    again = run.read_ranking()
    for name in ("query_ids", "gallery_ids", "target", "ranks", "top"):
        assert np.array_equal(getattr(ranking, name), getattr(again, name)), name
