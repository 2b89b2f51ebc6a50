"""`fgsbir index` and `fgsbir search` on tiny runs with random weights."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from tiny_runs import make_run, model

from fgsbir.cli import main
from fgsbir.data.reading import DEFAULT_MARGIN, placed
from fgsbir.errors import InputError
from fgsbir.images import FORMATS, IMAGE_SUFFIXES, plugins
from fgsbir.retrieval.distances import concat
from fgsbir.runs.folder import RunFolder
from fgsbir.runs.loading import load_run
from fgsbir.search import build
from fgsbir.search.distil import learn, pool, read_head
from fgsbir.search.first_stage import Faiss, Qdrant
from fgsbir.search.index import PhotoIndex
from fgsbir.search.measure import measure_recall, ranks_in, recall_curve
from fgsbir.search.model import LoadedModel, thumbnail
from fgsbir.search.searcher import Searcher
from fgsbir.serve.app import create_app
from fgsbir.serve.limits import Limits
from fgsbir.sketch.formats import SKETCH_SUFFIXES, write_stroke5, write_svg
from fgsbir.sketch.raster import rasterise
from fgsbir.sketch.strokes import VectorSketch


def index(*argv):
    assert main(["index", *map(str, argv)]) == 0


def as_tested(run_path):
    """Sketches, photo ids and distances of a run's test, as its loaders and `match_all` give them."""
    system, data = load_run(RunFolder(run_path))
    data.prepare_data()
    data.setup("test")
    sketches, photos = data.test_dataloader()
    with torch.inference_mode():
        queries = concat([system.encode_batch(batch) for batch in sketches])
        gallery = concat([system.encode_batch(batch) for batch in photos])
        distances = system.match_all(queries, gallery).numpy()
    records = data.records
    return (
        [record.sketch for record in records.split_sketches("test")],
        [photo.id for photo in records.split_photos("test")],
        distances,
    )


