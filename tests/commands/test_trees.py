"""`fgsbir trees`, on tiny runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from tiny import TINY

from fgsbir.cli import main
from fgsbir.data.datamodule import SketchPhotoDataModule
from fgsbir.data.dataset import Rendering
from fgsbir.data.datasets import Embedded
from fgsbir.errors import InputError
from fgsbir.metrics.tree_agreement import agreement
from fgsbir.models.backbone import Backbone
from fgsbir.regions.containment import containment_parents, merge_order
from fgsbir.report.tree_scores import leaf_owners, score
from fgsbir.runs.folder import RunFolder
from fgsbir.systems import SYSTEMS
from fgsbir.systems.node_system import NodeSettings

RENDERING = {"image_size": 64, "num_regions": 5, "max_strokes": 15}
NODES = {"dim": 16, "hidden": 8, "region_grid": 3}


def model(name):
    system = SYSTEMS[name]
    given = {**TINY["model"]["init_args"], **({} if name == "b_siamese" else {"nodes": NODES})}
    return {"class_path": f"{system.__module__}.{system.__name__}", "init_args": given}


def built(name):
    torch.manual_seed(0)
    return SYSTEMS[name](
        Backbone("test_efficientnet", 3), **({} if name == "b_siamese" else {"nodes": NodeSettings(**NODES)})
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The folder of a run that was trained and tested: Explicit Hierarchy."""
    root = tmp_path_factory.mktemp("trees")
    config = {**TINY, "experiment": "explicit", "runs_dir": str(root / "runs")}
    config |= {"model": model("explicit_hierarchy"), "data": {**TINY["data"], "rendering": RENDERING}}
    (root / "tiny.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FGSBIR_CACHE", str(root / "cache"))
        patch.setenv("WANDB_MODE", "disabled")
        for command in ("fit", "test"):
            assert main([command, "--config", str(root / "tiny.yaml"), "--trainer.max_epochs", "1"]) == 0
    (path,) = (root / "runs" / "explicit").iterdir()
    return RunFolder(path)


def another(real, path, name, **result):
    """A run of another system beside the real one, with random weights."""
    run = RunFolder(path)
    run.checkpoints.mkdir(parents=True)
    run.config.write_text(yaml.safe_dump({**real.read_config(), "model": model(name)}))
    torch.save({"state_dict": built(name).state_dict()}, run.best_checkpoint)
    run.write_result(replace(real.read_result(), system=SYSTEMS[name].name, **result))
    return run


SOURCE = Embedded(**TINY["data"]["source"]["init_args"])


def tiny_data(**settings):
    return SketchPhotoDataModule(SOURCE, num_workers=0, **settings)


def only_error(capsys):
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("fgsbir: error: ")
    return line


def test_the_trees_of_boxes_are_scored_as_by_hand(real, capsys):
    assert main(["trees", str(real.path.parents[1])]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "system", "sketches", "triplets", "random", "clusters", "random"]
    data, found = tiny_data(rendering=Rendering(**RENDERING)), []
    queries, owners, trees = data.queries("test"), leaf_owners(data), SOURCE.part_trees()
    for i, record in enumerate(queries.sketches):
        boxes = queries[i].boxes[queries[i].mask].numpy()
        merges = merge_order(containment_parents(boxes)).tolist()
        found.append(agreement(merges, owners[record.id], trees[record.id].parents))
    triplets = [a.triplets for a in found if a.triplets is not None]
    clusters = [a.clusters for a in found if a.clusters is not None]
    name, *system, count, agreed, by_chance, recalled, _ = row.split()
    assert (name, " ".join(system)) == (f"explicit/{real.path.name}", "Explicit Hierarchy")
    assert int(count) == len(triplets) > 4
    assert float(agreed) == pytest.approx(100 * np.mean(triplets), abs=0.051)
    assert float(recalled) == pytest.approx(100 * np.mean(clusters), abs=0.051)
    assert float(by_chance) == pytest.approx(100 / 3, abs=8)


