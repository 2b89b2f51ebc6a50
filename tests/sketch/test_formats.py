import gzip
import io
import json
import os
import pickle
import pickletools
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgsbir.errors import InputError
from fgsbir.sketch.formats import (
    SKETCH_SUFFIXES,
    from_stroke3,
    from_stroke5,
    load_restricted,
    parse_sketch,
    read_qmul,
    read_quickdraw,
    read_sequence,
    read_sketch,
    read_svg,
    to_stroke5,
    write_stroke5,
    write_svg,
)
from fgsbir.sketch.strokes import VectorSketch

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
TWO_STROKES = np.array([[33, 64, 0], [96, 64, 1], [128, 128, 0], [128, 192, 0], [223, 192, 1]], dtype=float)


def random_sketch(seed: int) -> VectorSketch:
    rng = np.random.default_rng(seed)
    return VectorSketch.from_strokes([rng.uniform(0.1, 0.9, (rng.integers(1, 6), 2)) for _ in range(5)])


def close(a: VectorSketch, b: VectorSketch, atol: float = 1e-5) -> bool:
    return np.array_equal(a.offsets, b.offsets) and np.allclose(a.points, b.points, rtol=0, atol=atol)


# --- restricted pickles and QMUL files


def save(path: Path, content: object, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_load_restricted_gives_back_arrays_and_containers(tmp_path: Path, protocol: int, module: str) -> None:
    content = {
        "f": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "bool": np.array([True, False]),
        "text": np.array(["a", "bc"]),
        "object": np.array([[1, 2], [3]], dtype=object),
        "empty": np.zeros((0, 4)),
        "scalar": np.float32(1.5),
        "plain": [(1, 2.5, None, "x", b"\xff"), True],
    }
    data = pickle.dumps(content, protocol)
    if protocol < 4:  # where names are lines of text; written by the numpy before and after the change of name
        data = data.replace(b"cnumpy._core.", b"c" + module.encode() + b".")
        data = data.replace(b"cnumpy.core.", b"c" + module.encode() + b".")
    path = tmp_path / "file"
    path.write_bytes(data)
    loaded = load_restricted(path)
    assert loaded.keys() == content.keys()
    for key, value in content.items():
        if isinstance(value, np.ndarray):
            assert loaded[key].dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
            assert np.array_equal(loaded[key], value)
        else:
            assert loaded[key] == value


def test_load_restricted_reads_python_2_arrays(tmp_path: Path) -> None:
    raw = np.array([1.5, -2.0]).tobytes().decode("latin1")

    def string(text: str) -> bytes:  # an 8-bit string of Python 2
        return b"T" + len(text).to_bytes(4, "little") + text.encode("latin1")

    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + string("b") + b"\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\n" + string("f8") + b"K\x00K\x01\x87R"
        b"(K\x03" + string("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + string(raw) + b"tb."
    )
    path = tmp_path / "file"
    path.write_bytes(data)
    assert load_restricted(path).tolist() == [1.5, -2.0]


class Calls:
    """Pickles as a call of `function` and, if a state is given, a `__setstate__` on the result."""

    def __init__(self, function: Any, *arguments: object, state: object = None) -> None:
        self.reduced = (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (getattr, "getattr"), (np.load, "load"), (pickle.loads, "loads")],
)
def test_load_restricted_names_the_global_it_refuses(tmp_path: Path, protocol: int, function: Any, name: str) -> None:
    path = save(tmp_path / "file", {"/test/a_1": Calls(function, "1")}, protocol)
    with pytest.raises(InputError, match=rf"import \w+(\.\w+)*\.{name},"):
        load_restricted(path)


def test_load_restricted_never_takes_raw_bytes_for_objects(tmp_path: Path) -> None:
    # The pickled type of an object array claims to hold no references, so its bytes would become pointers.
    dtype = Calls(np.dtype, "O8", False, True, state=(3, "|", None, None, None, 8, 8, 0))
    reconstruct = np.empty(0).__reduce__()[0]
    array = Calls(reconstruct, np.ndarray, (0,), b"b", state=(1, (1,), dtype, False, b"\x01" * 8))
    with pytest.raises(InputError, match="damaged"):
        load_restricted(save(tmp_path / "file", array))
    for code in ("V8", "M8"):
        with pytest.raises(InputError, match=f"dtype '{code}"):
            load_restricted(save(tmp_path / "file", np.zeros(2, code if code == "V8" else "M8[s]")))


