"""The files of an index: what is committed stays, whatever happens to the writer."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.search.index import LOG, MANIFEST, IndexWriter, ModelRecord, NewPhoto, PhotoIndex, Recall

MODEL = ModelRecord("runs/a", "tiny/one", "Proposed", "c" * 64, "d" * 64, 0.5)


def batch(*numbers):
    """Photos whose rows are told by their numbers."""
    photos = [NewPhoto(f"p{n}", f"digest {n}", b"jpeg" * n) for n in numbers]
    column = np.array(numbers, dtype=np.float32)
    fields = {
        "nodes": np.broadcast_to(column[:, None, None], (len(numbers), 3, 2)),
        "vector": np.stack([column, -column], 1),
        "boxes": np.broadcast_to(np.float32([[0, 0, 1, 1], [np.nan] * 4]), (len(numbers), 2, 4)),
    }
    return photos, fields


def content(folder):
    """All that an index says of each photo."""
    index = PhotoIndex(folder)
    if not len(index):
        return {}
    rows = index.rows()
    nodes, vectors = index.encodings(rows)
    assert np.array_equal(vectors, index.vectors()[rows])
    return {
        photo: (stored.digest, nodes[i].tolist(), vectors[i].tolist(), index.thumbnail(photo))
        for i, (photo, stored) in enumerate(index.photos.items())
    }


def expected(*numbers):
    return {f"p{n}": (f"digest {n}", [[n, n]] * 3, [n, -n], b"jpeg" * n) for n in numbers}


def test_what_was_added_and_removed_is_read_back(tmp_path):
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(1, 2, 3))
        writer.remove(["p2"])
        writer.add(*batch(4))
    assert content(tmp_path / "i") == expected(1, 3, 4)
    index = PhotoIndex(tmp_path / "i")
    assert index.boxes(0).tolist() == [[0, 0, 1, 1]]
    assert index.manifest.model == MODEL


def test_a_changed_photo_takes_the_place_of_the_old_one(tmp_path):
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(1, 2))
        photos, fields = batch(5)
        writer.add([photos[0]._replace(id="p1")], fields)
    assert content(tmp_path / "i")["p1"][0] == "digest 5"
    assert len(PhotoIndex(tmp_path / "i")) == 2


def test_to_add_and_remove_is_to_build_without(tmp_path):
    with IndexWriter(tmp_path / "a", MODEL) as writer:
        for numbers in ((1, 2), (3, 4, 5), (6,)):
            writer.add(*batch(*numbers))
        writer.remove(["p2", "p5"])
    with IndexWriter(tmp_path / "b", MODEL) as writer:
        writer.add(*batch(1, 3, 4, 6))
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_an_open_index_does_not_change_under_its_reader(tmp_path):
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(1, 2))
        index = PhotoIndex(tmp_path / "i")
        writer.remove(["p1"])
        writer.add(*batch(3))
        assert list(index.photos) == ["p1", "p2"]
        assert index.encodings(index.rows())[1].tolist() == [[1, -1], [2, -2]]


def killed_at(call, work):
    """Runs `work` in a process that is killed at its n-th call that makes a write last; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = [call]

        def deadly(real):
            def call(*args):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args)

            return call

        os.fsync, os.replace = deadly(os.fsync), deadly(os.replace)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_writer_killed_anywhere_leaves_what_was_committed_and_the_next_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the machine does not fail here, only the process
    steps = [lambda w: w.add(*batch(1, 2)), lambda w: w.add(*batch(3)), lambda w: w.remove(["p1"])]
    states = [{}, expected(1, 2), expected(1, 2, 3), expected(2, 3)]

    def work(folder):
        with IndexWriter(folder, MODEL) as writer:
            for step in steps[states.index(content(folder)) :]:
                step(writer)

    seen = set()
    for call in range(1000):
        folder = tmp_path / str(call)
        if not killed_at(call, lambda folder=folder: work(folder)):
            break
        if (folder / MANIFEST).exists():
            state = content(folder)
            assert state in states
            seen.add(states.index(state))
        work(folder)
        assert content(folder) == states[-1]
    assert call > 15
    assert seen == {0, 1, 2}


def test_half_of_a_batch_behind_the_committed_end_is_cut_off(tmp_path):
    folder = tmp_path / "i"
    with IndexWriter(folder, MODEL) as writer:
        writer.add(*batch(1, 2))
    for name in ("nodes.bin", "vector.bin", "thumbnails.bin", LOG):
        with (folder / name).open("ab") as file:
            file.write(b"half a row")
    assert content(folder) == expected(1, 2)
    with IndexWriter(folder, MODEL) as writer:
        writer.add(*batch(3))
    assert content(folder) == expected(1, 2, 3)


