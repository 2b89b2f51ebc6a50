"""The local launcher: what is skipped, what goes on, and what is left of a run that was killed, stopped or failed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from sweep.stand_in import command, environment, finish, install, journal, results

from fgsbir.errors import InputError
from fgsbir.files import locked
from fgsbir.runs.config import Settings, resolve
from fgsbir.sweep import local
from fgsbir.sweep.plan import PlannedRun

EVERY = [(name, seed) for name in "ab" for seed in "01"]


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def pids(folder):
    """The children that were started."""
    lines = (folder / "journal").read_text().splitlines() if (folder / "journal").exists() else []
    return {int(line.split()[3]) for line in lines}


def alive(pid):
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def undisturbed(tmp_path):
    """The results of a sweep that nothing disturbed."""
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    install(folder, steps=6)
    assert finish(folder, "run", "s.yaml").returncode == 0
    assert len(results(folder)) == 4
    return results(folder)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


def test_all_runs_are_made_once_and_then_there_is_nothing_to_do(folder):
    install(folder, steps=1)
    first = finish(folder, "run", "s.yaml", "--slots", "3")
    assert first.returncode == 0, first.stderr
    assert "4 runs: 4 done" in first.stdout
    assert sorted(journal(folder, "end")) == EVERY
    before = (folder / "journal").read_text()
    again = finish(folder, "run", "s.yaml")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert (folder / "journal").read_text() == before


def test_a_sweep_with_one_more_seed_runs_only_that(folder):
    install(folder, steps=1)
    finish(folder, "run", "s.yaml")
    assert finish(folder, "run", "s.yaml", "--seeds", "0,1,2").returncode == 0
    assert journal(folder, "end")[4:] == [("a", "2"), ("b", "2")] or journal(folder, "end")[4:] == [
        ("b", "2"),
        ("a", "2"),
    ]


@pytest.mark.parametrize("victim", ["launcher", "child"])
def test_after_kill_9_the_same_command_finishes_every_run_once(victim, folder, undisturbed):
    install(folder, steps=6, pause=0.1)
    words, env = command("run", "s.yaml", "--slots", "2"), environment(folder)
    launcher = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, env=env)
    wait_for(lambda: len(journal(folder, "step")) >= 3)
    children = pids(folder)
    if victim == "launcher":
        launcher.kill()
        launcher.wait()
        wait_for(lambda: not any(map(alive, children)), 5)
        assert results(folder) == {}
    else:
        os.kill(min(children), signal.SIGKILL)
        assert launcher.wait(timeout=30) == 1
        assert len(results(folder)) == 3
    steps = len(journal(folder, "step"))
    finished = journal(folder, "end")

    again = finish(folder, "run", "s.yaml", "--slots", "2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(folder) == undisturbed
    assert sorted(journal(folder, "end")) == EVERY  # each once
    starts = journal(folder, "start")
    assert all(starts.count(run) == 1 for run in finished)  # what was finished was not begun again
    # A run went on where it was: at most the steps that were being written are counted twice.
    assert steps < len(journal(folder, "step")) <= 4 * 6 + 2


def test_two_launchers_at_once_share_the_runs(folder, undisturbed):
    install(folder, steps=6, pause=0.05)
    words = command("run", "s.yaml", "--slots", "2")
    env = environment(folder)
    launchers = [subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, env=env) for _ in range(2)]
    assert [launcher.wait(timeout=60) for launcher in launchers] == [0, 0]
    assert results(folder) == undisturbed
    assert sorted(journal(folder, "start")) == EVERY


def test_ctrl_c_ends_the_children_and_the_same_command_goes_on(folder, undisturbed):
    install(folder, steps=6, pause=0.1)
    words, env = command("run", "s.yaml"), environment(folder)
    launcher = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True, env=env)
    wait_for(lambda: len(journal(folder, "step")) >= 3)
    launcher.send_signal(signal.SIGINT)
    out, _ = launcher.communicate(timeout=20)
    assert launcher.returncode == 130
    assert "goes on where it was" in out.splitlines()[-1]
    assert not any(map(alive, pids(folder)))
    assert "interrupted" in finish(folder, "status", "s.yaml").stdout
    assert finish(folder, "run", "s.yaml").returncode == 0
    assert results(folder) == undisturbed
    assert sorted(journal(folder, "end")) == EVERY


def test_a_failed_run_keeps_its_log_is_listed_and_makes_the_exit_status(folder):
    install(folder, experiments=("a", "broken"), seeds=(0,), steps=1)
    done = finish(folder, "run", "s.yaml")
    assert done.returncode == 1
    (log,) = (path.relative_to(folder) for path in folder.glob("runs/tiny/broken/*/log.txt"))
    assert "2 runs: 1 done, 1 failed" in done.stdout
    assert f"failed tiny/broken/{log.parent.name}: RuntimeError: it is broken ({log})" in done.stdout
    assert "Traceback" in (folder / log).read_text()
    assert len(results(folder)) == 1  # the others were run
    status = finish(folder, "status", "s.yaml")
    assert status.returncode == 0
    assert "RuntimeError: it is broken" in next(line for line in status.stdout.splitlines() if "tiny/broken/" in line)

    (folder / "fixed").touch()
    assert finish(folder, "run", "s.yaml").returncode == 0
    assert journal(folder, "end") == [("a", "0"), ("broken", "0")]
    assert "2 runs: 2 done" in finish(folder, "status", "s.yaml").stdout


def test_a_slot_keeps_its_process_for_run_after_run(folder):
    install(folder, seeds=(0, 1, 2), steps=1)
    assert finish(folder, "run", "s.yaml", "--slots", "1").returncode == 0
    assert len(journal(folder, "end")) == 6
    assert len(pids(folder)) == 1


def test_a_slot_gets_a_new_process_after_a_failure(folder):
    install(folder, experiments=("broken", "a"), seeds=(0, 1), steps=1)
    assert finish(folder, "run", "s.yaml", "--slots", "1").returncode == 1
    assert journal(folder, "end") == [("a", "0"), ("a", "1")]
    assert len(pids(folder)) == 3


def test_a_run_on_several_devices_has_a_process_of_its_own(folder):
    """Lightning starts such a process again for every device, so it must be the command itself."""
    install(folder, experiments=("a", "b"), seeds=(0,), steps=1)
    assert finish(folder, "run", "s.yaml", "--slots", "1", "--set", "trainer.devices=2").returncode == 0
    assert len(pids(folder)) == 2
    assert len(results(folder)) == 2


def planned(tmp_path, name, **settings):
    (tmp_path / "a.yaml").write_text("experiment: tiny/a\nmodel: {class_path: stand.In}\n")
    config = {"experiment": f"tiny/{name}", "model": {"class_path": "stand.In"}, **settings}
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
    values = (("runs_dir", str(tmp_path / "runs")),)
    return PlannedRun({}, resolve(Settings(files=(tmp_path / f"{name}.yaml",), values=values)))


def test_of_runs_that_need_one_training_one_goes_first(tmp_path):
    backbone = str(tmp_path / "a.yaml")
    first, second = (planned(tmp_path, name, backbone_from=backbone) for name in ("first", "second"))
    other = planned(tmp_path, "other")
    assert local.next_run([second, other], [first]) is other  # the backbone is being trained
    assert local.next_run([second], [first]) is None
    assert local.next_run([second, other], [other]) is second
    with locked(first.resolved.backbone.folder.path / ".lock"):  # by another launcher
        assert local.next_run([second, other], []) is other
        assert local.next_run([second], []) is second  # nothing else is left: it waits for the lock
    folder = first.resolved.backbone.folder
    folder.write_config({"trainer": {"max_epochs": 1}})
    folder.metrics.write_text("epoch\n0\n")
    folder.checkpoints.mkdir()
    folder.last_checkpoint.touch()
    assert local.next_run([second, other], [first]) is second  # it is trained


def test_a_run_that_is_only_tested_waits_for_the_whole_run_that_trains_it(tmp_path):
    first, other = planned(tmp_path, "first"), planned(tmp_path, "other")
    coarse = planned(tmp_path, "coarse", trained_as="tiny/first", data={"test_detail": "coarse"})
    assert coarse.training.path == first.folder.path
    first.folder.write_config({"trainer": {"max_epochs": 1}})
    first.folder.metrics.write_text("epoch\n0\n")
    first.folder.checkpoints.mkdir()
    first.folder.last_checkpoint.touch()
    assert not coarse.unfinished
    assert local.next_run([coarse, other], [first]) is other  # between fit and test the folder is not locked
    assert local.next_run([coarse], [first]) is None
    assert local.next_run([coarse, other], [other]) is coarse


def test_a_run_gets_the_gpus_of_its_slot(folder):
    install(folder, steps=2, pause=0.05)
    assert finish(folder, "run", "s.yaml", env={"CUDA_VISIBLE_DEVICES": "4,7"}).returncode == 0
    used = [line.split()[4] for line in (folder / "journal").read_text().splitlines() if line.startswith("start")]
    assert set(used) == {"4", "7"}


@pytest.mark.parametrize(
    ("gpus", "count", "devices", "expected"),
    [
        ("0,1,2,3", None, 1, ["0", "1", "2", "3"]),
        ("0,1,2,3", None, 2, ["0,1", "2,3"]),
        ("0,1,2", None, 2, ["0,1"]),
        ("5", 3, 1, ["5", "5", "5"]),  # they share it
        ("", 2, 1, [None, None]),
    ],
)
def test_slots_divide_the_gpus(gpus, count, devices, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    slots = local.slots_of_machine(count, devices)
    assert [slot.get("CUDA_VISIBLE_DEVICES") for slot in slots] == expected


@pytest.mark.parametrize(
    ("cores", "memory", "count", "slots", "threads"),
    [(8, 64, None, 8, 1), (8, 16, None, 3, 2), (2, 4, None, 1, 2), (8, None, 2, 2, 4), (1, 64, 4, 4, 1)],
)
def test_slots_divide_cores_as_far_as_the_memory_goes(cores, memory, count, slots, threads, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "usable_cores", lambda: cores)
    monkeypatch.setattr(local, "usable_memory_gib", lambda: memory)
    assert local.slots_of_machine(count, 1) == [{"OMP_NUM_THREADS": str(threads)}] * slots


def test_more_gpus_a_run_than_there_are_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(InputError, match="2 of 1 GPUs"):
        local.slots_of_machine(None, 2)