def test_load_restricted_answers_damage_with_one_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = pickle.dumps({"/test/a_1": TWO_STROKES, "/test/a_2": [1, 2]}, 3)
    ends = [position for _, _, position in pickletools.genops(data)] + [len(data) - 20]
    for end in ends:
        path.write_bytes(data[:end])
        with pytest.raises(InputError, match="truncated"):
            load_restricted(path)
    path.write_bytes(b"plain text")
    with pytest.raises(InputError, match="damaged"):
        load_restricted(path)
    with pytest.raises(InputError, match="No such file"):
        load_restricted(tmp_path / "none")


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\x7f", b"p2147483647\n"])
def test_load_restricted_reserves_no_memory_for_a_damaged_index(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "file").write_bytes(b"\x80\x02}" + index + b".")  # an empty dictionary, noted far behind all others
    with pytest.raises(InputError, match="memo index 2147483647"):
        load_restricted(tmp_path / "file")


def test_read_qmul_scales_and_splits(tmp_path: Path) -> None:
    open_ended = TWO_STROKES.copy()
    open_ended[-1, 2] = 0
    keys = ["/train/chair_a_1", "/test/b_2", "/test/laque-rouge_A1YX"]
    path = save(
        tmp_path / "ChairV2_Coordinate", dict(zip(keys, [TWO_STROKES, open_ended, TWO_STROKES[:2]], strict=True))
    )
    sketches = read_qmul(path)
    assert list(sketches) == keys
    expected = VectorSketch.from_strokes([TWO_STROKES[:2, :2] / 256, TWO_STROKES[2:, :2] / 256])
    assert sketches[keys[0]] == expected
    assert sketches[keys[1]] == expected
    assert sketches[keys[2]] == expected.select([0])


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("/test/a_1", TWO_STROKES[:, :2], r"shape \(5, 2\)"),
        ("/test/a_1", TWO_STROKES[:0], r"shape \(0, 3\)"),
        ("/test/a_1", TWO_STROKES * np.nan, "not finite"),
        ("/test/a_1", TWO_STROKES + np.array([0, 0, 0.5]), "pen"),
        ("/test/a_1", "text", "numbers"),
        ("/test/a_1", [[1, 2, 0], [1]], "numbers"),
        ("/valid/a_1", TWO_STROKES, "key"),
        ("/test/a", TWO_STROKES, "key"),
        (7, TWO_STROKES, "key"),
    ],
)
def test_read_qmul_names_the_entry_at_fault(tmp_path: Path, key: object, value: object, problem: str) -> None:
    path = save(tmp_path / "file", {"/test/good_1": TWO_STROKES, key: value})
    with pytest.raises(InputError, match=problem) as error:
        read_qmul(path)
    assert repr(key) in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [{}, [TWO_STROKES], 3])
def test_read_qmul_wants_a_dictionary(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match="no dictionary of sketches"):
        read_qmul(save(tmp_path / "file", content))


def test_read_qmul_on_the_published_file() -> None:
    path = Path(os.environ.get("FGSBIR_DATA", ""), "qmul-chair-v2", "ChairV2_Coordinate")
    if "FGSBIR_DATA" not in os.environ or not path.is_file():
        pytest.skip("FGSBIR_DATA holds no ChairV2")
    sketches = read_qmul(path)
    assert len(sketches) == 1275
    assert sum(key.startswith("/test/") for key in sketches) == 323
    assert sum(len(sketch) for sketch in sketches.values()) == 12627
    assert max(len(sketch) for sketch in sketches.values()) == 15


# --- SVG