SYSTEMS = {
    "proposed": model(),
    "paper": model(nodes={"global_weight": 0.0}),
    "explicit": model("explicit_hierarchy.ExplicitHierarchy"),
    "alone": model("without_localised_coattn.WithoutLocalisedCoattn"),
    "vector": model("b_siamese.BSiamese"),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_distances_are_those_of_the_runs_test(tmp_path, name):
    run = make_run(tmp_path / "run", SYSTEMS[name])
    index("--split", "test", "--run", run, "--out", tmp_path / "i")
    sketches, photos, distances = as_tested(run)
    searcher = Searcher.open(tmp_path / "i", depth=6)
    assert searcher.index.boxes(0)[0].tolist() == [0, 0, 1, 1]
    for sketch, row in zip(sketches[:8], distances, strict=False):
        everything = searcher.search(sketch, top=len(photos)).hits
        known = dict(zip(photos, row, strict=True))
        assert {hit.photo for hit in everything} == set(photos)
        assert np.allclose([hit.distance for hit in everything], [known[hit.photo] for hit in everything], atol=1e-5)
        assert [hit.distance for hit in everything] == sorted(hit.distance for hit in everything)
        # Fewer are matched: those have the same distances, and are in order too.
        hits = searcher.search(sketch, top=4).hits
        assert len(hits) == 4
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
        assert np.allclose([hit.distance for hit in hits], [known[hit.photo] for hit in hits], atol=1e-5)


def test_all_views_of_an_image_are_one_vector(tmp_path):
    settings = {"class_path": "fgsbir.models.sketch_a_net.SketchANet", "init_args": {}}
    triplet = {"class_path": "fgsbir.systems.triplet_sn.TripletSN", "init_args": {"backbone": settings, "crop": 1.0}}
    run = make_run(tmp_path / "run", triplet)
    index("--split", "val", "--run", run, "--out", tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i", depth=1)
    sketch = LoadedModel.load(run).data.records.split_sketches("val")[0].sketch
    rows = searcher.nearest(searcher.encode(sketch), 3)
    distances = searcher.distances(searcher.encode(sketch), rows)
    assert (np.diff(distances) >= -1e-6).all()
    assert searcher.explain(sketch, searcher.search(sketch).hits[0].photo) is None


def test_a_drawing_on_another_canvas_finds_the_same(tmp_path, run_path):
    index("--split", "test", "--run", run_path, "--out", tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i")
    sketch = LoadedModel.load(run_path).data.records.split_sketches("test")[3].sketch
    small = sketch.transform([[0.3, 0, 0.5], [0, 0.3, 0.1]])
    there, here = searcher.search(sketch).hits, searcher.search(small).hits
    assert [hit.photo for hit in there] == [hit.photo for hit in here]
    assert np.allclose([hit.distance for hit in there], [hit.distance for hit in here], atol=1e-3)
    assert placed(sketch, searcher.index.manifest.margin) is sketch  # a sketch of the dataset stays as it is
    assert placed(small, None) is small


@pytest.fixture
def run_elsewhere(tmp_path, monkeypatch):
    """A run whose dataset is not on this machine."""
    monkeypatch.delenv("FGSBIR_DATA", raising=False)
    source = {"class_path": "fgsbir.data.datasets.ChairV2", "init_args": {"root": str(tmp_path)}}
    return make_run(tmp_path / "elsewhere", model(), source=source)


def test_a_split_that_is_not_here_leaves_no_index(tmp_path, run_elsewhere, capsys):
    assert main(["index", "--split", "test", "--run", str(run_elsewhere), "--out", str(tmp_path / "i")]) == 2
    assert "ChairV2_Coordinate" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_an_index_is_checked_before_photos_are_looked_for(tmp_path, run_elsewhere, photos, capsys):
    index(photos, "--run", make_run(tmp_path / "other", model(), seed=1), "--out", tmp_path / "i")
    before = everything(tmp_path / "i")
    capsys.readouterr()
    assert main(["index", "--split", "test", "--run", str(run_elsewhere), "--out", str(tmp_path / "i")]) == 2
    assert "another model" in capsys.readouterr().err
    assert everything(tmp_path / "i") == before


def test_vectors_alone_begin_no_index(tmp_path, run_path, capsys):
    assert main(["index", "--distil", "--run", str(run_path), "--out", str(tmp_path / "i")]) == 2
    assert "there is no index yet" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_photos_are_indexed_where_the_runs_sketches_are_not(tmp_path, run_elsewhere, photos, capsys):
    index(photos, "--run", run_elsewhere, "--out", tmp_path / "i")
    notes = [line for line in capsys.readouterr().err.splitlines() if "margin" in line]
    assert len(notes) == 1
    assert "ChairV2_Coordinate" in notes[0]
    assert PhotoIndex(tmp_path / "i").manifest.margin == DEFAULT_MARGIN
    index(photos, "--out", tmp_path / "i")  # it has its margin now
    assert "margin" not in capsys.readouterr().err


def test_photos_of_a_folder_are_found_by_their_paths(tmp_path, run_path, photos, capsys):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    made = PhotoIndex(tmp_path / "i")
    assert list(made.photos) == [*(["more/p12.png"]), *(f"p{i:02}.png" for i in range(12))]
    for name in ("p03.png", "more/p12.png"):
        with Image.open(photos / name) as image, Image.open(io.BytesIO(made.thumbnail(name))) as small:
            assert (small.format, small.size) == ("JPEG", image.size)
    assert "13 added" in capsys.readouterr().out
    index("--out", tmp_path / "i")
    assert "13 photos" in capsys.readouterr().out


@pytest.mark.parametrize(("height", "width"), [(600, 200), (200, 600), (300, 300), (1, 500), (40, 30)])
def test_a_thumbnail_shows_the_whole_photo_and_nothing_else(height, width):
    """Each photo has a white middle and a dark edge: what repeats the edge shows as a wide dark bar."""
    pixels = np.full((height, width, 3), 240, np.uint8)
    edge = max(2, max(height, width) // 50)
    pixels[:edge] = pixels[-edge:] = pixels[:, :edge] = pixels[:, -edge:] = (30, 60, 90)
    with Image.open(io.BytesIO(thumbnail(pixels))) as image:
        shown = np.asarray(image).astype(int)
    assert max(shown.shape[:2]) == min(224, max(height, width))
    assert abs(shown.shape[0] * width - shown.shape[1] * height) <= max(height, width)
    dark = (shown[..., 0] < 135).mean()
    assert dark == pytest.approx((pixels[..., 0] < 135).mean(), abs=0.03)


def everything(folder):
    """The encodings, boxes and thumbnails of an index, by photo."""
    made = PhotoIndex(folder)
    out = {}
    for photo, stored in made.photos.items():
        fields = [field.tobytes() for field in made.encodings(np.array([stored.row]))]
        out[photo] = (stored.digest, *fields, made.boxes(stored.row).tobytes(), made.thumbnail(photo))
    return out


def same(a, b):
    """Whether two indexes hold the same photos with the same encodings, but for rounding."""
    first, second = PhotoIndex(a), PhotoIndex(b)
    assert sorted(first.photos) == sorted(second.photos)
    for photo, stored in first.photos.items():
        other = second.photos[photo]
        assert stored.digest == other.digest
        assert first.thumbnail(photo) == second.thumbnail(photo)
        for x, y in zip(*(i.encodings(np.array([s.row])) for i, s in ((first, stored), (second, other))), strict=True):
            assert np.allclose(x, y, atol=1e-5)


def test_to_add_change_and_remove_is_to_build_anew(tmp_path, run_path, photos, capsys, monkeypatch):
    monkeypatch.setattr(build, "BATCH", 4)
    late = tmp_path / "late"
    late.mkdir()
    for name in ("p01.png", "p02.png", "p03.png", "p05.png"):
        shutil.move(photos / name, late / name)
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    for path in late.iterdir():
        shutil.move(path, photos / path.name)
    (photos / "p07.png").unlink()
    shutil.copy(photos / "p00.png", photos / "p08.png")  # another photo of the same name
    capsys.readouterr()
    index(photos, "--out", tmp_path / "i", "--prune", "--remove", "p09.png")
    assert "5 added, 7 unchanged, 1 pruned" in capsys.readouterr().out
    (photos / "p09.png").unlink()
    index(photos, "--run", run_path, "--out", tmp_path / "fresh")
    same(tmp_path / "i", tmp_path / "fresh")
    index("--out", tmp_path / "i", "--remove", "p10.png", "more/p12.png")
    assert len(PhotoIndex(tmp_path / "i")) == 9
    assert main(["index", "--out", str(tmp_path / "i"), "--remove", "p10.png"]) == 2
    assert "no photo 'p10.png'" in capsys.readouterr().err


def test_broken_photos_are_left_out_and_told(tmp_path, run_path, photos, capsys):
    (photos / "p04.png").write_bytes((photos / "p04.png").read_bytes()[:60])
    (photos / "note.jpg").write_text("not an image")
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    out = capsys.readouterr()
    assert "12 added, 2 left out" in out.out
    told = re.findall(r"left out: (\S+):", out.out + out.err)
    assert told == [str(photos / "note.jpg"), str(photos / "p04.png")]
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(photos / "note.jpg", only)
    assert main(["index", str(only), "--run", str(run_path), "--out", str(tmp_path / "j")]) == 2
    assert "none of 1 photos can be read" in capsys.readouterr().err


def test_files_that_an_index_passes_over_are_counted_and_named(tmp_path, run_path, photos, capsys):
    for name in ("more/a.psd", "b.PSD", "c.cr2", "notes.pdf", ".hidden.txt"):
        (photos / name).write_bytes(b"8BPS")
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    out = capsys.readouterr()
    told = [line for line in out.err.splitlines() if "passed over" in line]
    assert told == ["passed over, not of a photo format: 2 .psd, 1 .cr2, 1 .pdf; first b.PSD, c.cr2, more/a.psd"]
    assert "13 added" in out.out
    index(photos / "more", "--run", run_path, "--out", tmp_path / "j")
    (photos / "more" / "p12.png").unlink()
    assert main(["index", str(photos / "more"), "--out", str(tmp_path / "j")]) == 2
    assert "it holds no photos but 1 .psd; name a folder of photos (.png, " in capsys.readouterr().err


@pytest.mark.slow
def test_photos_of_every_format_are_indexed_found_and_served(tmp_path, run_path):
    folder = tmp_path / "all"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    blocks = np.kron(colours, np.ones((16, 16, 1), np.uint8))
    lossless = {"WEBP": {"lossless": True}, "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0}}
    for format_ in FORMATS:
        for suffix in format_.suffixes if format_.plugin in plugins() else ():
            photo = Image.fromarray(blocks)
            photo.save(folder / f"photo{suffix}", format_.plugin, **lossless.get(format_.plugin, {"quality": 100}))
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) >= len(IMAGE_SUFFIXES) - 3  # without HEIC and AVIF at the least
    index(folder, "--run", run_path, "--out", tmp_path / "i")
    made = PhotoIndex(tmp_path / "i")
    assert sorted(made.photos) == names
    exact = [f"photo{suffix}" for suffix in (".png", ".webp", ".bmp", ".tif", ".heic") if f"photo{suffix}" in names]
    rows = [np.concatenate([f.ravel() for f in made.encodings(np.array([made.photos[n].row]))]) for n in exact]
    assert all(np.allclose(row, rows[0], atol=1e-5) for row in rows)  # the same pixels

    page = np.full((120, 160), 255, np.uint8)
    page[30:34, 20:140] = page[30:100, 60:64] = 0
    for suffix in (path.suffix for path in sorted(folder.iterdir())):
        plugin = next(format_.plugin for format_ in FORMATS if suffix in format_.suffixes)
        Image.fromarray(page).save(tmp_path / f"sketch{suffix}", plugin)
        assert main(["search", str(tmp_path / "i"), str(tmp_path / f"sketch{suffix}"), "--top", "3"]) == 0
    client = TestClient(create_app(Searcher.open(tmp_path / "i"), Limits(rate=1e6, burst=10**6)))
    with client:
        content = (tmp_path / "sketch.tif").read_bytes()
        answer = client.post("/api/v1/sketch", content=content, headers={"Content-Type": "image/tiff"})
        query = {"strokes": answer.json()["strokes"], "top": len(names)}
        found = client.post("/api/v1/search", json=query).json()["hits"]
        assert sorted(hit["photo"] for hit in found) == names
        for name in names:
            thumbnail = client.get(f"/api/v1/photos/{name}/thumbnail")
            shown = np.asarray(Image.open(io.BytesIO(thumbnail.content)).convert("RGB"))
            centres = shown[8::16, 8::16]  # of blocks of 16 pixels; the photo is too small to be reduced
            assert np.abs(centres.astype(int) - colours).mean() < 8


@pytest.mark.parametrize(("command", "suffixes"), [("index", IMAGE_SUFFIXES), ("search", SKETCH_SUFFIXES)])
def test_help_lists_the_formats(command, suffixes, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert not [suffix for suffix in suffixes if suffix not in shown]


def test_another_model_is_refused_in_one_line(tmp_path, run_path, photos, capsys):
    other = make_run(tmp_path / "other", model(), seed=1)
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    capsys.readouterr()
    for argv in (["index", photos, "--out", tmp_path / "i"], ["search", tmp_path / "i", drawing(tmp_path)]):
        assert main([*map(str, argv), "--run", str(other)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "another model" in error
    rendering = make_run(tmp_path / "narrow", model(), rendering={"image_size": 64, "num_regions": 5, "max_strokes": 3})
    assert main(["index", str(photos), "--out", str(tmp_path / "i"), "--run", str(rendering)]) == 2


@pytest.mark.slow
def test_a_build_that_is_killed_goes_on_and_encodes_nothing_twice(tmp_path, run_path, photos, monkeypatch):
    """SIGKILL in the first build, and again while photos are added to what it left."""
    folder = tmp_path / "i"
    script = (
        "import sys, time; from fgsbir.cli import main; from fgsbir.search import build, index\n"
        "build.BATCH, slow = 2, index.IndexWriter._append\n"
        "def crawl(self, *args):\n    time.sleep(0.05); return slow(self, *args)\n"
        "index.IndexWriter._append = crawl; main(sys.argv[1:])"
    )

    def build_and_kill(rows):
        argv = [sys.executable, "-c", script, "index", photos, "--run", run_path, "--out", folder]
        process = subprocess.Popen([*map(str, argv)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (folder / "manifest.json").exists() or PhotoIndex(folder).manifest.rows < rows:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        return everything(folder)

    first = build_and_kill(2)
    assert 2 <= len(first) < 13
    second = build_and_kill(len(first) + 2)
    assert first.items() <= second.items()
    assert len(first) < len(second) < 13

    encoded = []
    real = LoadedModel.encode_photos
    monkeypatch.setattr(
        LoadedModel, "encode_photos", lambda self, batch, *a: encoded.append(len(batch[0])) or real(self, batch, *a)
    )
    index(photos, "--out", folder)
    assert sum(encoded) == 13 - len(second)
    assert second.items() <= everything(folder).items()
    monkeypatch.undo()
    index(photos, "--run", run_path, "--out", tmp_path / "fresh")
    same(folder, tmp_path / "fresh")


def test_two_writers_at_once(tmp_path, run_path, photos, capsys):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    holder = (
        "import sys; from pathlib import Path; from fgsbir.files import locked\n"
        "with locked(Path(sys.argv[1])): print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path / "i" / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        capsys.readouterr()
        assert main(["index", str(photos), "--out", str(tmp_path / "i")]) == 2
        assert "another process holds this lock" in capsys.readouterr().err
        process.communicate(b"\n")


def drawing(folder, suffix=".svg"):
    """A file of a drawing: a chair of four strokes."""
    strokes = ([[0.2, 0.1], [0.2, 0.5]], [[0.2, 0.5], [0.7, 0.5]], [[0.3, 0.5], [0.3, 0.9]], [[0.7, 0.5], [0.7, 0.9]])
    sketch = VectorSketch.from_strokes([np.array(stroke, dtype=np.float32) for stroke in strokes]).normalised()
    path = folder / f"chair{suffix}"
    if suffix == ".svg":
        write_svg(sketch, path)
    elif suffix == ".npy":
        write_stroke5(sketch, path)
    elif suffix == ".stroke3.npy":
        steps = np.diff(np.concatenate([[[0, 0]], sketch.points]), axis=0)
        lift = np.isin(np.arange(len(steps)), sketch.offsets[1:] - 1)
        np.save(path, np.column_stack([steps, lift]))
    elif suffix == ".ndjson":
        strokes = [(255 * stroke).round().T.tolist() for stroke in sketch.strokes]
        path.write_text(json.dumps({"key_id": "1", "drawing": strokes}))
    else:
        pixels = rasterise(sketch, 300, 3)
        if suffix == ".jpg":  # a photo of paper: grey, darker to one side, with noise
            rng = np.random.default_rng(0)
            paper = np.linspace(150, 220, 300)[None] + rng.normal(0, 3, (300, 300))
            pixels = np.clip(np.where(pixels < 128, 60, paper), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("suffix", [".svg", ".ndjson", ".npy", ".stroke3.npy", ".png", ".jpg"])
def test_each_kind_of_sketch_finds_the_same_photos(tmp_path, run_path, photos, capsys, suffix):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    capsys.readouterr()
    answers = []
    for path in (drawing(tmp_path), drawing(tmp_path, suffix)):
        assert main(["search", str(tmp_path / "i"), str(path), "--json", "--top", "13"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    plain, other = ({hit["photo"]: hit["distance"] for hit in answer["hits"]} for answer in answers)
    assert sorted(other) == sorted(plain)
    assert len(other) == answers[1]["photos"] == 13
    drawn_alike = 1e-2 if suffix in (".npy", ".stroke3.npy", ".ndjson") else 0.3
    assert max(abs(other[photo] - plain[photo]) for photo in plain) < drawn_alike


def test_the_page_shows_photos_trees_and_attention(tmp_path, run_path, photos, capsys):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    page = tmp_path / "found.html"
    assert main(["search", str(tmp_path / "i"), str(drawing(tmp_path)), "--top", "5", "--page", str(page)]) == 0
    table = re.findall(r"^ +(\d+)  (\S+) +(-?[\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    assert [rank for rank, *_ in table] == ["1", "2", "3", "4", "5"]
    html = page.read_text()
    assert re.findall(r"<b>\d</b> (\S+)<br>", html) == [photo for _, photo, _ in table]
    assert html.count("data:image/jpeg;base64,") >= 5
    assert html.count("Merge tree of the strokes: 4 leaves, 3 fusions") == 3
    assert "Co-attention" in html
    assert not re.search(r'(?:href|src)="(?!#|data:)', html), "it needs other files"


def test_a_pair_is_explained_as_it_was_matched(tmp_path, run_path):
    index("--split", "test", "--run", run_path, "--out", tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i")
    system, data = load_run(RunFolder(run_path))
    data.setup("test")
    queries, gallery = data.queries("test"), data.gallery("test")
    for q in range(4):
        target = int(queries[q].photo)
        pair = [type(sample)(*(field[None] for field in sample)) for sample in (queries[q], gallery[target])]
        view = searcher.explain(queries.sketches[q].sketch, gallery.photos[target].id)
        (wanted,) = system.explain_images(*pair)
        assert view.explanation[:2] == wanted[:2]
        assert np.allclose(view.photo_boxes, gallery[target].boxes[gallery[target].mask], atol=1e-6)
        assert np.allclose(view.stroke_boxes, queries[q].boxes[queries[q].mask], atol=1e-6)
        assert len(view.strokes) == len(view.stroke_boxes)
    with pytest.raises(KeyError):
        searcher.explain(queries.sketches[0].sketch, "no such photo")
    with pytest.raises(KeyError):
        searcher.thumbnail("no such photo")


def test_a_tree_of_a_photo_alone_is_drawn_from_its_thumbnail(tmp_path, photos):
    run = make_run(tmp_path / "run", SYSTEMS["alone"])
    index(photos, "--run", run, "--out", tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i")
    sketch = LoadedModel.load(run).data.records.split_sketches("test")[0].sketch
    view = searcher.explain(sketch, "p01.png")
    assert len(view.explanation.photo_merges) == len(view.photo_boxes) - 1
    assert len(view.explanation.sketch_merges) == len(view.strokes) - 1


def test_a_system_without_vectors_matches_all_up_to_a_limit(tmp_path, photos, monkeypatch, capsys):
    run = make_run(tmp_path / "run", SYSTEMS["paper"])
    index(photos, "--run", run, "--out", tmp_path / "i")
    argv = ["search", str(tmp_path / "i"), str(drawing(tmp_path)), "--depth", "2", "--json"]
    capsys.readouterr()
    assert main(argv) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 10
    assert main(["index", "--out", str(tmp_path / "i"), "--measure"]) == 2
    assert "no first stage" in capsys.readouterr().err
    monkeypatch.setattr("fgsbir.search.searcher.EXHAUSTIVE_LIMIT", 12)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "too many" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_distilled_vectors_stand_in_and_follow_the_photos(tmp_path, photos, capsys):
    run = make_run(tmp_path / "run", SYSTEMS["paper"])
    folder = tmp_path / "i"
    index(photos, "--run", run, "--out", folder)
    assert main(["index", "--out", str(folder), "--distil"]) == 2
    assert "13 photos are too few" in capsys.readouterr().err
    index("--split", "test", "--run", run, "--out", folder)
    before = everything(folder)
    index("--out", folder, "--distil", "--measure", "--queries", "6")
    assert everything(folder) == before  # nodes and the rest are as they were
    index("--split", "val", "--out", folder)
    made = PhotoIndex(folder)
    head = read_head(folder, made.manifest.fields)
    nodes, counts = (made.field(name, made.rows()) for name in ("nodes", "counts"))
    assert np.allclose(made.vectors()[made.rows()], head.photos(nodes, counts), atol=1e-6)
    searcher = Searcher.open(folder, depth=6)
    sketch = LoadedModel.load(run).data.records.split_sketches("test")[0].sketch
    encoded = searcher.encode(sketch)
    order = (made.vectors()[made.rows()] @ head.sketch(encoded)).argsort()[::-1]
    assert searcher.nearest(encoded, 6).tolist() == made.rows()[order][:6].tolist()
    known = dict(zip(made.photos, searcher.distances(encoded, made.rows()), strict=True))
    for hit in searcher.search(sketch, top=4).hits:
        assert hit.distance == pytest.approx(known[hit.photo], abs=1e-5)
    (folder / f"{head.name}.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        Searcher.open(folder)


def test_a_head_learns_the_order_of_system_distances():
    """Distances that depend on a few numbers of pooled nodes: other sketches and photos are ordered nearly alike."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(8, 3))
    sketches, photos = (np.abs(rng.normal(size=(n, 4, 4))).astype(np.float32) for n in (150, 120))
    counts = [rng.integers(1, 5, len(nodes)) for nodes in (sketches, photos)]
    pooled = [pool(nodes, count) for nodes, count in zip((sketches, photos), counts, strict=True)]
    mean = sketches[0, : counts[0][0]].mean(0)
    assert np.allclose(pooled[0][0], [*mean, *sketches[0, : counts[0][0]].max(0)], atol=1e-6)
    a, b = (((x - x.mean(0)) / x.std(0)) @ truth for x in pooled)
    distances = ((a[:, None] - b[None]) ** 2).sum(2).astype(np.float32)
    head = learn(*(torch.from_numpy(x[: len(x) // 2]) for x in pooled), torch.from_numpy(distances[:75, :60]))
    s, p = pooled[0][75:] @ head.sketch_weight.T + head.sketch_bias, head.photos(photos[60:], counts[1][60:])
    found, true = (s @ p.T).argsort(1)[:, ::-1], distances[75:, 60:].argsort(1)
    share = np.mean([len(set(f[:20]) & set(t[:5])) / 5 for f, t in zip(found, true, strict=True)])
    assert share > 0.75  # by chance: a third


def test_recall_is_the_share_of_ranks_within_a_depth():
    # Of the exhaustive top 4, the first stage has one at rank 1, one at 12, one at 14 of 15, and lacks one.
    assert ranks_in(np.array([7, 3, 9, 4]), np.array([7, *range(100, 110), 3, 110, 9])).tolist() == [1, 12, 14, np.inf]
    assert recall_curve(np.array([1, 12, 14, np.inf]), 15) == ((10, 13, 15), (0.25, 0.5, 0.75))
    depths, shares = recall_curve(np.arange(1.0, 5001.0), 5000)
    assert depths[0] == 10
    assert depths[-1] == 5000
    assert list(shares) == [depth / 5000 for depth in depths]


@pytest.mark.slow
def test_the_measured_depth_reaches_the_recall(tmp_path, run_path, capsys):
    folder = tmp_path / "i"
    index("--split", "train", "--run", run_path, "--out", folder)
    index("--split", "test", "--run", run_path, "--out", folder)
    searcher = Searcher.open(folder, depth=1)
    sketches = [record.sketch for record in LoadedModel.load(run_path).data.records.split_sketches("val")]
    measured = measure_recall(searcher, sketches, "faiss")
    shares = []
    for sketch in sketches:  # by a plain count at each depth
        encoded = searcher.encode(sketch)
        distances = searcher.distances(encoded, searcher.index.rows())
        best = set(searcher.index.rows()[distances.argsort(kind="stable")[:10]].tolist())
        shares.append([len(best & set(searcher.nearest(encoded, d).tolist())) / 10 for d in measured.depths])
    assert np.allclose(measured.shares, np.mean(shares, 0))
    assert measured.shares[-1] == 1
    with pytest.raises(InputError, match="not measured"):
        Searcher.open(folder, recall=0.9)
    index("--out", folder, "--measure", "--queries", "6")
    assert "exhaustive top 10 by 6 sketches in 20 photos" in capsys.readouterr().out
    assert Searcher.open(folder, recall=0.9).depth == measured.depth_for(0.9, 20)
    with pytest.raises(InputError, match="one of them"):
        Searcher.open(folder, recall=0.9, depth=3)


@pytest.mark.slow
def test_faiss_and_qdrant_give_the_same_first_stage(tmp_path, run_path, photos):
    folder = tmp_path / "i"
    index("--split", "test", "--run", run_path, "--out", folder)
    index(photos, "--out", folder, "--backend", "qdrant")
    index("--out", folder, "--remove", "p03.png", "--backend", "qdrant")
    index("--out", folder, "--backend", "qdrant")  # nothing to do
    index("--split", "val", "--out", folder)
    index("--out", folder, "--remove", "p01.png", "p02.png", "p04.png", "p05.png")
    with pytest.raises(InputError, match="lacks photos"):  # though it has as many points as there are photos, or more
        Searcher.open(folder, backend="qdrant")
    index("--out", folder, "--backend", "qdrant")
    made = PhotoIndex(folder)
    rng = np.random.default_rng(0)
    queries = made.vectors()[rng.integers(0, made.manifest.rows, 10)] + rng.normal(
        0, 1e-2, (10, made.vectors().shape[1])
    )
    faiss, qdrant = Faiss(made), Qdrant(made, None)
    lists = Faiss(made, flat_limit=1, probes=100)
    exact = ((queries[:, None] - made.vectors()[made.rows()][None]) ** 2).sum(2)
    for query, distances in zip(queries.astype(np.float32), exact, strict=True):
        wanted = made.rows()[distances.argsort()][:9].tolist()
        assert faiss.nearest(query, 9).tolist() == wanted
        assert qdrant.nearest(query, 9).tolist() == wanted
        assert len(set(wanted) & set(lists.nearest(query, 9).tolist())) >= 8
        assert sorted(lists.nearest(query, 100).tolist()) == made.rows().tolist()
    qdrant.client.close()
    answers = []
    for backend in ("faiss", "qdrant"):
        searcher = Searcher.open(folder, depth=5, backend=backend)
        answers.append(searcher.search(LoadedModel.load(run_path).data.records.split_sketches("test")[0].sketch).hits)
        if backend == "qdrant":
            searcher.first.client.close()
    assert answers[0] == answers[1]


def test_lists_are_kept_and_follow_the_index(tmp_path, run_path, photos, monkeypatch):
    monkeypatch.setattr(Faiss.__init__, "__defaults__", (5, 100))
    folder = tmp_path / "i"
    index(photos, "--run", run_path, "--out", folder)
    kept = (folder / "lists.faiss").read_bytes()
    index("--out", folder, "--remove", "p03.png", "p04.png")
    index("--split", "val", "--run", run_path, "--out", folder)
    (folder / "newer").write_bytes((folder / "lists.faiss").read_bytes())
    for content in (kept, kept[:100], b"", (folder / "newer").read_bytes()):  # older, damaged, empty, as it should be
        (folder / "lists.faiss").write_bytes(content)
        made = PhotoIndex(folder)
        assert sorted(Faiss(made).nearest(made.vectors()[0], 100).tolist()) == made.rows().tolist()


def test_an_empty_or_unknown_first_stage_is_told_in_one_line(tmp_path, run_path, photos, capsys):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    sketch = str(drawing(tmp_path))
    for backend, message in (
        ("qdrant", "lacks photos of this index"),
        ("mongo", "'mongo' is unknown"),
        ("http://127.0.0.1:9", "Qdrant cannot be used"),
    ):
        capsys.readouterr()
        assert main(["search", str(tmp_path / "i"), sketch, "--backend", backend]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.slow
def test_half_precision_takes_half_the_space_and_finds_nearly_the_same(tmp_path, run_path, photos):
    index(photos, "--run", run_path, "--out", tmp_path / "full")
    index(photos, "--run", run_path, "--out", tmp_path / "half", "--precision", "float16")
    assert 2 * (tmp_path / "half/nodes.bin").stat().st_size == (tmp_path / "full/nodes.bin").stat().st_size
    index("--split", "val", "--out", tmp_path / "half")  # goes on in half precision
    sketch = LoadedModel.load(run_path).data.records.split_sketches("test")[0].sketch
    full, half = (dict(Searcher.open(tmp_path / name).search(sketch, 16).hits) for name in ("full", "half"))
    assert max(abs(full[photo] - half[photo]) for photo in full) < 1e-2


def test_answers_are_the_same_from_several_threads(tmp_path, run_path, photos):
    index(photos, "--run", run_path, "--out", tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i", depth=5)
    sketches = [record.sketch for record in LoadedModel.load(run_path).data.records.split_sketches("train")]
    alone = [searcher.search(sketch).hits for sketch in sketches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda sketch: searcher.search(sketch).hits, sketches * 3))
    assert together == alone * 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["index", "nowhere", "--out", "i"], "a new index needs one"),
        (["index", "--out", "i"], "there is no index"),
        (["index", "a", "--split", "test", "--out", "i"], "give one of them"),
        (["index", "--prune", "--out", "i"], "nothing to compare with"),
        (["index", "--out", "i", "--measure", "--queries", "0"], "less than 1"),
        (["search", "i", "no.svg"], "no.svg"),
        (["search", "i", "no.svg", "--top", "0"], "less than 1"),
    ],
)
def test_wrong_options_are_told_in_one_line(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
