"""`fgsbir on-the-fly`, on tiny runs."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from tiny import PROPOSED, TINY

from fgsbir.cli import main
from fgsbir.metrics.on_the_fly import MOMENTS, SHARES
from fgsbir.report.on_the_fly import ranks_while_drawing
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run

SYSTEMS = {
    "b_siamese": TINY["model"],
    "proposed": PROPOSED,
    "pixels": {"class_path": "fgsbir.systems.raw_pixels.RawPixels"},
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder of runs that were trained, where there is something to train, and tested."""
    root = tmp_path_factory.mktemp("on_the_fly")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FGSBIR_CACHE", str(root / "cache"))
        patch.setenv("WANDB_MODE", "disabled")
        for name, model in SYSTEMS.items():
            config = {**TINY, "model": model, "experiment": name, "runs_dir": str(root / "runs")}
            (root / f"{name}.yaml").write_text(yaml.safe_dump(config))
            for command in ("fit", "test"):
                words = [command, "--config", str(root / f"{name}.yaml"), "--trainer.max_epochs", "1"]
                if name != "pixels" or command == "test":
                    assert main(words) == 0
    return root / "runs"


@pytest.fixture
def runs(real, tmp_path):
    """A copy of the real runs."""
    return shutil.copytree(real, tmp_path / "runs")


def folder(runs, name):
    (path,) = (runs / name).iterdir()
    return RunFolder(path)


def only(runs, *names):
    for path in runs.iterdir():
        if path.name not in names:
            shutil.rmtree(path)


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def only_error(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgsbir: error: ")]
    return line


def test_every_run_is_ranked_at_every_moment_and_in_the_end_as_in_its_test(runs, capsys):
    assert main(["on-the-fly", str(runs)]) == 0
    printed = lines(capsys)
    assert [line.split("/")[0] for line in printed] == ["b_siamese", "pixels", "proposed"]
    for name, line in zip(("b_siamese", "pixels", "proposed"), printed, strict=True):
        run = folder(runs, name)
        drawing, ranking, result = run.read_on_the_fly(), run.read_ranking(), run.read_result()
        assert drawing.query_ids.tolist() == ranking.query_ids.tolist()
        assert drawing.ranks.shape == (result.n_test, MOMENTS)
        np.testing.assert_array_equal(drawing.ranks[:, -1], ranking.ranks)
        assert (drawing.ranks != drawing.ranks[:, -1:]).any()
        m_a = 100 * np.mean([(result.n_gallery - rank) / (result.n_gallery - 1) for rank in drawing.ranks.flat])
        m_b = 100 * np.mean([1 / rank for rank in drawing.ranks.flat])
        figures = f"{result.system} m@A {m_a:.2f}, m@B {m_b:.2f} on {result.n_test} sketches of {result.dataset}"
        assert line == f"{name}/{run.path.name}: {figures}"


@pytest.mark.parametrize("name", SYSTEMS)
@torch.no_grad()
def test_ranks_are_those_of_one_drawing_at_a_time(name, real):
    system, data = load_run(folder(real, name))
    found = ranks_while_drawing(system, data, [0.3, 0.8])
    queries, gallery = data.queries("test"), data.gallery("test")

    def batch(sample):
        return type(sample)(*(field[None] for field in sample))

    photos = [system.encode_photo(batch(gallery[g])) for g in range(len(gallery))]
    for q, record in enumerate(queries.sketches):
        for moment, share in enumerate((0.3, 0.8)):
            queries.sketches[q] = replace(record, sketch=record.sketch.drawn(share))
            sketch = system.encode_sketch(batch(queries[q]))
            distances = [float(system.match(sketch, photo)) for photo in photos]
            true = distances[queries.gallery_index[record.photo_id]]
            nearer, as_near = sum(d < true - 1e-5 for d in distances), sum(d < true + 1e-5 for d in distances)
            assert nearer + 1 <= found[q, moment] <= as_near


def test_measured_runs_are_skipped_and_others_measured_again(runs, capsys, monkeypatch):
    only(runs, "b_siamese")
    run = folder(runs, "b_siamese")
    assert main(["on-the-fly", str(runs)]) == 0
    first, (line,) = run.read_on_the_fly(), lines(capsys)

    measured = []
    monkeypatch.setattr(
        "fgsbir.report.on_the_fly.ranks_while_drawing",
        lambda system, data, shares, name: measured.append(name) or np.ones_like(first.ranks),
    )
    assert main(["on-the-fly", str(runs)]) == 0
    assert (measured, lines(capsys)) == ([], [line])

    run.on_the_fly.write_bytes(b"nothing")
    assert main(["on-the-fly", str(runs)]) == 0
    assert (len(measured), int(run.read_on_the_fly().ranks.max())) == (1, 1)

    run.write_result(replace(run.read_result(), finished="2030-01-01T00:00:00+00:00"))  # tested again
    assert main(["on-the-fly", str(runs)]) == 0
    assert len(measured) == 2
    assert run.read_on_the_fly().finished == "2030-01-01T00:00:00+00:00"
    assert SHARES.tolist() == run.read_on_the_fly().shares.tolist()


def test_a_run_on_coarse_sketches_is_passed_over(runs, capsys):
    only(runs, "b_siamese")
    run = folder(runs, "b_siamese")
    config = run.read_config()
    config["data"]["test_detail"] = "coarse"
    run.config.write_text(yaml.safe_dump(config))
    assert main(["on-the-fly", str(runs)]) == 2
    captured = capsys.readouterr()
    assert "skipped" in captured.out
    assert "no finished run on test sketches in full detail" in captured.err
    assert not run.on_the_fly.exists()


def test_other_data_than_that_of_the_test_is_one_line(runs, capsys):
    only(runs, "pixels")
    run = folder(runs, "pixels")
    run.write_result(replace(run.read_result(), split_hash="0therhas"))
    assert main(["on-the-fly", str(runs)]) == 2
    assert "result.json: its test split is 0therhas" in only_error(capsys)
    assert not run.on_the_fly.exists()


def test_no_folder_no_run_and_a_lost_checkpoint_are_one_line(runs, tmp_path, capsys):
    assert main(["on-the-fly", str(tmp_path / "none")]) == 2
    assert "no such folder" in only_error(capsys)
    (tmp_path / "empty").mkdir()
    assert main(["on-the-fly", str(tmp_path / "empty")]) == 2
    assert "no finished run" in only_error(capsys)
    folder(runs, "b_siamese").best_checkpoint.unlink()
    assert main(["on-the-fly", str(runs)]) == 2
    assert "best.ckpt" in only_error(capsys)