def svg(path: Path, body: str, attributes: str = 'viewBox="0 0 100 100"') -> VectorSketch:
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    pen = 'stroke="black" stroke-width="0.1" fill="none"'
    path.write_text(f"<svg {namespaces} {attributes} {pen}>{body}</svg>")
    return read_svg(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.svg"


@pytest.mark.parametrize(
    ("body", "strokes"),
    [
        ('<path d="M10 20 L30 40 h10 v-5"/>', [[(10, 20), (30, 40), (40, 40), (40, 35)]]),
        ('<path d="M10 20 l5 5 m10 0 l5 5"/>', [[(10, 20), (15, 25)], [(25, 25), (30, 30)]]),
        ('<path d="M0 0 H10 V10 Z l5 5"/>', [[(0, 0), (10, 0), (10, 10), (0, 0)], [(0, 0), (5, 5)]]),
        ('<path d="M7 7"/><path d="M3 4 Z" stroke-linecap="round"/><path d="M5 5 Z"/><path/>', [[(3, 4)]]),
        (
            '<path d="M10 20 L30 40 h10 v-5" fill="red" stroke="none"/>',
            [[(10, 20), (30, 40), (40, 40), (40, 35), (10, 20)]],
        ),
        ('<polyline points="1,2 3,4 5,2"/>', [[(1, 2), (3, 4), (5, 2)]]),
        ('<polygon points="1,2 3,4 5,2"/>', [[(1, 2), (3, 4), (5, 2), (1, 2)]]),
        ('<line x1="1" y1="2" x2="50%" y2="4"/>', [[(1, 2), (50, 4)]]),
        ('<rect x="1" y="2" width="10" height="20"/>', [[(1, 2), (11, 2), (11, 22), (1, 22), (1, 2)]]),
        (
            '<g transform="translate(9 0)"><g transform="scale(2)"><line x2="2" transform="rotate(90)"/></g></g>',
            [[(9, 0), (9, 4)]],
        ),
        ('<line x2="10" y2="10" transform="skewX(45)"/>', [[(0, 0), (20, 10)]]),
        (
            '<defs><line id="a" x1="1" x2="2"/></defs><use href="#a" x="5"/><use xlink:href="#a" y="3"/>',
            [[(6, 0), (7, 0)], [(1, 3), (2, 3)]],
        ),
        ('<symbol id="s"><line x2="2"/></symbol><use href="#s" y="4"/>', [[(0, 4), (2, 4)]]),
        ('<svg x="10" y="20" width="50" height="50" viewBox="0 0 5 5"><line x2="1"/></svg>', [[(10, 20), (20, 20)]]),
    ],
)
def test_read_svg_shapes_by_hand(file: Path, body: str, strokes: list[list[tuple[float, float]]]) -> None:
    expected = VectorSketch.from_strokes([np.array(stroke) / 100 for stroke in strokes])
    assert close(svg(file, body), expected)


@pytest.mark.parametrize(
    "hidden",
    [
        '<line x2="9" style="display:none"/>',
        '<g display="none"><line x2="9" display="inline"/></g>',
        '<style>.q{display:none}</style><line class="q" x2="9"/>',
        '<line x2="9" visibility="hidden"/>',
        '<rect width="100%" height="100%" fill="beige" stroke="none"/>',
        '<rect width="100%" height="100%" stroke="none"/>',
        "<defs><line x2='9'/></defs>",
        "<mask><line x2='9'/></mask>",
        '<clipPath><line x2="9"/></clipPath>',
        "<text>x</text>",
    ],
)
def test_read_svg_skips_what_leaves_no_ink(file: Path, hidden: str) -> None:
    sketch = svg(file, hidden + '<line x1="20" x2="30"/>')
    assert [s.tolist() for s in sketch.strokes] == pytest.approx(np.array([[[0.2, 0], [0.3, 0]]]))
    with pytest.raises(InputError, match="no strokes"):
        svg(file, hidden)


def test_read_svg_keeps_outlined_white_shapes(file: Path) -> None:
    assert len(svg(file, '<rect width="5" height="5" fill="white" stroke="black"/>')) == 1


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('viewBox="0 0 100 100" width="700" height="350"', (0.25 + 0.1 / 2, 0.25 + 0.2 / 2)),  # as a viewer fits it
        ('viewBox="0 0 100 100" width="700" height="350" preserveAspectRatio="none"', (0.1, 0.25 + 0.2 / 2)),
        ('viewBox="0 0 100 100" width="700"', (0.1, 0.2)),
        ('viewBox="-10 -20 100 100"', (0.2, 0.4)),
        ('viewBox="0 0 200 100"', (0.05, 0.35)),  # the shorter side is centred
        ('viewBox="0,0,100,200"', (0.3, 0.1)),
        ('width="100" height="100"', (0.1, 0.2)),
        ('width="1in" height="2in"', (0.25 + 10 / 192, 20 / 192)),
    ],
)
def test_read_svg_frame(file: Path, attributes: str, expected: tuple[float, float]) -> None:
    sketch = svg(file, '<line x1="10" y1="20" x2="50" y2="50"/>', attributes)
    assert sketch.points[0].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "attributes", ["", 'width="100%" height="100%"', 'width="640"', 'viewBox="0 0 9"', 'viewBox="0 0 0 0"']
)
def test_read_svg_without_a_frame_uses_the_ink(file: Path, attributes: str) -> None:
    body = '<path d="M1000 500 h400 v100"/>'
    assert close(svg(file, body, attributes), VectorSketch.from_strokes([[(10, 5), (14, 5), (14, 6)]]).normalised())


