"""What several tests use."""

import os
from pathlib import Path

import pytest
import torch
import yaml
from tiny import TINY


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