def test_every_system_with_trees_is_scored_and_no_other_run(real, tmp_path, capsys):
    for name in ("proposed", "without_localised_coattn", "b_localised_coattn", "b_siamese"):
        another(real, tmp_path / "runs" / name, name)
    another(real, tmp_path / "runs" / "elsewhere", "proposed", dataset="chair_v2")
    another(real, tmp_path / "runs" / "untrained", "proposed", best_epoch=None)
    assert main(["trees", str(tmp_path / "runs")]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["proposed", "without_localised_coattn"]
    assert rows[1].startswith("without_localised_coattn  w/o Localised-Coattn ")


@pytest.mark.parametrize("detail", ["full", "coarse"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("room", [3, 16])
def test_every_sketch_node_has_an_owner(detail, whole, room):
    data = tiny_data(rendering=Rendering(image_size=32, max_strokes=room, whole_sketch_node=whole), test_detail=detail)
    owners, queries, trees = leaf_owners(data), data.queries("test"), data.source.part_trees()
    for i, record in enumerate(queries.sketches):
        found, true = owners[record.id].tolist(), trees[record.id].owners.tolist()
        assert len(found) == int(queries[i].mask.sum())
        if whole:
            assert found.pop() == -1
        if room == 16:
            assert found == true[: len(found)]
            assert (len(found) < len(true)) == (detail == "coarse")
        else:
            assert set(found) <= {*true, -1}


def test_sketches_that_tell_nothing_are_one_line(real, monkeypatch):
    monkeypatch.setattr(
        "fgsbir.report.tree_scores.leaf_owners", lambda data: {"chairs-0009_1": np.array([0, 0, 0, 0, 0, 0])}
    )
    monkeypatch.setattr(
        "fgsbir.report.tree_scores._sketch_merges",
        lambda *_: {"chairs-0009_1": [(0, 1), (2, 6), (3, 7), (4, 8), (5, 9)]},
    )
    with pytest.raises(InputError, match="tiny: no test sketch has three strokes"):
        score("tiny", built("proposed"), tiny_data())


def spoil(run, what):
    if what == "checkpoint missing":
        run.best_checkpoint.unlink()
    elif what == "checkpoint damaged":
        run.best_checkpoint.write_bytes(b"nothing")
    elif what == "another network":
        torch.save({"state_dict": built("b_siamese").state_dict()}, run.best_checkpoint)
    elif what == "no model":
        run.config.write_text("data: {}")
    elif what == "unknown setting":
        config = run.read_config()
        config["model"]["init_args"]["no_such_setting"] = 1
        run.config.write_text(yaml.safe_dump(config))
    elif what == "weights missing":
        config = run.read_config()
        config["model"]["init_args"]["backbone"]["init_args"]["weights"] = "lost.safetensors"
        run.config.write_text(yaml.safe_dump(config))
    elif what == "bad setting":
        config = run.read_config()
        config["model"]["init_args"]["tolerance"] = 7
        run.config.write_text(yaml.safe_dump(config))
    else:
        run.result.write_text("{}")


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("checkpoint missing", "best.ckpt"),
        ("checkpoint damaged", "best.ckpt"),
        ("another network", "best.ckpt"),
        ("no model", "config.yaml"),
        ("unknown setting", "config.yaml"),
        ("bad setting", "fgsbir: error: model.tolerance: "),
        ("weights missing", "fgsbir: error: weights 'lost.safetensors'"),
        ("result damaged", "result.json"),
    ],
)
def test_a_spoiled_run_is_one_line(what, named, real, tmp_path, capsys):
    spoil(another(real, tmp_path / "run", "explicit_hierarchy"), what)
    assert main(["trees", str(tmp_path)]) == 2
    assert named in only_error(capsys)


def test_no_folder_and_no_run_with_trees_are_one_line(real, tmp_path, capsys):
    assert main(["trees", str(tmp_path / "none")]) == 2
    assert "no such folder" in only_error(capsys)
    another(real, tmp_path / "run", "b_siamese")
    assert main(["trees", str(tmp_path)]) == 2
    assert "merge trees" in only_error(capsys)