def distance_to_polyline(point: np.ndarray, stroke: np.ndarray) -> float:
    best = np.inf
    for a, b in pairwise(stroke):
        t = np.clip(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0, 1)
        best = min(best, float(np.linalg.norm(a + t * (b - a) - point)))
    return best


def cubic(t: float) -> tuple[float, float]:
    p = np.array([(0, 0), (10, 90), (60, -40), (90, 50)])
    return tuple((1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3])


@pytest.mark.parametrize(
    ("body", "curve"),
    [
        ('<path d="M0 0 C10 90 60 -40 90 50"/>', cubic),
        (
            '<path d="M0 0 Q40 80 90 10"/>',
            lambda t: (2 * (1 - t) * t * 40 + t * t * 90, 2 * (1 - t) * t * 80 + t * t * 10),
        ),
        (
            '<circle cx="50" cy="40" r="30"/>',
            lambda t: (50 + 30 * np.cos(2 * np.pi * t), 40 + 30 * np.sin(2 * np.pi * t)),
        ),
        (
            '<ellipse cx="50" cy="40" rx="30" ry="10" transform="translate(5 5)"/>',
            lambda t: (55 + 30 * np.cos(2 * np.pi * t), 45 + 10 * np.sin(2 * np.pi * t)),
        ),
        (  # a skew turns a circle into a slanted ellipse
            '<circle cx="20" cy="40" r="20" transform="skewX(45)"/>',
            lambda t: (60 + 20 * np.cos(2 * np.pi * t) + 20 * np.sin(2 * np.pi * t), 40 + 20 * np.sin(2 * np.pi * t)),
        ),
        ('<path d="M20 50 A30 30 0 0 1 80 50"/>', lambda t: (50 - 30 * np.cos(np.pi * t), 50 - 30 * np.sin(np.pi * t))),
    ],
)
def test_read_svg_curves_stay_close_with_few_points(file: Path, body: str, curve: Any) -> None:
    sketch = svg(file, body)
    assert len(sketch) == 1
    stroke = sketch.strokes[0].astype(float) * 100
    fine = np.array([curve(t) for t in np.linspace(0, 1, 400)])
    assert max(distance_to_polyline(point, stroke) for point in fine) < 0.1
    assert max(distance_to_polyline(point, fine) for point in stroke) < 0.1
    assert np.linalg.norm(stroke[0] - fine[0]) < 0.01
    assert np.linalg.norm(stroke[-1] - fine[-1]) < 0.01
    assert len(stroke) < 80


def test_read_svg_takes_more_points_for_larger_curves(file: Path) -> None:
    small, large = (len(svg(file, f'<circle cx="50" cy="50" r="{r}"/>').points) for r in (1, 40))
    assert 8 < small < large / 2


