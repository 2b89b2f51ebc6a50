import gzip
import io
import json
import re
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serve.stand_in import StandIn

import fgsbir.serve.app
from fgsbir.images import FORMATS as IMAGE_FORMATS
from fgsbir.images import plugins
from fgsbir.serve import reader
from fgsbir.serve.app import FORMATS
from fgsbir.serve.limits import Limits
from fgsbir.serve.messages import SketchAnswer
from fgsbir.sketch.formats import SKETCH_SUFFIXES, read_svg, to_stroke5
from fgsbir.sketch.strokes import VectorSketch

STROKES = [[[0.1, 0.2], [0.5, 0.25], [0.9, 0.2]], [[0.5, 0.25], [0.5, 0.9]]]
SEARCH, EXPLAIN, SKETCH = "/api/v1/search", "/api/v1/explain", "/api/v1/sketch"
SVG = b'<svg viewBox="0 0 100 100" fill="none" stroke="black"><path d="M10 20 L50 25 90 20 M50 25V90"/></svg>'


def send(client, content, suffix):
    return client.post(SKETCH, content=content, headers={"Content-Type": FORMATS[suffix]})


def refused(answer, status, code, field=None):
    """Asserts that an answer is a refusal in the one shape that refusals have."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert error.keys() == {"code", "message", "field"}
    assert (error["code"], error["field"]) == (code, field)
    assert len(error["message"]) > 5
    return answer


# --- Search


def test_the_answer_is_that_of_the_searcher(serve):
    client = serve()
    expected = client.searcher.search(VectorSketch.from_strokes(STROKES), 7).hits
    answer = client.post(SEARCH, json={"strokes": STROKES, "top": 7}).json()
    assert [(hit["photo"], hit["distance"]) for hit in answer["hits"]] == [tuple(hit) for hit in expected]
    assert (answer["ms"]["encode"], answer["ms"]["first"], answer["ms"]["match"]) == (1, 2, 3)


class Recorder(StandIn):
    def search(self, sketch, top=10):
        self.sketch = sketch
        return super().search(sketch, top)


@pytest.mark.parametrize(
    ("width", "height", "strokes", "expected"),
    [
        (1, 1, [[(0.25, 0.5)]], [[(0.25, 0.5)]]),
        (200, 100, [[(0, 0), (200, 100)]], [[(0, 0.25), (1, 0.75)]]),  # the shorter side is centred
        (100, 400, [[(100, 400)], [(0, 0)]], [[(0.625, 1)], [(0.375, 0)]]),
    ],
)
def test_points_may_be_in_any_unit_of_any_canvas(serve, width, height, strokes, expected):
    client = serve(Recorder())
    assert client.post(SEARCH, json={"strokes": strokes, "width": width, "height": height}).status_code == 200
    assert client.searcher.sketch == VectorSketch.from_strokes(expected)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"strokes": []}, "invalid", "strokes"),
        ({"strokes": [[]]}, "invalid", "strokes.0"),
        ({"strokes": [[[0, 1, 2]]]}, "invalid", "strokes.0.0"),
        ({"strokes": [[["a", 1]]]}, "invalid", "strokes.0.0.0"),
        ({"strokes": [[[1e300, 1]]]}, "invalid", "strokes.0.0.0"),
        ({"strokes": [[[11, 1]]]}, "off_canvas", "strokes"),
        ({"strokes": STROKES, "top": 0}, "invalid", "top"),
        ({"strokes": STROKES, "top": 101}, "many_photos", "top"),
        ({"strokes": STROKES, "width": 0}, "invalid", "width"),
        ({"strokes": STROKES, "height": -5}, "invalid", "height"),
        ({"strokes": STROKES, "path": "/etc/passwd"}, "invalid", None),
        ({}, "invalid", "strokes"),
    ],
)
def test_what_does_not_fit_is_named(serve, change, code, field):
    client = serve()
    refused(client.post(SEARCH, json=change), 422, code, field)
    assert client.searcher.searched == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(serve, number):
    body = f'{{"strokes": [[[0.5, {number}]]]}}'
    answer = serve().post(SEARCH, content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "invalid", "strokes.0.0.1")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"1" + b"0" * 5000])
def test_what_is_no_json_is_malformed(serve, body):
    answer = serve().post(SEARCH, content=body, headers={"Content-Type": "application/json"})
    refused(answer, 400, "malformed")


def test_routes_and_methods_that_are_not_there_have_the_same_shape(serve):
    client = serve()
    refused(client.get("/api/v2/search"), 404, "not_found")
    assert refused(client.get(SEARCH), 405, "method_not_allowed").headers["Allow"] == "POST"


def test_the_limits_of_a_drawing(serve):
    client = serve(strokes=3, points=10)
    assert client.post(SEARCH, json={"strokes": [[[0, 0]]] * 3}).status_code == 200
    refused(client.post(SEARCH, json={"strokes": [[[0, 0]]] * 4}), 422, "many_strokes", "strokes")
    assert client.post(SEARCH, json={"strokes": [[[0, 0]] * 10]}).status_code == 200
    refused(client.post(SEARCH, json={"strokes": [[[0, 0]] * 11]}), 422, "many_points", "strokes")
    refused(client.post(EXPLAIN, json={"strokes": [[[0, 0]] * 11], "photo": "x"}), 422, "many_points", "strokes")


def test_only_the_first_of_many_wrong_entries_is_noted(serve, monkeypatch):
    noted = []
    real = fgsbir.serve.app.on_invalid

    async def on_invalid(request, error):
        noted.append(len(error.errors()))
        return await real(request, error)

    monkeypatch.setattr(fgsbir.serve.app, "on_invalid", on_invalid)
    client = serve()
    for strokes in ([None] * 1000, [[None] * 1000]):
        assert client.post(SEARCH, json={"strokes": strokes}).status_code == 422
    assert noted == [1, 1]  # a list of all is longer than the body and blocks the server for seconds


# --- Bodies


def test_a_body_that_is_too_large_is_refused_by_its_header(serve):
    client = serve(body_bytes=1000, file_bytes=2000, svg_bytes=1500)
    refused(client.post(SEARCH, json={"strokes": [[[0.123456789, 0.5]] * 100]}), 413, "too_large")
    refused(send(client, b" " * 2001, ".png"), 413, "too_large")
    refused(send(client, SVG + b" " * 1500, ".svg"), 413, "too_large")
    assert send(client, SVG + b" " * (1500 - len(SVG)), ".svg").status_code == 200


def test_a_body_without_a_length_is_counted_as_it_comes(serve):
    client = serve(body_bytes=1000)
    sent = 0

    def pieces():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    answer = client.post(SEARCH, content=pieces(), headers={"Content-Type": "application/json"})
    refused(answer, 413, "too_large")
    assert "content-length" not in answer.request.headers


def test_the_rate_of_a_client(serve):
    client = serve(rate=0.5, burst=3)
    assert [client.post(SEARCH, json={"strokes": STROKES}).status_code for _ in range(3)] == [200] * 3
    answer = refused(client.post(SEARCH, json={"strokes": STROKES}), 429, "rate")
    assert answer.headers["Retry-After"] == "2"
    assert client.get("/healthz").status_code == 200  # what costs nothing is not counted


# --- Overload


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_overload_is_answered_at_once_and_the_others_are_right(serve):
    client = serve(matches=1, waiting=2)
    searcher = client.searcher
    searcher.gate.clear()
    drawings = [[[[0.1 * i, 0.2], [0.5, 0.9]]] for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(client.post, SEARCH, json={"strokes": each}) for each in drawings]
        until(lambda: sum(future.done() for future in asked) == 5)  # while the first one is still at it
        assert searcher.searched == 1
        assert client.get("/healthz").status_code == 200  # the server still answers
        for future in asked:
            if future.done():
                assert refused(future.result(), 503, "busy").headers["Retry-After"] == "1"
        searcher.gate.set()
        answers = [future.result() for future in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [503] * 5
    for answer, strokes in zip(answers, drawings, strict=True):
        if answer.status_code == 200:
            hits = searcher.search(VectorSketch.from_strokes(strokes), 10).hits
            assert [hit["photo"] for hit in answer.json()["hits"]] == [hit.photo for hit in hits]
    assert client.post(SEARCH, json={"strokes": STROKES}).status_code == 200


def test_a_failure_tells_nothing_and_frees_its_place(serve):
    class Failing(StandIn):
        def search(self, sketch, top=10):
            raise OSError("/secret/place")

    client = serve(Failing(), matches=1, waiting=1)
    for _ in range(4):
        assert "secret" not in refused(client.post(SEARCH, json={"strokes": STROKES}), 500, "failed").text


# --- Photos


def test_thumbnails_of_ids_with_slashes_and_marks(serve):
    client = serve()
    photo = client.searcher.names[3]
    address = f"/api/v1/photos/{quote(photo, safe='')}/thumbnail"
    answer = client.get(address)
    assert answer.content == client.searcher.thumbnail(photo)
    assert answer.headers["Content-Type"] == "image/jpeg"
    again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "photo", ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "%00", "chairs", "chairs/003", "%ff"]
)
def test_no_path_from_a_request_reaches_the_disk(serve, photo, monkeypatch):
    client = serve()
    opened = []
    monkeypatch.setattr(Path, "open", lambda *args: opened.append(args))
    monkeypatch.setattr(Path, "read_bytes", lambda *args: opened.append(args))
    assert client.get(f"/api/v1/photos/{photo}/thumbnail").status_code == 404
    assert client.get(f"/{photo}").status_code == 404
    assert opened == []


# --- Explain


def test_explain_gives_the_trees_of_the_searcher(serve):
    client = serve()
    photo = client.searcher.names[5]
    answer = client.post(EXPLAIN, json={"strokes": STROKES, "photo": photo}).json()
    view = client.searcher.explain(VectorSketch.from_strokes(STROKES), photo)
    tree = answer["explanation"]
    assert answer["photo"] == photo
    assert tree["strokes"] == [[list(point) for point in stroke] for stroke in view.strokes]
    assert tree["photo_boxes"] == [list(box) for box in view.photo_boxes]
    assert tree["sketch_merges"] == [list(pair) for pair in view.explanation.sketch_merges]
    assert tree["levels"] == view.explanation.levels
    refused(client.post(EXPLAIN, json={"strokes": STROKES, "photo": "../x"}), 404, "no_photo", "photo")


def test_a_system_without_a_tree_says_so(serve):
    client = serve(StandIn(has_tree=False))
    answer = client.post(EXPLAIN, json={"strokes": STROKES, "photo": client.searcher.names[0]})
    assert answer.json()["explanation"] is None


# --- Files


def files(folder):
    """The same drawing in every format."""
    (folder / "a.svg").write_bytes(SVG)
    sketch = read_svg(folder / "a.svg")
    array = io.BytesIO()
    np.save(array, to_stroke5(sketch))
    record = {"drawing": [stroke.T.tolist() for stroke in sketch.strokes]}
    image = Image.new("L", (200, 200), 255)
    for stroke in sketch.strokes:
        points = (200 * stroke).round().astype(int)
        for (x1, y1), (x2, y2) in pairwise(points.tolist()):
            n = int(max(abs(x2 - x1), abs(y2 - y1)))
            for t in range(n + 1):
                x, y = x1 + (x2 - x1) * t // n, y1 + (y2 - y1) * t // n
                image.paste(0, (x - 2, y - 2, x + 3, y + 3))
    photographed = {}
    for format_ in IMAGE_FORMATS:
        if format_.plugin in plugins():
            file = io.BytesIO()
            image.save(file, format_.plugin)
            photographed |= dict.fromkeys(format_.suffixes, file.getvalue())
    lines = {".json": json.dumps(record, indent=1), ".ndjson": json.dumps({"key_id": 1} | record)}
    return sketch, {
        ".svg": SVG,
        ".svgz": gzip.compress(SVG),
        ".npy": array.getvalue(),
        **photographed,
    } | {suffix: text.encode() for suffix, text in lines.items()}


def test_every_format_becomes_its_strokes(serve, tmp_path):
    client = serve()
    sketch, contents = files(tmp_path)
    assert FORMATS.keys() == set(SKETCH_SUFFIXES)
    assert contents.keys() >= FORMATS.keys() - {".avif", ".heic", ".heif"}
    for suffix, content in contents.items():
        answer = send(client, content, suffix)
        assert answer.status_code == 200, answer.text
        strokes = VectorSketch.from_strokes(answer.json()["strokes"])
        if suffix in (".svg", ".svgz"):
            assert strokes == sketch
        elif suffix in (".json", ".ndjson", ".npy"):
            assert np.allclose(strokes.points, sketch.normalised().points, atol=1e-6)
        else:
            assert np.allclose(strokes.bounds, sketch.bounds, atol=0.03)


@pytest.mark.parametrize(
    ("strokes", "expected"),
    [
        ([[(0, 0.2), (1.000001, 0.5)], [(0.5, -1e-7)]], [[(0, 0.2), (1, 0.5)], [(0.5, 0)]]),  # stays where it is
        ([[(0, 0), (2, 1)]], [[(0.1, 0.3), (0.9, 0.7)]]),  # is scaled to fit
        ([[(1e7, 0), (1e7 + 3, 1)]], None),  # float32 cannot hold this where it is
        ([[(-1e37, 1e37), (1e37, 0)]], None),
    ],
)
def test_the_points_of_a_file_lie_in_the_frame(monkeypatch, strokes, expected):
    monkeypatch.setattr(reader, "parse_sketch", lambda *_: VectorSketch.from_strokes(strokes))
    found = reader._answer(b"", ".svg", Limits())["strokes"]
    answer = SketchAnswer(strokes=found)  # refuses what is not in [0, 1]
    if expected:
        for stroke, wanted in zip(answer.strokes, expected, strict=True):
            assert np.allclose(stroke, wanted, atol=1e-6)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        SketchAnswer(strokes=[[(0.5, 1.0000001)]])


def bomb(width, height):
    """A PNG that says it has so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_what_is_no_drawing_is_refused_and_the_next_file_is_read(serve):
    client = serve(image_pixels=1_000_000, strokes=5, read_seconds=20)
    pickled, zipped = io.BytesIO(), io.BytesIO()
    np.save(pickled, np.array([[{}, 1, 2]], dtype=object), allow_pickle=True)
    np.savez(zipped, np.zeros((9, 5)))
    for content, suffix, reason in (
        (b"<svg", ".svg", "malformed XML"),
        (b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>', ".svg", "undefined entity"),
        (
            b"<svg viewBox='0 0 9 9'><path stroke='red' d='M0 0h1m1 0h1m1 0h1m1 1h1m1 0h1M1 1h1'/></svg>",
            ".svg",
            "6 strokes",
        ),
        (bomb(1001, 1000), ".png", "1001 x 1000 pixels"),
        (bomb(60_000, 60_000), ".png", "3600000000 pixels"),
        (SVG, ".png", "it is an SVG drawing; give one of PNG"),
        (b"%PDF-1.7", ".jpg", "it is a PDF document"),
        (pickled.getvalue(), ".npy", "not an .npy file of numbers"),
        (zipped.getvalue(), ".npy", "no \\(N, 3\\) or \\(N, 5\\)"),
        (b'{"drawing": [[[0, NaN], [0, 1]]]}', ".json", "not finite"),
        (b"", ".json", "JSON"),
    ):
        message = refused(send(client, content, suffix), 422, "unreadable").json()["error"]["message"]
        assert re.search(reason, message), message
    assert send(client, SVG, ".svg").status_code == 200


def test_formats_that_are_not_read_are_refused(serve):
    client = serve()
    for media in ("text/plain", "application/octet-stream", "image/x-icon", "", "multipart/form-data; boundary=x"):
        answer = client.post(SKETCH, content=SVG, headers={"Content-Type": media})
        message = refused(answer, 415, "format", "Content-Type").json()["error"]["message"]
        assert f"'{media.partition(';')[0]}' is none of image/svg+xml" in message


def test_reading_ends_when_its_time_is_over(serve):
    client = serve(read_seconds=0.5, svg_bytes=10**7)
    assert send(client, SVG, ".svg").status_code == 200  # the process is up
    arcs = b"<svg viewBox='0 0 9 9'><path d='M0 0" + b"a1 2 3 0 1 4 5" * 60_000 + b"'/></svg>"
    started = time.monotonic()
    message = refused(send(client, arcs, ".svg"), 422, "unreadable").json()["error"]["message"]
    assert "0.5 seconds" in message
    assert time.monotonic() - started < 10
    assert send(client, SVG, ".svg").status_code in (200, 422)


# --- The rest


def test_metrics_are_prometheus_text_and_count(serve):
    client = serve(strokes=5)
    for _ in range(3):
        client.post(SEARCH, json={"strokes": STROKES})
    client.post(SEARCH, json={"strokes": STROKES * 9})
    client.get("/wp-admin")
    client.request("BREW", "/coffee")
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    requests = {
        tuple(s.labels.values()): s.value for s in families["fgsbir_requests"].samples if s.name[-6:] == "_total"
    }
    assert requests["POST", SEARCH, "200"] == 3
    assert requests["POST", SEARCH, "422"] == 1
    assert requests["any", "none", "404"] == 2  # what clients make up does not grow the list
    stages = {s.labels["stage"]: s.value for s in families["fgsbir_stage_seconds"].samples if s.name[-6:] == "_count"}
    assert stages == {"wait": 3, "encode": 3, "first": 3, "match": 3}
    assert families["fgsbir_photos"].samples[0].value == 30
    assert families["fgsbir_in_flight"].samples[0].value == 1  # this very request


def test_info_and_health(serve):
    client = serve(points=77)
    info = client.get("/api/v1/info").json()
    assert (info["photos"], info["formats"], info["limits"]["points"]) == (30, FORMATS, 77)
    assert client.get("/healthz").json() == {"status": "ok", "photos": 30}


def test_the_page_loads_only_from_here_and_has_no_inline_script(serve):
    client = serve()
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=|<style|https?://(?!www\.w3\.org)", page.text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.DOTALL) == [""]
    for name in re.findall(r'(?:src|href)="([\w.]+)"', page.text):
        assert client.get(f"/{name}").status_code == 200, name
    for module in ("page", "paper", "results", "explain"):
        for name in re.findall(r'from "\./(\w+\.js)"', client.get(f"/{module}.js").text):
            assert client.get(f"/{name}").headers["Content-Type"].startswith("text/javascript"), name


def test_other_names_of_the_server_are_refused(serve):
    client = serve(hosts={"localhost", "[::1]"})
    for host, status in (
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("evil.example", 400),
        ("", 400),
    ):
        assert client.get("/healthz", headers={"Host": host}).status_code == status, host


def test_threads_and_processes_end_with_the_application(serve):
    client = serve()
    send(client, SVG, ".svg")
    client.post(SEARCH, json={"strokes": STROKES})
    assert [t for t in threading.enumerate() if t.name.startswith(("match", "read"))]
    client.__exit__(None, None, None)
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith(("match_", "read_"))])
