"""What a test measures; FLOPs by hand are in tests/commands/test_list.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fgsbir.data.dataset import Rendering
from fgsbir.metrics.cost import Stopwatch, measure, peak_memory, reset_peak_memory
from fgsbir.models.backbone import Backbone
from fgsbir.systems import BSiamese, SketchBertVariant

RENDERING = Rendering(image_size=32, max_points=64)


def test_a_test_counts_what_a_list_counts():
    """A test runs in inference mode, where a transformer's layer would count 0."""
    system = SketchBertVariant(Backbone("test_efficientnet", 2), dim=5).eval()
    expected = measure(system, RENDERING, 3, 2)
    with torch.inference_mode():
        assert measure(system, RENDERING, 3, 2) == expected
        assert torch.is_inference_mode_enabled()


def test_a_cached_trunk_is_counted_and_stays_cached():
    system = BSiamese(Backbone("test_efficientnet", 3, frozen_levels=2)).eval()
    expected = measure(system, RENDERING, 3, 2)
    system.backbone.reads_trunk_features = True
    assert measure(system, RENDERING, 3, 2) == expected
    assert system.backbone.reads_trunk_features


def test_frozen_parameters_are_parameters():
    free, frozen = (BSiamese(Backbone("test_efficientnet", 3, frozen_levels=n)) for n in (0, 2))
    assert measure(free.eval(), RENDERING, 3, 2).parameters == measure(frozen.eval(), RENDERING, 3, 2).parameters


def test_a_stopwatch_adds_up_its_blocks_and_nothing_between(monkeypatch):
    times = iter([1.0, 3.0, 10.0, 10.5, 20.0, 21.0])
    monkeypatch.setattr("fgsbir.metrics.cost.time.perf_counter", lambda: next(times))
    watch = Stopwatch()
    for _ in range(2):
        with watch:
            pass
    assert watch.seconds == 2.5
    with pytest.raises(RuntimeError), watch:
        raise RuntimeError
    assert watch.seconds == 3.5


def test_peak_memory_is_at_least_what_is_held():
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(64 * 2**20 // 4)
    assert peak_memory(torch.device("cpu")) >= max(before, 64)
    assert len(held)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts from the start but on Linux")
def test_the_peak_of_memory_counts_from_the_last_reset():
    cpu = torch.device("cpu")
    before = peak_memory(cpu)
    large = np.ones(2**27 // 8)  # 128 MiB
    assert peak_memory(cpu) > before
    del large
    reset_peak_memory(cpu)
    assert peak_memory(cpu) < before + 64