@pytest.mark.parametrize("size", [64, 256, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_svg_round_trip(file: Path, seed: int, size: int) -> None:
    sketch = VectorSketch.from_strokes([*random_sketch(seed).strokes, [(0.5, 0.5)], [(0.2, 0.1), (1, 0.4)]])
    write_svg(sketch, file, size=size)
    assert close(read_svg(file), sketch)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


LAUGHS = (
    "<!DOCTYPE svg ["
    + "<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{i + 1} '{f'&a{i};' * 9}'>" for i in range(9))
    + "]><svg><title>&a9;</title></svg>"
)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("", "malformed"),
        ("<svg><path d='M0 0 1 1'></svg>", "malformed"),
        ("<html/>", "not <svg>"),
        ("<svg viewBox='0 0 9 9'/>", "no strokes"),
        ("<svg viewBox='0 0 9 9' stroke='red'><path d='M0 0 L1'/></svg>", "no strokes"),
        ("<svg viewBox='0 0 9 9' stroke='red'><path d='M0 0 L1e300 1e300'/></svg>", "no strokes"),
        ('<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg><title>&a;</title></svg>', "entity"),
        (LAUGHS, "amplification"),
        ("<svg>" + "<g>" * 5000 + "</g>" * 5000 + "</svg>", "deeply"),
        (
            "<svg><line id='a0' x2='9' stroke='red'/>"
            + "".join(f"<g id='a{i + 1}'>" + f"<use href='#a{i}'/>" * 9 + "</g>" for i in range(9))
            + "</svg>",
            "too much time",
        ),
        (
            "<svg viewBox='0 0 9 9'>" + "<circle r='1' fill='none' stroke='#f005'/>" * 100_000 + "</svg>",
            "too much time",
        ),
        ("<svg>" + " " * 2**25 + "</svg>", "32 MB"),
    ],
)
def test_read_svg_refuses_with_a_reason(file: Path, document: str, problem: str) -> None:
    file.write_text(document)
    with pytest.raises(InputError, match=problem) as error:
        read_svg(file)
    assert str(file) in str(error.value)


def test_read_svg_accepts_a_doctype(file: Path) -> None:
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    file.write_text(f'<?xml version="1.0"?>{doctype}<svg viewBox="0 0 9 9"><line x2="9" stroke="red"/></svg>')
    assert len(read_svg(file)) == 1


def test_read_svg_expands_entities_and_unpacks(file: Path) -> None:
    entities = '<!ENTITY ns "http://www.w3.org/2000/svg"><!ENTITY pen "fill:none;stroke:red">'
    body = '<svg xmlns="&ns;" viewBox="0 0 10 10"><path style="&pen;" d="M1 1L9 5"/></svg>'
    packed = file.with_suffix(".svgz")
    packed.write_bytes(gzip.compress(f"<!DOCTYPE svg [{entities}]>{body}".encode()))
    assert close(read_sketch(packed), VectorSketch.from_strokes([[(0.1, 0.1), (0.9, 0.5)]]))


@pytest.mark.parametrize("cut", [11, 40])
def test_a_damaged_svgz_is_refused(file: Path, cut: int) -> None:
    packed = file.with_suffix(".svgz")
    packed.write_bytes(gzip.compress(b"<svg viewBox='0 0 9 9'><line x2='9' stroke='red'/></svg>")[:cut])
    with pytest.raises(InputError, match="damaged"):
        read_sketch(packed)


def test_what_a_document_refers_to_outside_is_not_read(file: Path) -> None:
    (file.parent / "other.svg").write_text('<svg viewBox="0 0 100 100"><line id="a" x2="9" stroke="red"/></svg>')
    references = '<use href="other.svg#a"/><image href="other.svg" width="9" height="9"/>'
    assert len(svg(file, references + '<path d="M1 1 5 5"/>')) == 1


# --- QuickDraw

SIMPLIFIED = [[[0, 255, 255], [0, 0, 100]], [[10], [50]]]


def ndjson(path: Path, *records: object) -> Path:
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records))
    return path


def test_read_quickdraw_raw_and_simplified_look_the_same(tmp_path: Path) -> None:
    raw = [[[300 + 2 * x for x in xs], [70 + 2 * y for y in ys], list(range(len(xs)))] for xs, ys in SIMPLIFIED]
    path = ndjson(
        tmp_path / "a.ndjson",
        {"key_id": "1", "word": "cat", "drawing": SIMPLIFIED},
        "",
        {"key_id": 2, "drawing": raw},
    )
    (first_id, first), (second_id, second) = read_quickdraw(path)
    assert (first_id, second_id) == ("1", "2")
    expected = VectorSketch.from_strokes([[(0, 0), (255, 0), (255, 100)], [(10, 50)]]).normalised()
    assert close(first, expected)
    assert close(second, expected)