def test_one_writer_at_a_time(tmp_path):
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(1))
        pid = os.fork()
        if pid == 0:
            try:
                IndexWriter(tmp_path / "i", MODEL)
            except InputError as error:
                os._exit(7 if "another process holds this lock" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(2))


@pytest.mark.parametrize("other", [{"checkpoint": "e" * 64}, {"settings": "e" * 64}])
def test_another_model_is_refused(tmp_path, other):
    with IndexWriter(tmp_path / "i", MODEL) as writer:
        writer.add(*batch(1))
    with pytest.raises(InputError, match="another model") as error:
        IndexWriter(tmp_path / "i", replace(MODEL, **other))
    assert "\n" not in str(error.value)
    with IndexWriter(tmp_path / "i", replace(MODEL, run="moved", experiment="renamed")) as writer:
        writer.add(*batch(2))
    assert PhotoIndex(tmp_path / "i").manifest.model.run == "moved"


def damaged_manifest(change):
    def damage(folder):
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return damage


def cut(name, size):
    return lambda folder: os.truncate(folder / name, size)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut(MANIFEST, 40), "manifest.json: damaged"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "manifest.json: damaged"),
        (damaged_manifest(lambda m: m.update(format=99)), "format 99"),
        (damaged_manifest(lambda m: m.pop("rows")), "manifest.json: damaged"),
        (damaged_manifest(lambda m: m.update(rows="2")), "manifest.json: damaged"),
        (damaged_manifest(lambda m: m.update(rows=1)), "photos.jsonl: damaged"),
        (damaged_manifest(lambda m: m["fields"]["nodes"].update(dtype="wrong")), "manifest.json: damaged"),
        (damaged_manifest(lambda m: m["fields"]["nodes"].update(dtype="O")), "manifest.json: damaged"),
        (damaged_manifest(lambda m: m["fields"].update({"../x": m["fields"]["nodes"]})), "manifest.json: damaged"),
        (cut("nodes.bin", 5), "nodes.bin: damaged"),
        (cut("thumbnails.bin", 5), "thumbnails.bin: damaged"),
        (lambda folder: (folder / "vector.bin").unlink(), "vector.bin: damaged"),
        (cut(LOG, 5), "photos.jsonl: damaged"),
        (lambda folder: (folder / LOG).write_bytes(b"x" * 1000), "photos.jsonl: damaged"),
    ],
)
def test_a_damaged_index_is_told_in_one_line(tmp_path, damage, message):
    with IndexWriter(tmp_path, MODEL) as writer:
        writer.add(*batch(1, 2))
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        PhotoIndex(tmp_path)
    assert "\n" not in str(error.value)


def test_no_index_is_made_where_other_files_are_or_none_was_asked_for(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="other files"):
        IndexWriter(tmp_path, MODEL)
    with pytest.raises(InputError, match="there is no index"):
        IndexWriter(tmp_path / "none", None)
    assert not (tmp_path / "none").exists()


def test_to_remove_what_is_not_there_removes_nothing(tmp_path):
    with IndexWriter(tmp_path, MODEL) as writer:
        writer.add(*batch(1))
        with pytest.raises(InputError, match="no photo 'p9'"):
            writer.remove(["p1", "p9"])
    assert content(tmp_path) == expected(1)


def test_the_depth_for_a_recall_is_the_least_that_reached_it():
    recall = Recall(1000, 50, "faiss", (10, 20, 50, 1000), (0.6, 0.9, 0.95, 0.99))
    assert [recall.depth_for(share, 1000) for share in (0.5, 0.6, 0.61, 0.9, 0.95, 0.99)] == [10, 10, 20, 20, 50, 1000]
    assert recall.depth_for(0.95, 3000) == 150  # three times the photos
    assert recall.depth_for(0.95, 500) == 50
    with pytest.raises(InputError, match=r"only 0\.9900"):
        recall.depth_for(0.995, 1000)


def test_a_measured_recall_is_kept(tmp_path):
    recall = Recall(2, 5, "faiss", (1, 2), (0.5, 1.0))
    with IndexWriter(tmp_path, MODEL) as writer:
        writer.add(*batch(1, 2))
        writer.record_recall(recall)
        writer.add(*batch(3))
    assert PhotoIndex(tmp_path).manifest.recall == recall
