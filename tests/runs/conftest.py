from collections.abc import Callable
from typing import Any

import pytest

from fgsbir.runs.result import Result


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A function that makes a plausible result, with some figures replaced."""

    def make(**changes: Any) -> Result:
        return Result(
            **{
                "system": "proposed",
                "dataset": "chair_v2",
                "experiment": "chair_v2/proposed",
                "recipe": "paper",
                "seed": 0,
                "n_test": 323,
                "n_gallery": 100,
                "split_hash": "0123abcd",
                "acc1": 62.4567,
                "acc5": 85.0,
                "acc10": 90.714,
                "mean_rank": 3.14159,
                "mrr": 71.2345,
                "val_acc1": 60.0,
                "best_epoch": 12,
                "train_seconds": 3600.25,
                "test_seconds": 7.04,
                "parameters": 23_000_000,
                "commit": "f" * 40,
                "config_hash": "12345678",
                "hardware": "2 x AMD EPYC, 24 GiB",
                "versions": {"fgsbir": "0.2.0", "torch": "2.9.1"},
                "finished": "2025-11-24T00:00:00+00:00",
                **changes,
            }
        )

    return make