def test_quickdraw_strokes_without_points_are_left_out_and_more_lists_ignored(tmp_path: Path) -> None:
    drawing = [[[], []], [[5], [6], [0], [0.5]], [], [[5, 9], [6, 6], [0, 1], [0.5, 0.7], [1, 1]], [[], [], []]]
    ((_, sketch),) = read_quickdraw(ndjson(tmp_path / "a.ndjson", {"key_id": "1", "drawing": drawing}))
    assert close(sketch, VectorSketch.from_strokes([[(5, 6)], [(5, 6), (9, 6)]]).normalised())


@pytest.mark.parametrize(
    "bad",
    [
        {"key_id": "1", "drawing": [[], [[], []]]},
        {"key_id": "1", "drawing": [0]},
        {"key_id": "1", "drawing": [{"x": [1], "y": [2]}]},
        {"key_id": "1", "drawing": {"x": [1], "y": [2]}},
        {"key_id": "1", "drawing": [[[0, 1], None]]},
        {"key_id": "1", "drawing": [[[[0, 1]], [[0, 1]]]]},
        '{"key_id": "1", "drawing": [[[0, 1e999], [0, 1]]]}',
        "{",
        "[1]",
        {"drawing": SIMPLIFIED},
        {"key_id": "1"},
        {"key_id": "1", "drawing": 5},
        {"key_id": "1", "drawing": []},
        {"key_id": "1", "drawing": [[[0, 1]]]},
        {"key_id": "1", "drawing": [[[0, 1], [0]]]},
        {"key_id": "1", "drawing": [[1, 2]]},
        {"key_id": "1", "drawing": [[["a"], ["b"]]]},
        '{"key_id": "1", "drawing": [[[0, NaN], [0, 1]]]}',
    ],
)
def test_read_quickdraw_names_the_line(tmp_path: Path, bad: object) -> None:
    path = ndjson(tmp_path / "a.ndjson", {"key_id": "1", "drawing": SIMPLIFIED}, bad)
    with pytest.raises(InputError, match=r"a\.ndjson line 2: "):
        read_quickdraw(path)


# --- stroke-3, stroke-5


def test_from_stroke3_by_hand() -> None:
    rows = [(5, 5, 0), (10, 0, 1), (0, 5, 0), (-10, 0, 0), (0, 1, 0)]
    expected = VectorSketch.from_strokes([[(5, 5), (15, 5)], [(15, 10), (5, 10), (5, 11)]]).normalised()
    assert close(from_stroke3(rows), expected)


def test_from_stroke5_stops_at_the_first_end() -> None:
    rows = [(5, 5, 1, 0, 0), (10, 0, 0, 1, 0), (0, 5, 1, 0, 0), (-10, 0, 0, 1, 0), (9, 9, 0, 0, 1), (7, 7, 1, 0, 0)]
    expected = VectorSketch.from_strokes([[(5, 5), (15, 5)], [(15, 10), (5, 10)]]).normalised()
    assert close(from_stroke5(rows), expected)
    assert close(from_stroke5(rows[:4]), expected)  # a full array has no end row


def test_to_stroke5_by_hand() -> None:
    sketch = VectorSketch.from_strokes([[(0.25, 0.5), (0.75, 0.5)], [(0.5, 0.25)]])
    rows = [(0.25, 0.5, 1, 0, 0), (0.5, 0, 0, 1, 0), (-0.25, -0.25, 0, 1, 0)]
    end = (0, 0, 0, 0, 1)
    assert to_stroke5(sketch).tolist() == [list(r) for r in [*rows, end]]
    assert to_stroke5(sketch, 3).tolist() == [list(r) for r in rows]
    assert to_stroke5(sketch, 6).tolist() == [list(r) for r in [*rows, end, end, end]]
    with pytest.raises(ValueError, match="3 points, more than 2"):
        to_stroke5(sketch, 2)


