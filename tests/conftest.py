"""What several tests use: a tiny dataset and a tiny configuration, all made on the spot."""

import os
from pathlib import Path

import pytest
import torch
import yaml

TINY = {
    "model": {
        "class_path": "fgsbir.systems.b_siamese.BSiamese",
        "init_args": {
            "backbone": {
                "class_path": "fgsbir.models.backbone.Backbone",
                "init_args": {"name": "test_efficientnet", "level": 3, "weights": "none"},
            },
            "optimisation": {"lr": 1.0e-3},
        },
    },
    "data": {
        "source": {
            "class_path": "fgsbir.data.sources.Embedded",
            "init_args": {"train": 6, "val": 3, "test": 4, "sketches_per_photo": 2, "size": 64},
        },
        "rendering": {"image_size": 64, "num_regions": 5, "max_strokes": 6},
        "augmentation": {"flip": 0.5, "sketch_affine": 0.5, "photo_affine": 0.5, "stroke_dropout": 0.1},
        "batch_size": 4,
        "num_workers": 0,
    },
    "trainer": {
        "max_epochs": 2,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    },
}

PROPOSED = {
    "class_path": "fgsbir.systems.proposed.Proposed",
    "init_args": {**TINY["model"]["init_args"], "dim": 16, "hidden": 8},
}


@pytest.fixture(autouse=True)
def private(tmp_path, monkeypatch):
    """No cache, account or thread setting of the machine plays a part."""
    monkeypatch.setenv("FGSBIR_CACHE", os.environ.get("FGSBIR_TEST_CACHE", str(tmp_path / "cache")))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    torch.set_num_threads(1)


@pytest.fixture
def write_config(tmp_path):
    """Writes a tiny configuration, with changes, and returns its path."""

    def write(name: str = "tiny", **changes: object) -> Path:
        config = {**TINY, "experiment": name, "runs_dir": str(tmp_path / "runs"), **changes}
        path = tmp_path / f"{name.replace('/', '-')}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write
