"""Mixed precision ends with the encodings, and compiled encoders encode the same, in every system."""

import os
import shutil
import sys
from functools import partial

import pytest
import torch
from tiny import PROPOSED
from tiny_systems import make, photos_of, sketches_of

from fgsbir.cli import main
from fgsbir.data.sample import PairBatch
from fgsbir.models import region_encoder
from fgsbir.models.hierarchy import NodeFusion
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.hashing import config_hash
from fgsbir.systems import SYSTEMS
from fgsbir.systems.precision import tell_once

COMPILER = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")


def batch():
    return PairBatch(sketches_of([1, 6, 3, 2]), photos_of([7, 1, 4, 5]))


def half():
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "raw_pixels"])
def test_the_loss_under_bf16_is_that_of_its_encodings_in_float32(name):
    system, pairs = make(name), batch()
    with half():
        loss = system.batch_loss(pairs)
        encoded = system.encode_batch(pairs.sketch), system.encode_batch(pairs.photo)
    expected = system.pair_loss(*encoded, pairs.photo.position)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-6)  # bf16 keeps two to three digits
    assert system.match_all(*encoded).dtype == torch.float32
    loss.backward()
    for parameter, value in system.named_parameters():
        assert value.grad is None or value.grad.isfinite().all(), parameter


@pytest.mark.parametrize("name", ["proposed", "without_localised_coattn"])
def test_regions_noise_and_choices_are_float32_under_bf16(name, monkeypatch):
    seen = []
    fuse, align = NodeFusion.forward, region_encoder.roi_align

    def fusing(self, nodes, count):
        seen.append((nodes.dtype, torch.is_autocast_enabled("cpu")))
        return fuse(self, nodes, count)

    def aligning(maps, *args, **kwargs):
        out = align(maps, *args, **kwargs)
        seen.append((maps.dtype, out.dtype == torch.bfloat16))
        return out

    monkeypatch.setattr(NodeFusion, "forward", fusing)
    monkeypatch.setattr(region_encoder, "roi_align", aligning)
    with half():
        make(name).train().batch_loss(batch())
    assert len(seen) > 8
    assert set(seen) == {(torch.float32, False)}


@pytest.mark.slow
def test_a_run_in_bf16_ranks_in_float32(tmp_path, write_config, monkeypatch, capsys):
    monkeypatch.setattr("fgsbir.runs.training.has_bfloat16", lambda _: False)
    tell_once.cache_clear()
    words = ["--config", str(write_config(model=PROPOSED)), "--trainer.precision", "bf16-mixed"]
    assert main(["fit", *words]) == 0
    assert main(["test", *words]) == 0
    assert capsys.readouterr().err.count("32-true is faster than bf16-mixed") == 1
    (run,) = map(RunFolder, (tmp_path / "runs" / "tiny").iterdir())
    distances = torch.from_numpy(run.read_ranking().top_distances)
    assert not torch.equal(distances, distances.bfloat16().float())
    assert all(torch.isfinite(torch.tensor(row["train/loss"])) for row in run.read_metrics())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--trainer.precision", "bf16-true"], "trainer.precision: 'bf16-true' would rank photos by rounded distances"),
        (["--compile", "true"], "compile: there is no C++ compiler 'no-such-compiler'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(words, says, write_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert main(["fit", "--config", str(write_config()), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"fgsbir: error: {says}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_compiled_encoders_encode_the_same(name, monkeypatch):
    """Traced as for a compiler, but run as they are: that needs no C++ and little time."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setenv("CXX", sys.executable)
    torch._dynamo.reset()
    system, pairs = make(name), batch()
    with torch.no_grad():
        expected = [system.encode_batch(picture) for picture in pairs]
        torch._dynamo.utils.counters.clear()
        system.compile_encoders()
        found = [system.encode_batch(picture) for picture in pairs]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for encodings in zip(found, expected, strict=True):
        for field, plain in zip(*encodings, strict=True):
            torch.testing.assert_close(field, plain)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"there is no C++ compiler {COMPILER}")
def test_code_that_was_compiled_encodes_the_same():
    torch._dynamo.reset()
    system, sketches = make("raw_pixels"), sketches_of([2, 3])
    expected = system.encode_batch(sketches).vector
    system.compile_encoders()
    torch.testing.assert_close(system.encode_batch(sketches).vector, expected, atol=1e-5, rtol=1e-5)


def test_compiling_is_no_part_of_the_hash_but_precision_is():
    plain = config_hash({"trainer": {"precision": None}})
    assert config_hash({"compile": True, "trainer": {"precision": None}}) == plain
    assert config_hash({"trainer": {"precision": "bf16-mixed"}}) != plain