@pytest.mark.parametrize("seed", range(5))
def test_stroke5_round_trip(tmp_path: Path, seed: int) -> None:
    sketch = random_sketch(seed)
    assert close(from_stroke5(to_stroke5(sketch, 64)), sketch.normalised())
    write_stroke5(sketch, tmp_path / "a.npy")
    assert close(read_sequence(tmp_path / "a.npy"), sketch.normalised())
    assert np.load(tmp_path / "a.npy").dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_read_sequence_tells_stroke3_from_stroke5(tmp_path: Path) -> None:
    sketch = random_sketch(0)
    five = to_stroke5(sketch)
    three = np.column_stack([five[:-1, :2], five[:-1, 3]])
    np.save(tmp_path / "a.npy", three)
    assert close(read_sequence(tmp_path / "a.npy"), sketch.normalised())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros(5),
        np.zeros((0, 3)),
        np.full((2, 3), 0.5),
        np.full((2, 3), np.nan),
        np.zeros((2, 5)),
        np.tile([0, 0, 1, 1, 0], (2, 1)),
        np.tile([0, 0, 2, -1, 0], (2, 1)),
        np.tile([0, 0, 0, 0, 1], (2, 1)),
        np.array([["a", "b", "c"]]),
        np.array([[None, 1, 2]], dtype=object),
        np.zeros((2, 3), dtype=complex),
        np.zeros((2, 3), dtype=bool),
        np.zeros((2, 3), dtype="M8[s]"),
        np.zeros(2, dtype=[("x", "f4"), ("y", "f4"), ("pen", "f4")]),
    ],
)
def test_read_sequence_refuses_other_arrays(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"a\.npy: "):
        read_sequence(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("end", "strokes"),
    [
        ([(0, 9, 1, 0, 0), (9, 0, 0, 0, 1)], [[(0, 0), (9, 0)], [(9, 9), (18, 9)]]),  # the end is the last point itself
        ([(0, 9, 1, 0, 0), (0, 0, 0, 0, 1)], [[(0, 0), (9, 0)], [(9, 9)]]),  # an end row as it should be
        ([(9, 9, 0, 0, 1)], [[(0, 0), (9, 0)]]),  # a move of a lifted pen draws nothing
        ([(0, 9, 1, 0, 0), (9, 0, 0, 0, 1), (5, 5, 1, 0, 0)], [[(0, 0), (9, 0)], [(9, 9), (18, 9)]]),
        ([(0, 9, 1, 0, 0), (0, 0, 0, 0, 1), (5, 5, 0, 0, 1)], [[(0, 0), (9, 0)], [(9, 9)]]),
    ],
)
def test_from_stroke5_draws_to_an_end_that_has_an_offset_while_the_pen_is_down(end: Any, strokes: Any) -> None:
    rows = [(4, 4, 1, 0, 0), (9, 0, 0, 1, 0), *end]
    assert close(from_stroke5(rows), VectorSketch.from_strokes(strokes).normalised())


def test_a_pen_that_goes_down_and_up_where_it_was_lifted_leaves_no_stroke() -> None:
    strokes = [[(0, 0), (9, 0)], [(9, 9)], [(0, 9), (0, 5)]]
    rows = [(2, 2, 0), (9, 0, 1), (0, 0, 1), (0, 0, 1), (0, 9, 1), (0, 0, 1), (-9, 0, 0), (0, -4, 1), (0, 0, 1)]
    assert close(from_stroke3(rows), VectorSketch.from_strokes(strokes).normalised())
    five = [(dx, dy, 1 - lift, lift, 0) for dx, dy, lift in rows]
    assert close(from_stroke5(five), VectorSketch.from_strokes(strokes).normalised())
    dot = from_stroke3([(0, 0, 1)])
    assert [stroke.tolist() for stroke in dot.strokes] == [[[0.5, 0.5]]]


