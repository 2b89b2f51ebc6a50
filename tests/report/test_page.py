"""The report page, made from run folders that the tests write file by file, as the documentation describes them."""

import csv
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from fgsbir.errors import InputError
from fgsbir.report.page import chance, write_report

N_GALLERY, N_QUERIES = 12, 24


def write_run(root: Path, system: str, seed: int = 0, hierarchy: bool = False, **changes: object) -> dict[str, object]:
    """A finished run with a random but valid ranking; returns what its result.json holds."""
    folder = root / "chairs" / system.lower() / f"0123abcd-s{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(system)])
    top = np.stack([rng.permutation(N_GALLERY) for _ in range(N_QUERIES)])
    target = np.repeat(np.arange(N_GALLERY), 2)
    ranks = 1 + np.argmax(top == target[:, None], axis=1)
    photo_ids = np.array([f"chair{i}" for i in range(N_GALLERY)])
    np.savez(
        folder / "ranking.npz",
        query_ids=np.array([f"chair{t}_{i % 2}" for i, t in enumerate(target)]),
        gallery_ids=photo_ids,
        target=target,
        ranks=ranks,
        top=top,
        top_distances=np.sort(rng.random(top.shape), axis=1).astype(np.float32),
    )
    photos = np.zeros((N_GALLERY, 96, 96, 3), np.uint8) + np.arange(0, 240, 20, dtype=np.uint8)[:, None, None, None]
    np.savez(folder / "thumbnails.npz", photos=photos, sketches=np.full((N_QUERIES, 96, 96, 3), 255, np.uint8))
    result = {
        "system": system,
        "dataset": "chairs",
        "experiment": f"chairs/{system.lower()}",
        "recipe": "modern",
        "seed": seed,
        "n_test": N_QUERIES,
        "n_gallery": N_GALLERY,
        "split_hash": "5p1it0id",
        "acc1": float(100 * np.mean(ranks <= 1)),
        "acc5": float(100 * np.mean(ranks <= 5)),
        "acc10": float(100 * np.mean(ranks <= 10)),
        "mean_rank": float(ranks.mean()),
        "mrr": float((1 / ranks).mean()),
        "val_acc1": 40.0,
        "best_epoch": 1,
        "train_seconds": 90.0,
        "test_seconds": 2.0,
        "parameters": 1_234_567,
        "commit": "c0ffee1",
        "config_hash": "0123abcd",
        "hardware": "2 x Test CPU, 8 GiB",
        "versions": {"torch": "2.9"},
        "finished": "2026-01-02T03:04:05Z",
    } | changes
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "train/loss", "val/acc1"])
        writer.writerows([[0, 9, "", 25.0], [0, 9, 0.5, ""], [1, 19, "", 40.0], [1, 19, 0.25, ""]])
    if hierarchy:
        (folder / "hierarchy.json").write_text(json.dumps([example("chair3_1", "chair3", 2)]))
    (folder / "result.json").write_text(json.dumps(result))
    return result


def example(query: str, photo: str, rank: int) -> dict[str, object]:
    """Two strokes and the whole-sketch node against two regions: two levels."""
    return {
        "query": query,
        "photo": photo,
        "rank": rank,
        "strokes": [[[0.1, 0.1], [0.9, 0.1]], [[0.5, 0.5]]],
        "stroke_boxes": [[0.1, 0.1, 0.9, 0.13], [0.49, 0.49, 0.51, 0.51]],
        "region_boxes": [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]],
        "sketch_merges": [[0, 2], [1, 3]],
        "photo_merges": [[0, 1]],
        "levels": [
            {
                "sketch_nodes": [0, 1, 2],
                "photo_nodes": [0, 1],
                "sketch_to_photo": [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]],
                "photo_to_sketch": [[0.3, 0.3, 0.4], [0.1, 0.2, 0.7]],
            },
            {
                "sketch_nodes": [1, 3],
                "photo_nodes": [2],
                "sketch_to_photo": [[1.0], [1.0]],
                "photo_to_sketch": [[0.5, 0.5]],
            },
        ],
    }


VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Page(HTMLParser):
    """Reads a page strictly: tags must nest, and what the tests ask for is collected."""

    rows: list[list[str]] = field(default_factory=list)
    bold: list[str] = field(default_factory=list)
    strips: list[tuple[str, list[str], list[int]]] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    images: list[dict[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    query: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.references += [given["href"][1:]] if given.get("href", "").startswith("#") else []
        self.references += re.findall(r"url\(#([^)]+)\)", given.get("clip-path", ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "article" and "data-query" in given:
            self.query = given["data-query"]
        if tag == "ol":
            self.strips.append((self.query, [], []))
        if tag == "li" and "ol" in self.open:
            self.strips[-1][2].extend([len(self.strips[-1][1])] if given.get("class") == "true" else [])
        if tag == "img":
            self.images.append(given)
            if "ol" in self.open:
                self.strips[-1][1].append(given["alt"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th", "b") and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
            self.bold += [data] if self.open[-1] == "b" else []
        if match := re.fullmatch(r"rank (\d+)", data):
            self.ranks.append(int(match[1]))


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def test_the_table_holds_the_numbers_of_the_results_and_chance(tmp_path: Path) -> None:
    results = [write_run(tmp_path / "runs", name, seed) for name, seed in (("Near", 0), ("Near", 1), ("Far", 0))]
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    heading, *rows = page.rows
    by_run = {(row[0], row[2]): dict(zip(heading, row, strict=True)) for row in rows}
    for result in results:
        row = by_run[str(result["system"]), str(result["seed"])]
        assert row["acc@1 %"] == f"{result['acc1']:.2f}"
        assert row["acc@5 %"] == f"{result['acc5']:.2f}"
        assert row["acc@10 %"] == f"{result['acc10']:.2f}"
        assert row["Mean rank"] == f"{result['mean_rank']:.2f}"
        assert row["MRR"] == f"{result['mrr']:.3f}"
        assert (row["Parameters"], row["Training"], row["Sketches"]) == ("1.23 M", "1.5 min", "24")
        low, high = map(float, row["95 % interval"].split(" – "))
        assert low <= result["acc1"] <= high
    guess = by_run["chance", "–"]
    assert (guess["acc@1 %"], guess["acc@5 %"], guess["acc@10 %"]) == ("8.33", "41.67", "83.33")
    assert guess["Mean rank"] == "6.50"
    assert len(rows) == 4


def test_the_best_of_each_dataset_is_bold(tmp_path: Path) -> None:
    scores = {"acc5": 70.0, "acc10": 80.0, "mean_rank": 3.0, "mrr": 0.5}
    write_run(tmp_path / "runs", "Good", **scores | {"acc1": 61.25, "mean_rank": 1.75})
    write_run(tmp_path / "runs", "Poor", **scores | {"acc1": 20.5, "mrr": 0.75})
    write_run(tmp_path / "runs", "Elsewhere", **scores | {"acc1": 10.5, "split_hash": "0therhas"})
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    # The other split is a table of its own, so its one run is best there; equal scores are both best.
    elsewhere = ["10.50", "70.00", "80.00", "3.00", "0.500"]
    good, poor = ["61.25", "70.00", "80.00", "1.75"], ["70.00", "80.00", "0.750"]
    assert page.bold == elsewhere + good + poor


def test_a_gallery_frames_the_true_photo_where_it_was_retrieved(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Near")
    write_run(tmp_path / "runs", "Far", hierarchy=True)
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert len(page.strips) == len(page.ranks) == 16  # 8 queries, 2 systems
    for (query, alts, framed), rank in zip(page.strips, page.ranks, strict=True):
        true = query.rsplit("_", 1)[0]
        place = [i for i, alt in enumerate(alts) if re.match(rf"\d+: {true}\b", alt)]
        assert len(alts) == 8
        assert framed == place == ([rank - 1] if rank <= 8 else [])
    queries = [query for query, *_ in page.strips]
    assert queries[::2] == queries[1::2]  # both systems answer the same query side by side
    assert len(set(queries)) == 8


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Proposed", hierarchy=True)
    path = write_report(tmp_path / "runs", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["index.html"]
    html = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link|@import", html)
    assert all(target.startswith(("#", "data:image/")) for target in re.findall(r'(?:src|href)="([^"]+)', html))
    page = read(path)
    assert all(image["alt"] for image in page.images)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.references) <= set(page.ids)


def test_a_hierarchy_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Proposed", hierarchy=True)
    write_run(tmp_path / "runs", "Siamese")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert "Proposed (modern) compares a sketch and a photo level by level" in page.text
    assert "Sketch chair3_1: true photo at rank 2" in page.text
    assert "Level 1: 3 × 2" in page.text
    assert "Level 2: 2 × 1" in page.text


def test_missing_parts_are_left_out_with_a_line(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "RawPixels", train_seconds=None, parameters=0, val_acc1=None, best_epoch=None)
    folder = next((tmp_path / "runs").rglob("result.json")).parent
    for name in ("metrics.csv", "thumbnails.npz"):
        (folder / name).unlink()
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert "No run of this dataset stored a val curve" in page.text
    assert "No run of this dataset stored thumbnails" in page.text
    assert "No run of this dataset stored a hierarchy" in page.text
    row = dict(zip(page.rows[0], page.rows[1], strict=True))
    assert (row["Parameters"], row["Training"]) == ("none", "none")


def test_names_are_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "B<i>Siamese", hierarchy=True)
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert page.rows[1][0] == "B<i>Siamese"
    assert "B<i>Siamese (modern), seed 0, epoch 1: 40.00 %" in page.text


def test_the_curve_goes_through_the_logged_values(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Siamese")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text(encoding="utf-8")
    grid = {int(text): float(y) - 4 for y, text in re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)<', html)}
    assert grid[100] < grid[0]  # up is more
    (points,) = re.findall(r'<g class="c0"><polyline points="([^"]+)"', html)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert [y for _, y in places] == pytest.approx(
        [grid[100] + (grid[0] - grid[100]) * f for f in (0.75, 0.60)], abs=0.2
    )
    assert places[0][0] < places[1][0]


def test_runs_with_another_order_of_queries_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Near")
    write_run(tmp_path / "runs", "Other")
    path = next((tmp_path / "runs").rglob("other/*/ranking.npz"))
    arrays = dict(np.load(path))
    np.savez(path, **{name: value[::-1] if len(value) == N_QUERIES else value for name, value in arrays.items()})
    with pytest.raises(InputError, match="query_ids are in another order"):
        write_report(tmp_path / "runs", tmp_path / "out")


def test_without_a_finished_run_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "runs" / "chairs" / "unfinished").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no finished run.*fgsbir fit"):
        write_report(tmp_path / "runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_chance_is_what_guessing_scores() -> None:
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 8, size=200_000)  # the true photo is at any of 7 ranks
    expected = chance(7)
    assert expected["acc1"] == pytest.approx(100 * np.mean(ranks <= 1), abs=0.5)
    assert expected["acc5"] == pytest.approx(100 * np.mean(ranks <= 5), abs=0.5)
    assert expected["acc10"] == 100
    assert expected["mean_rank"] == 4
    assert expected["mrr"] == pytest.approx(np.mean(1 / ranks), abs=0.005)
