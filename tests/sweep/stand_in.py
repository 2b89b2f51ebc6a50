"""A stand-in for training, so that launchers are tested in seconds.

A launcher under test is started with `command`; the `sitecustomize` that `install` writes puts the module `TRAINING` in
the place of `fgsbir.runs.training`, in all its processes. Its `run` takes the lock of its run folder, counts to `steps`
on disk, and writes a result that depends on the experiment, the seed and every step. `journal` gets a line whenever a
run starts, counts or ends.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

TRAINING = """
import json, os, time
from pathlib import Path

def run(resolved, stages=("fit", "test")):
    settings = resolved.config["model"]["init_args"]
    folder, name, seed = resolved.folder, resolved.config["experiment"].rpartition("/")[2], resolved.seed

    def note(event):
        with open("journal", "a") as journal:
            journal.write(f"{event} {name} {seed} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")

    with folder.lock():
        if folder.result.exists():
            return
        note("start")
        state = folder.path / "state.json"
        done = json.loads(state.read_text()) if state.exists() else []
        if name == "broken" and not Path("fixed").exists():
            raise RuntimeError("it is broken")
        while len(done) < settings["steps"]:
            time.sleep(settings.get("pause", 0))
            done.append(len(done) * (seed + 1) + len(name))
            note("step")
            new = folder.path / "new"
            new.write_text(json.dumps(done))
            new.replace(state)
        result = json.loads(Path("result.json").read_text()) | {"acc1": float(sum(done) % 100), "seed": seed}
        new = folder.path / "new"
        new.write_text(json.dumps(result))
        new.replace(folder.result)
        note("end")
"""

SITE = """
import sys
if "fgsbir" in " ".join(sys.orig_argv):
    import importlib.util
    spec = importlib.util.spec_from_file_location("fgsbir.runs.training", {path!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["fgsbir.runs.training"] = module
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
    (folder / "training.py").write_text(TRAINING)
    (folder / "sitecustomize.py").write_text(SITE.format(path=str(folder / "training.py")))
    (folder / "result.json").write_text(json.dumps(RESULT))
    for name in experiments:
        (folder / f"{name}.yaml").write_text(f"experiment: tiny/{name}\nmodel: {{class_path: stand.In}}\n")
    parameters = {"experiment": {"values": [f"{name}.yaml" for name in experiments]}, "seed": {"values": list(seeds)}}
    parameters |= {f"model.{name}": {"value": value} for name, value in settings.items()}
    (folder / "s.yaml").write_text(json.dumps({"name": "s", "method": "grid", "parameters": parameters}))


def environment(folder: Path) -> dict[str, str]:
    """Variables with which the stand-in is found."""
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"}


def command(*words: str) -> list[str]:
    """The command line of `fgsbir sweep`, to be started in the folder with its environment."""
    return [sys.executable, "-m", "fgsbir", "sweep", *map(str, words)]


def finish(folder: Path, *words: str, env=None) -> subprocess.CompletedProcess:
    """Runs the launcher to its end."""
    variables = {**environment(folder), **(env or {})}
    return subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, timeout=60, env=variables)


def journal(folder: Path, event: str) -> list[tuple[str, str]]:
    """The experiments and seeds of which an event is noted, in order."""
    path = folder / "journal"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(name, seed) for what, name, seed, *_ in lines if what == event]


def results(folder: Path) -> dict[str, float]:
    """The scores of the finished runs."""
    return {
        path.parent.parent.name + path.parent.name[-3:]: json.loads(path.read_text())["acc1"]
        for path in sorted((folder / "runs").rglob("result.json"))
    }