SQUARE = np.array([[3, 4, 0], [8, 0, 0], [0, 8, 1], [-8, 0, 0], [0, -4, 1]])
SQUARE_STROKES = VectorSketch.from_strokes([[(0, 0), (8, 0), (8, 8)], [(0, 8), (0, 4)]]).normalised()


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "i1", "i8", "<f2", ">f4", ">f8", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_any_type_with_a_sign_are_read(tmp_path: Path, dtype: str, order: Any) -> None:
    np.save(tmp_path / "a.npy", SQUARE.astype(dtype, order=order))
    assert close(read_sequence(tmp_path / "a.npy"), SQUARE_STROKES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_offsets_that_have_lost_their_sign_are_refused(tmp_path: Path, dtype: Any) -> None:
    np.save(tmp_path / "a.npy", SQUARE.astype(dtype))  # -8 has become 248 or 65,528
    with pytest.raises(InputError, match=f"{np.dtype(dtype)} has no sign"):
        read_sequence(tmp_path / "a.npy")


def test_a_lift_of_minus_zero_is_none() -> None:
    rows = SQUARE.astype(float)
    rows[rows[:, 2] == 0, 2] = -0.0
    assert close(from_stroke3(rows), SQUARE_STROKES)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_coordinates_of_any_size_keep_the_shape(scale: float) -> None:
    rows = SQUARE * [scale, scale, 1]
    assert close(from_stroke3(rows), SQUARE_STROKES)
    drawing = [[[0, 8 * scale, 8 * scale], [0, 0, 8 * scale]], [[0, 0], [8 * scale, 4 * scale]]]
    assert close(parse_sketch(json.dumps({"drawing": drawing}).encode(), ".json", "a"), SQUARE_STROKES)


def test_a_small_drawing_far_from_the_origin_keeps_its_shape() -> None:
    rows = SQUARE.copy()
    rows[0, :2] = 10**18, -(10**18)
    assert close(from_stroke3(rows), SQUARE_STROKES)
    x, y = 1e9, -1e9
    drawing = [[[x, x + 8, x + 8], [y, y, y + 8]], [[x, x], [y + 8, y + 4]]]
    assert close(parse_sketch(json.dumps({"drawing": drawing}).encode(), ".json", "a"), SQUARE_STROKES)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(3))
def test_values_that_are_not_finite_are_refused(wrong: float, column: int) -> None:
    rows = SQUARE.astype(float)
    rows[1, column] = wrong
    with pytest.raises(InputError, match=r"not finite|other values than 0 and 1"):
        from_stroke3(rows)


def test_offsets_whose_sum_overflows_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        from_stroke3([(0, 0, 0), (1e308, 0, 0), (1e308, 0, 1)])


# --- by suffix


def test_read_sketch_picks_the_reader(tmp_path: Path) -> None:
    sketch = random_sketch(1)
    write_svg(sketch, tmp_path / "a.SVG")
    write_stroke5(sketch, tmp_path / "a.npy")
    drawing = [[s[:, 0].tolist(), s[:, 1].tolist()] for s in sketch.strokes]
    ndjson(tmp_path / "a.ndjson", {"key_id": "1", "drawing": drawing})
    assert close(read_sketch(tmp_path / "a.SVG"), sketch)
    assert close(read_sketch(tmp_path / "a.npy"), sketch.normalised())
    assert close(read_sketch(tmp_path / "a.ndjson"), sketch.normalised())


def test_read_sketch_takes_one_record_of_several_lines_as_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"drawing": SIMPLIFIED}, indent=2))
    ndjson(tmp_path / "a.ndjson", {"key_id": 1, "drawing": SIMPLIFIED})
    assert read_sketch(tmp_path / "a.json") == read_sketch(tmp_path / "a.ndjson")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match=r"a\.json: no 'drawing'"):
        read_sketch(tmp_path / "a.json")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    file = io.BytesIO()
    Image.new("L", (300, 200), 255).save(file, "PNG")
    broken = file.getvalue()[:60]  # the header alone
    with pytest.raises(InputError, match="300 x 200 pixels"):
        parse_sketch(broken, ".png", "a picture", max_pixels=300 * 200 - 1)
    with pytest.raises(InputError, match="not a readable image"):
        parse_sketch(broken, ".png", "a picture", max_pixels=300 * 200)


def test_read_sketch_refuses_two_drawings_none_and_unknown_suffixes(tmp_path: Path) -> None:
    record = {"key_id": "1", "drawing": SIMPLIFIED}
    with pytest.raises(InputError, match="2 drawings"):
        read_sketch(ndjson(tmp_path / "a.ndjson", record, record))
    with pytest.raises(InputError, match="0 drawings"):
        read_sketch(ndjson(tmp_path / "a.ndjson"))
    for name in ("a.pdf", "a"):
        with pytest.raises(InputError, match=", ".join(SKETCH_SUFFIXES)):
            read_sketch(tmp_path / name)
