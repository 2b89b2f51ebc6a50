"""Tiny runs with random weights: what a training would have left, at once."""

import torch
import yaml
from tiny import PROPOSED, TINY

from fgsbir.data.reading import Reader
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import build


def model(name="proposed.Proposed", nodes=None, **settings):
    """The configuration of a tiny system; one of nodes takes `nodes`."""
    init_args = {**TINY["model"]["init_args"], **settings}
    if name != "b_siamese.BSiamese":
        own = {"region_grid": 3, "global_weight": 0.5, **(nodes or {})}
        init_args["nodes"] = {**PROPOSED["init_args"]["nodes"], **own}
    return {"class_path": f"fgsbir.systems.{name}", "init_args": init_args}


def make_run(folder, model, seed=0, **data):
    """The folder of a run whose best checkpoint has random weights."""
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    source = {**TINY["data"]["source"], "init_args": {**TINY["data"]["source"]["init_args"], "test": 14}}
    config = {"experiment": "tiny/one", "model": model, "data": {**TINY["data"], "source": source, **data}}
    run.config.write_text(yaml.safe_dump(config))
    torch.manual_seed(seed)
    system, loaders = build(run.read_config(), run.config, "")
    if "source" not in data:  # the dataset of another source may be missing
        system.reader = Reader.of(loaders)
    checkpoint = {"state_dict": system.state_dict()}
    system.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, run.best_checkpoint)
    return run.path
