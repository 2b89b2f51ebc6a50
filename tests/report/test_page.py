"""The report page, made from run folders that the tests write file by file, as the documentation describes them."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from written import N_GALLERY, N_QUERIES, write_drawing, write_run

from fgsbir.cli import main
from fgsbir.errors import InputError
from fgsbir.report.collected import load_runs
from fgsbir.report.page import drawing_curves, training_curves, write_report

PAIR = (("b_siamese", "B-Siamese"), ("proposed", "Proposed"))

VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Page(HTMLParser):
    """Reads a page strictly: tags must nest, and what the tests ask for is collected.

    Tables are by their captions, lists of rows of cells; a strip is one row of a gallery: query, system, level of
    detail, rank, the names of the photos, and the places of the framed ones.
    """

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    strips: list[tuple[str, str, str, int, list[str], list[int]]] = field(default_factory=list)
    images: list[dict[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    bold: list[str] = field(default_factory=list)
    query: str = ""
    said: list[str] = field(default_factory=list)
    system: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def text(self) -> str:
        return " ".join(self.said)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        for name in ("href", "xlink:href"):
            self.references += [given[name][1:]] if given.get(name, "").startswith("#") else []
        self.references += re.findall(r"url\(#([^)]+)\)", given.get("clip-path", ""))
        if tag == "table":
            self.tables[self.said[-1]] = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "article" and "data-query" in given:
            self.query = given["data-query"]
        if tag == "h5":
            self.system = ""
        if tag == "ol":
            level, rank = self.said[-2:]
            self.strips.append((self.query, self.system, level, int(rank.removeprefix("rank ")), [], []))
        if tag == "li" and "ol" in self.open:
            self.strips[-1][5].extend([len(self.strips[-1][4])] if given.get("class") == "true" else [])
        if tag == "img":
            self.images.append(given)
            if "ol" in self.open:
                self.strips[-1][4].append(given["alt"])

    @property
    def rows(self) -> list[list[str]]:
        return list(self.tables.values())[-1]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += [" ".join(data.split())] if data.strip() else []
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
            self.bold += [data] if self.open[-1] == "b" else []
        if self.open and self.open[-1] == "h5":
            self.system += data


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def write_pair(root: Path, **changes: object) -> None:
    """Both systems at all levels of detail, on ChairV2."""
    for stem, system in PAIR:
        for suffix in ("", "_coarse", "_coarse_plus"):
            write_run(root, system, experiment=f"chair_v2/{stem}{suffix}", dataset="chair_v2", **changes)


def test_tables_of_the_page_are_those_of_the_files(tmp_path: Path) -> None:
    write_pair(tmp_path / "runs")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    folder = tmp_path / "out" / "tables" / "chair_v2"
    for name in ("table1", "table2", "table3", "costs"):
        lines = (folder / "modern" / f"{name}.md").read_text("utf-8").splitlines()
        caption = lines[0].strip("*").replace("\\", "")
        written = [[re.sub(r"[\\*]", "", cell).strip() for cell in line.split("|")[1:-1]] for line in lines[4:-2]]
        shown = [[re.sub(r"\*", "", cell).strip() for cell in row] for row in page.tables[caption][2:]]
        assert shown == written
    assert (folder / "runs.csv").exists()


def test_a_dataset_that_was_not_run_shows_what_is_published(tmp_path: Path) -> None:
    write_pair(tmp_path / "runs")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    table = {row[0]: row for row in page.tables["SWIRE: ablation (table 2 of the paper)"]}
    assert table["Explicit Hierarchy"][1:] == ["71.54", "–", "", ""]
    assert not list((tmp_path / "out").rglob("*swire*"))


def test_each_split_is_a_section_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Near")
    write_run(tmp_path / "runs", "Elsewhere", split_hash="0therhas")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert {"Chairs, split 5p1it0id", "Chairs, split 0therhas"} <= set(page.said)
    folders = sorted(path.name for path in (tmp_path / "out" / "tables").iterdir())
    assert folders == ["chairs-0therhas", "chairs-5p1it0id"]


def test_a_gallery_frames_the_true_photo_where_it_was_retrieved(tmp_path: Path) -> None:
    write_pair(tmp_path / "runs")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert len(page.strips) == 36  # 6 queries, 2 systems, 3 levels of detail
    for query, system, level, rank, alts, framed in page.strips:
        stem = {name: stem for stem, name in PAIR}[system]
        suffix = {"full": "", "coarse": "_coarse", "coarse++": "_coarse_plus"}[level]
        archive = np.load(tmp_path / "runs" / "chair_v2" / f"{stem}{suffix}" / "0123abcd-s0" / "ranking.npz")
        q = archive["query_ids"].tolist().index(query)
        assert rank == archive["ranks"][q]
        assert [alt.split(": ")[1].split(",")[0] for alt in alts] == archive["gallery_ids"][
            archive["top"][q, :6]
        ].tolist()
        assert framed == ([rank - 1] if rank <= 6 else [])
    queries = [strip[0] for strip in page.strips]
    assert queries == [query for query in queries[::6] for _ in range(6)]
    assert [strip[1:3] for strip in page.strips[:6]] == [
        (system, level) for _, system in PAIR for level in ("full", "coarse", "coarse++")
    ]


def test_the_two_systems_may_be_named(tmp_path: Path) -> None:
    for name, hits in (("swire", 3), ("proposed", 6), ("b_siamese", 9), ("b_graph_hierarchy", 12)):
        ranks = np.where(np.arange(N_QUERIES) < hits, 1, N_GALLERY)
        write_run(tmp_path / "runs", name, experiment=f"chair_v2/{name}", dataset="chair_v2", ranks=ranks)

    def systems(*words: str) -> list[str]:
        assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), *words]) == 0
        return list(dict.fromkeys(strip[1] for strip in read(tmp_path / "out" / "index.html").strips))

    assert systems() == ["b_siamese", "proposed"]
    assert systems("--reference", "SWIRE") == ["swire", "proposed"]
    assert systems("--system", "SWIRE") == ["b_siamese", "swire"]
    assert systems("--system", "Triplet-SN") == ["b_siamese", "b_graph_hierarchy"]  # not run: the best
    assert systems("--reference", "Triplet-SN") == ["proposed"]


@pytest.mark.parametrize("option", ["--reference", "--system"])
def test_an_unknown_row_is_one_clear_line(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "Near")
    assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), option, "B-Siamse"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{option}: 'B-Siamse' is no row" in line
    assert "B-Siamese" in line
    assert not (tmp_path / "out").exists()


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    for recipe in ("modern", "paper"):
        write_pair(tmp_path / "runs" / recipe, recipe=recipe, hierarchy=True)
    write_run(tmp_path / "runs", "Proposed", experiment="chair_v2/proposed_k8", dataset="chair_v2", query_ms=2.0)
    path = write_report(tmp_path / "runs", tmp_path / "out")
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
    assert "Proposed fuses the strokes of a sketch and the regions of a photo level by level" in page.text
    assert "Sketch chair3_1: true photo at rank 2" in page.text
    assert "Level 1: 3 × 2" in page.text
    assert "Level 2: 2 × 1" in page.text


def test_missing_parts_are_left_out_with_a_line(tmp_path: Path) -> None:
    missing = {"train_seconds": None, "parameters": 0, "val_acc1": None, "best_epoch": None}
    write_run(tmp_path / "runs", "RawPixels", **missing)
    folder = next((tmp_path / "runs").rglob("result.json")).parent
    for name in ("metrics.csv", "thumbnails.npz"):
        (folder / name).unlink()
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert "No run of this recipe stored a val curve" in page.text
    assert "No run of this recipe stored thumbnails" in page.text
    assert "No run of this recipe stored a hierarchy" in page.text
    assert not (tmp_path / "out" / "figures").exists()


def test_machines_of_tests_and_trainings_are_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Near", hardware="2 x Tester", train_hardware="1 x Trainer")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert re.search(r"Tested on\s+2 x Tester\s+Trained on\s+1 x Trainer\s+Commit", page.text)


def test_names_are_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "B<i>Siamese", experiment="chairs/x", hierarchy=True)
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    assert "B<i>Siamese" in page.said


def test_figures_are_files_and_on_the_page(tmp_path: Path) -> None:
    for name in ("proposed", "proposed_k8"):
        write_run(tmp_path / "runs", "Proposed", experiment=f"chair_v2/{name}", dataset="chair_v2")
    page = read(write_report(tmp_path / "runs", tmp_path / "out"))
    written = sorted(path.name for path in (tmp_path / "out" / "figures" / "chair_v2" / "modern").iterdir())
    assert written == [f"{name}.{kind}" for name in ("regions", "training") for kind in ("pdf", "png", "svg")]
    assert {"paper, ChairV2", "ours, ChairV2, modern", "seconds a query", "val acc@1 (%)"} <= set(page.said)


def test_the_training_curve_is_the_mean_over_seeds(tmp_path: Path) -> None:
    for seed, second in ((0, 40), (1, 60)):
        write_run(tmp_path, "Proposed", seed, experiment="chairs/proposed")
        path = tmp_path / "chairs" / "proposed" / f"0123abcd-s{seed}" / "metrics.csv"
        path.write_text(f"epoch,step,train/loss,val/acc1\n0,9,,25\n0,9,0.5,\n1,19,0.{seed + 1},{second}\n2,29,0.1,70\n")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))  # the second seed has no third epoch
    write_run(tmp_path, "Proposed", experiment="chairs/proposed_coarse")
    write_run(tmp_path, "Proposed", experiment="chairs/proposed_k8")
    (dataset,) = load_runs(tmp_path)
    (accuracies,), (losses,) = training_curves(dataset, "modern")
    assert (losses.name, losses.points) == ("Proposed", [(0, 0.5), (1, pytest.approx(0.15))])
    assert (accuracies.name, accuracies.points) == ("Proposed", [(0, 25), (1, 50)])


def run_folder(root: Path, stem: str, seed: int = 0) -> Path:
    return root / "chairs" / stem / f"0123abcd-s{seed}"


def test_the_figure_of_drawing_shows_what_the_files_say(tmp_path: Path) -> None:
    ranks = {}
    for stem, seeds in (("b_siamese", 2), ("proposed", 1), ("triplet_sn", 1)):
        for seed in range(seeds):
            write_run(tmp_path, stem, seed, experiment=f"chairs/{stem}")
            if stem != "triplet_sn":
                ranks[stem, seed] = write_drawing(run_folder(tmp_path, stem, seed))
    write_run(tmp_path, "raw_pixels", recipe="none")
    ranks["raw_pixels", 0] = write_drawing(run_folder(tmp_path, "raw_pixels"))
    (dataset,) = load_runs(tmp_path)
    percentiles, reciprocals = drawing_curves(dataset, "modern")
    assert [curve.name for curve in percentiles] == ["B-Siamese", "Proposed", "raw_pixels"]
    assert [curve.name for curve in reciprocals] == ["B-Siamese", "Proposed", "raw_pixels"]
    for stem, above, below in zip(("b_siamese", "proposed", "raw_pixels"), percentiles, reciprocals, strict=True):
        of_all = np.concatenate([found for (name, _), found in ranks.items() if name == stem])
        for moment in range(20):
            column = of_all[:, moment].tolist()
            ink = 5 * (moment + 1)
            assert above.points[moment] == pytest.approx(
                (ink, np.mean([100 * (N_GALLERY - rank) / (N_GALLERY - 1) for rank in column]))
            )
            assert below.points[moment] == pytest.approx((ink, np.mean([100 / rank for rank in column])))
    assert drawing_curves(dataset, "paper")[0][0].name == "raw_pixels"


def test_drawing_is_on_the_page_and_in_files_where_it_was_measured(tmp_path: Path) -> None:
    for stem in ("b_siamese", "proposed"):
        write_run(tmp_path / "runs", stem, experiment=f"chairs/{stem}")
    page = read(write_report(tmp_path / "runs", tmp_path / "without"))
    assert "While drawing" not in page.said
    assert not list((tmp_path / "without").rglob("on_the_fly.*"))
    write_drawing(run_folder(tmp_path / "runs", "proposed"))
    page = read(write_report(tmp_path / "runs", tmp_path / "with"))
    assert {"While drawing", "ranking percentile (%)", "1/rank (%)", "ink drawn (%)"} <= set(page.said)
    assert "from the first 5 % of the ink" in page.text
    (table,) = [rows for caption, rows in page.tables.items() if "while the sketch is being drawn" in caption]
    assert [row[0] for row in table[2:]] == ["Proposed", "chance"]
    files = sorted(path.relative_to(tmp_path / "with").as_posix() for path in (tmp_path / "with").rglob("on_the_fly.*"))
    figures = [f"figures/chairs/modern/on_the_fly.{kind}" for kind in ("pdf", "png", "svg")]
    assert files == figures + [f"tables/chairs/modern/on_the_fly.{kind}" for kind in ("csv", "html", "md", "tex")]


def test_damaged_or_outdated_ranks_while_drawing_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs", "Near")
    folder = run_folder(tmp_path / "runs", "near")
    (folder / "on_the_fly.npz").write_bytes(b"nothing")
    spoiled = {
        "no ranks while drawing": {},
        "measured before the last test": {"finished": "2020-01-01T00:00:00+00:00"},
        "its sketches differ from those": {"query_ids": np.array([f"other{i}" for i in range(N_QUERIES)])},
        "a rank is beyond the 12 photos": {"ranks": np.full((N_QUERIES, 20), N_GALLERY + 1)},
    }
    for problem, changes in spoiled.items():
        if changes:
            write_drawing(folder, **changes)
        assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "on_the_fly.npz: " in line
        assert problem in line
        assert "run fgsbir on-the-fly again" in line
    assert not (tmp_path / "out").exists()


def test_a_recipe_with_a_path_for_a_name_stays_in_the_folder(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "Near", recipe="../../up")
    write_report(tmp_path / "runs", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out"}
    assert (tmp_path / "out" / "tables" / "chairs" / "-up" / "costs.md").exists()


def test_a_report_does_not_wait_for_torch() -> None:
    program = "import sys, fgsbir.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_a_finished_run_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "runs" / "chairs" / "unfinished").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no finished run.*fgsbir fit"):
        write_report(tmp_path / "runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()
