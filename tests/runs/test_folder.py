import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from fgsbir.errors import InputError
from fgsbir.metrics.ranking import rank_gallery
from fgsbir.runs.folder import RunFolder, find_runs
from fgsbir.runs.hashing import config_hash
from fgsbir.runs.result import Result

MakeResult = Callable[..., Result]

CONFIG: dict[str, Any] = {
    "seed_everything": 0,
    "experiment": "chair_v2/proposed",
    "model": {
        "class_path": "fgsbir.systems.Proposed",
        "init_args": {"lr": 1e-4, "epochs": 10, "soft": True, "gate": None, "weights": "none", "levels": [1, 2]},
    },
    "data": {"class_path": "fgsbir.data.ChairV2", "init_args": {"root": "data", "num_workers": 0, "batch_size": 16}},
    "trainer": {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
        "logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": "runs"}}],
        "callbacks": [
            {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.99}},
            {"class_path": "ModelCheckpoint", "init_args": {"dirpath": "runs/a", "monitor": "val/acc1"}},
        ],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """CONFIG with the value at a dotted path replaced or added."""
    config = copy.deepcopy(CONFIG)
    node: Any = config
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        node = node.setdefault(part, {}) if isinstance(part, str) else node[part]
    node[last] = value
    return config


def backwards(value: Any) -> Any:
    """The same mappings with their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def test_hash_is_eight_hex_digits_in_every_process() -> None:
    digest = config_hash(CONFIG)
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    program = f"from fgsbir.runs.hashing import config_hash; print(config_hash({CONFIG!r}))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert config_hash(backwards(CONFIG)) == config_hash(CONFIG)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed_everything", 7),
        ("experiment", "other"),
        ("config", ["a.yaml"]),
        ("ckpt_path", "last.ckpt"),
        ("runs_dir", "/elsewhere"),
        ("wandb.mode", "online"),
        ("trainer.accelerator", "gpu"),
        ("trainer.devices", 8),
        ("trainer.num_nodes", 2),
        ("trainer.strategy", "ddp"),
        ("trainer.logger", False),
        ("trainer.log_every_n_steps", 1),
        ("trainer.default_root_dir", "/elsewhere"),
        ("trainer.enable_progress_bar", False),
        ("trainer.callbacks.1.init_args.dirpath", "/elsewhere"),
        ("data.init_args.root", Path("/elsewhere")),
        ("data.init_args.cache_dir", "/elsewhere"),
        ("data.init_args.num_workers", 8),
        ("data.init_args.pin_memory", True),
    ],
)
def test_what_does_not_change_a_result_does_not_change_the_hash(path: str, value: Any) -> None:
    assert config_hash(changed(path, value)) == config_hash(CONFIG)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.class_path", "fgsbir.systems.BSiamese"),
        ("model.init_args.lr", 2e-4),
        ("model.init_args.soft", 1),
        ("model.init_args.gate", "None"),
        ("model.init_args.levels", [2, 1]),
        ("model.init_args.weights", "timm"),
        ("model.init_args.experiment", "not at the top"),
        ("data.init_args.batch_size", 32),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.max_epochs", 3),
        ("trainer.callbacks.0.init_args.decay", 0.9),
        ("trainer.callbacks", []),
    ],
)
def test_what_changes_a_result_changes_the_hash(path: str, value: Any) -> None:
    assert config_hash(changed(path, value)) != config_hash(CONFIG)


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001", "1.0E-04", "+1e-4", "'1e-4'"])
def test_a_number_may_be_spelled_in_any_way(text: str) -> None:
    assert config_hash(changed("model.init_args.lr", yaml.safe_load(text))) == config_hash(CONFIG)


def test_a_whole_number_may_be_a_float() -> None:
    assert config_hash(changed("model.init_args.epochs", 10.0)) == config_hash(CONFIG)
    assert config_hash(changed("model.init_args.epochs", 10.5)) != config_hash(CONFIG)


def test_of_a_weights_file_only_the_name_counts() -> None:
    def digest(path: object) -> str:
        return config_hash(changed("model.init_args.weights", path))

    assert digest("/here/lite0.safetensors") == digest("lite0.safetensors") == digest(Path("there/lite0.safetensors"))
    assert digest("/here/lite0.safetensors") != digest("/here/lite1.safetensors")


def test_of_an_absolute_path_only_the_name_counts() -> None:
    def digest(path: object) -> str:
        return config_hash(changed("data.init_args.pairs", path))

    assert digest("/here/pairs.csv") == digest(Path("/there/pairs.csv")) != digest("/here/other.csv")
    assert digest("a/b") != digest("c/b")


def test_an_object_that_is_no_configuration_is_refused() -> None:
    with pytest.raises(TypeError):
        config_hash({"model": object()})


def test_checkpoints_lie_in_the_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.best_checkpoint == tmp_path / "checkpoints" / "best.ckpt"
    assert run.last_checkpoint == tmp_path / "checkpoints" / "last.ckpt"


def test_a_run_exists_then_is_done(tmp_path: Path, make_result: MakeResult) -> None:
    run = RunFolder(tmp_path / "run")
    assert (run.exists, run.is_done) == (False, False)
    run.write_env()
    assert (run.exists, run.is_done) == (True, False)
    result = make_result(val_acc1=None, best_epoch=None, train_seconds=None, commit=None, acc1=62)
    run.write_result(result)
    assert run.is_done
    assert run.read_result() == result


@pytest.mark.parametrize("text", ["", '{"acc1": 6', "[]", "{}", b"\xff\xfe"])
def test_a_damaged_result_is_reported_and_the_run_is_not_done(tmp_path: Path, text: str | bytes) -> None:
    run = RunFolder(tmp_path)
    run.result.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not run.is_done
    with pytest.raises(InputError, match=r"result\.json: "):
        run.read_result()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acc1", "62.4"),
        ("acc1", None),
        ("seed", 0.5),
        ("seed", True),
        ("versions", []),
        ("commit", 3),
        ("system", None),
    ],
)
def test_a_figure_of_the_wrong_type_is_named(make_result: MakeResult, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{name}'"):
        Result.from_dict({**make_result().to_dict(), name: value})


def test_a_missing_figure_is_named_and_an_unknown_one_left_out(make_result: MakeResult) -> None:
    data = make_result().to_dict()
    assert Result.from_dict({**data, "from_a_later_version": 1}) == make_result()
    del data["mrr"]
    with pytest.raises(ValueError, match="'mrr' is missing"):
        Result.from_dict(data)


def test_a_result_without_costs_is_one_of_an_earlier_version(make_result: MakeResult) -> None:
    costs = {"all_parameters": 7, "sketch_flops": 1, "photo_flops": 2, "pair_flops": 3, "query_ms": 4.5}
    data = make_result(**costs, peak_memory_mib=100).to_dict()
    assert Result.from_dict(data).to_dict() == data
    assert Result.from_dict({k: v for k, v in data.items() if k not in {*costs, "peak_memory_mib"}}) == make_result()
    with pytest.raises(ValueError, match="'query_ms'"):
        Result.from_dict({**data, "query_ms": "fast"})


def test_a_result_that_is_not_a_number_is_not_written(tmp_path: Path, make_result: MakeResult) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        run.write_result(make_result(acc1=float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_env_holds_weights_and_extras(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_env([{"source": "/home/me/lite0.safetensors", "sha256": "ab"}], {"command": "fgsbir fit"})
    env = run.read_env()
    assert env["weights"] == [{"source": "lite0.safetensors", "sha256": "ab"}]
    assert env["command"] == "fgsbir fit"
    assert env["versions"]["torch"]


def test_config_is_read_and_damage_reported(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"config\.yaml: no such file"):
        run.read_config()
    run.config.write_text(yaml.safe_dump(CONFIG))
    assert run.read_config() == CONFIG
    for damaged in ("a: [", "- a"):
        run.config.write_text(damaged)
        with pytest.raises(InputError, match=r"config\.yaml: not"):
            run.read_config()


def test_metrics_leave_out_what_was_not_logged(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text("epoch,step,train/loss,val/acc1\n0,9,0.5,\n0,9,,41.25\n")
    assert run.read_metrics() == [
        {"epoch": 0, "step": 9, "train/loss": 0.5},
        {"epoch": 0, "step": 9, "val/acc1": 41.25},
    ]
    for damaged in ("0,9,half,\n", "0,9,1,2,3\n"):
        run.metrics.write_text("epoch,step,train/loss,val/acc1\n" + damaged)
        with pytest.raises(InputError, match=r"metrics\.csv: line 2"):
            run.read_metrics()


def test_ranking_is_read_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_ranking(rank_gallery(torch.tensor([[0.3, 0.1]]), torch.tensor([0]), ["s"], ["p", "q"]))
    ranking = run.read_ranking()
    assert ranking.ranks.tolist() == [2]
    assert ranking.gallery_ids[ranking.top[0]].tolist() == ["q", "p"]


def test_thumbnails_are_read_back_and_damage_reported(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    run.write_thumbnails(pictures[:2], pictures[2:])
    thumbnails = run.read_thumbnails()
    np.testing.assert_array_equal(thumbnails.photos, pictures[:2])
    np.testing.assert_array_equal(thumbnails.sketches, pictures[2:])
    for wrong in (pictures.astype(np.float32), pictures[:, :48], pictures[0]):
        with pytest.raises(ValueError, match="sketches must be"):
            run.write_thumbnails(pictures, wrong)
    np.savez(run.thumbnails, photos=pictures)
    with pytest.raises(InputError, match=r"thumbnails\.npz"):
        run.read_thumbnails()


def test_hierarchy_is_read_back_and_damage_reported(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    pairs = [{"query": "größer", "merges": [[0, 1], [2, 3]]}]
    run.write_hierarchy(pairs)
    assert run.read_hierarchy() == pairs
    for damaged in ("[", "{}"):
        run.hierarchy.write_text(damaged)
        with pytest.raises(InputError, match=r"hierarchy\.json"):
            run.read_hierarchy()


def test_only_finished_runs_are_found_in_order(tmp_path: Path, make_result: MakeResult) -> None:
    for name in ("b/22222222-s0", "a/deep/11111111-s1", "a/deep/11111111-s0"):
        RunFolder(tmp_path / name).write_result(make_result())
    RunFolder(tmp_path / "a/deep/33333333-s0").write_hierarchy([])
    found = [run.path.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert found == ["a/deep/11111111-s0", "a/deep/11111111-s1", "b/22222222-s0"]
    with pytest.raises(InputError, match="no such folder"):
        find_runs(tmp_path / "missing")


def test_reading_runs_does_not_wait_for_torch() -> None:
    program = "import sys, fgsbir.runs.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_json_is_readable_by_people(tmp_path: Path, make_result: MakeResult) -> None:
    run = RunFolder(tmp_path)
    run.write_result(make_result())
    lines = run.result.read_text().splitlines()
    assert '  "acc1": 62.4567,' in lines
    assert list(json.loads("\n".join(lines))) == list(make_result().to_dict())


HOLD = """
import os, sys, time
from pathlib import Path
from fgsbir.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    child = os.fork()  # as a loader process is made
    if not child:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_the_reciprocal_rank_of_version_0_1_is_read_as_percent(tmp_path, make_result):
    run = RunFolder(tmp_path)
    run.write_result(make_result(mrr=71.2345))
    written = json.loads(run.result.read_text())
    assert run.read_result().mrr == 71.2345
    run.result.write_text(json.dumps(written | {"mrr": 0.712345, "versions": {"fgsbir": "0.1.0"}}))
    assert run.read_result().mrr == pytest.approx(71.2345)


def test_a_lock_keeps_other_processes_off_and_ends_with_its_process(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert not run.is_locked
    assert not run.exists
    with subprocess.Popen([sys.executable, "-c", HOLD, run.path], stdout=subprocess.PIPE) as holder:
        child = int(holder.stdout.readline())
        try:
            assert run.is_locked
            holder.kill()
            holder.wait()
            assert not run.is_locked  # though its child lives
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)
    with run.lock():
        assert run.exists


def test_a_folder_that_cannot_be_made_cannot_be_locked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be locked"), RunFolder(tmp_path / "file" / "run").lock():
        pass


def test_a_training_is_taken_over_whole_and_apart(tmp_path):
    source, target = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    source.checkpoints.mkdir(parents=True)
    for path in (source.env, source.metrics, source.best_checkpoint, source.last_checkpoint, source.result):
        path.write_text(path.name)
    target.copy_training(source)
    copied = (target.env, target.metrics, target.best_checkpoint, target.last_checkpoint)
    assert [path.read_text() for path in copied] == [path.name for path in copied]
    assert not target.result.exists()
    with source.best_checkpoint.open("r+") as file:  # as a training that goes on may
        file.write("other")
    assert target.best_checkpoint.read_text() == "best.ckpt"
