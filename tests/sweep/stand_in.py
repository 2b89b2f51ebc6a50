"""A stand-in for the training code, so that launchers are tested in seconds.

A launcher under test is started with `command`; its children import the package `fgsbir` that `install` writes, whose
`run` is `CHILD`: it takes the lock of its run folder, counts to `steps` on disk, and writes a result that depends on
the experiment, the seed and every step. `journal` gets a line whenever a run starts, counts or ends.
"""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

CHILD = """
import fcntl, json, os, sys, time
from pathlib import Path
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[2:])
name, seed = Path(options["experiment"]).stem, int(options["seed"])
folder = Path(options["runs_dir"]) / "tiny" / name / f"00000000-s{seed}"
folder.mkdir(parents=True, exist_ok=True)
lock = (folder / ".lock").open("a+")
fcntl.lockf(lock, fcntl.LOCK_EX)
def note(event):
    with open("journal", "a") as journal:
        journal.write(f"{event} {name} {seed} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
if (folder / "result.json").exists():
    sys.exit(0)
note("start")
state = folder / "state.json"
done = json.loads(state.read_text()) if state.exists() else []
if name == "broken" and not Path("mended").exists():
    print("Traceback (most recent call last):\\nRuntimeError: it is broken\\nfgsbir run: fit failed: exit status 1")
    sys.exit(1)
while len(done) < int(options["steps"]):
    time.sleep(float(options.get("pause", 0)))
    done.append(len(done) * (seed + 1) + len(name))
    note("step")
    new = folder / "new"
    new.write_text(json.dumps(done))
    new.replace(state)
result = json.loads(Path("result.json").read_text()) | {"acc1": float(sum(done) % 100), "seed": seed}
new = folder / "new"
new.write_text(json.dumps(result))
new.replace(folder / "result.json")
note("end")
"""

LAUNCHER = """
import sys
sys.path.insert(0, {repository!r})
import fgsbir.commands.sweep as command
from pathlib import Path
def locate(runs):
    folders = []
    for words in runs:
        options = dict(zip(words[::2], words[1::2])) | dict(word.split("=", 1) for word in words if "=" in word)
        name, seed = Path(options["--config"]).stem, options["--seed_everything"]
        folders.append(f"{{options['--runs_dir']}}/tiny/{{name}}/00000000-s{{seed}}")
    return [(folder, folder) for folder in folders]
command._locate = locate
sys.path.pop(0)
import os
os.environ["PYTHONPATH"] = os.getcwd()
command.run(sys.argv[1:])
"""

RESULT = {
    "system": "Stand-in",
    "dataset": "tiny",
    "experiment": "tiny/a",
    "recipe": "modern",
    "n_test": 8,
    "n_gallery": 4,
    "split_hash": "0",
    "acc5": 50.0,
    "acc10": 75.0,
    "mean_rank": 2.0,
    "mrr": 0.5,
    "val_acc1": None,
    "best_epoch": None,
    "train_seconds": None,
    "test_seconds": 0.0,
    "parameters": 0,
    "commit": None,
    "config_hash": "00000000",
    "hardware": "",
    "versions": {},
    "finished": "2026-01-01T00:00:00+00:00",
}


def install(folder: Path, experiments=("a", "b"), seeds=(0, 1), **settings) -> None:
    """Writes the stand-in, and a sweep s.yaml over experiments and seeds."""
    (folder / "fgsbir").mkdir()
    (folder / "fgsbir" / "__init__.py").touch()
    (folder / "fgsbir" / "__main__.py").write_text(CHILD)
    (folder / "launcher.py").write_text(LAUNCHER.format(repository=str(REPOSITORY)))
    (folder / "result.json").write_text(json.dumps(RESULT))
    for name in experiments:
        (folder / f"{name}.yaml").write_text(f"experiment: tiny/{name}\n")
    parameters = {"experiment": {"values": [f"{name}.yaml" for name in experiments]}, "seed": {"values": list(seeds)}}
    parameters |= {name: {"value": value} for name, value in settings.items()}
    (folder / "s.yaml").write_text(json.dumps({"name": "s", "method": "grid", "parameters": parameters}))


def command(*words: str) -> list[str]:
    """The command line of `fgsbir sweep` with the stand-in, to be started in its folder."""
    return [sys.executable, "launcher.py", *map(str, words)]


def finish(folder: Path, *words: str, **options) -> subprocess.CompletedProcess:
    """Runs the launcher to its end."""
    return subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, timeout=60, **options)


def journal(folder: Path, event: str) -> list[tuple[str, str]]:
    """The experiments and seeds of which an event is noted, in order."""
    path = folder / "journal"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(name, seed) for what, name, seed, *_ in lines if what == event]


def results(folder: Path) -> dict[str, float]:
    """The scores of the finished runs."""
    return {
        path.parent.relative_to(folder).as_posix(): json.loads(path.read_text())["acc1"]
        for path in sorted((folder / "runs").rglob("result.json"))
    }
