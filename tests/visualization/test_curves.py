import re
from html.parser import HTMLParser
from math import isnan, nan

import numpy as np
import pytest
from matplotlib.colors import to_hex

from fgsbir.visualization.curves import (
    COLOURS,
    Curve,
    drawing_figure,
    inline,
    region_figure,
    training_figure,
    write_figure,
)

PAPER = Curve("paper", [(8, 58.0), (12, 61.0), (16, 62.0)])
OURS = Curve("ours & more", [(8, 50.0), (12, nan), (16, 54.0)], [(3.0, 2.0), (nan, nan), (1.0, 1.5)])
SECONDS = [Curve("paper", [(8, 0.1), (12, 0.3), (16, 0.6)]), Curve("ours & more", [(8, 0.01), (12, nan), (16, 0.03)])]


def lines(axes):
    """The points of every curve, by its name."""
    return {bar.get_label(): np.transpose(bar.lines[0].get_data()).tolist() for bar in axes.containers}


def test_curves_go_through_their_points_and_a_missing_one_is_a_gap():
    above, below = region_figure([PAPER, OURS], SECONDS).axes
    assert lines(above)["paper"] == [[8, 58], [12, 61], [16, 62]]
    drawn = lines(above)["ours & more"]
    assert [drawn[0], drawn[2]] == [[8, 50], [16, 54]]
    assert isnan(drawn[1][1])
    assert lines(below)["paper"] == [[8, 0.1], [12, 0.3], [16, 0.6]]
    assert [tick for tick in above.get_xticks() if 8 <= tick <= 16] == [8, 12, 16]


def test_error_bars_reach_as_far_as_they_say():
    above, _ = region_figure([PAPER, OURS], SECONDS).axes
    (bars,) = above.containers[1].lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments() if len(segment)]  # none at the gap
    assert ends == [[47.0, 52.0], [53.0, 55.5]]
    assert above.containers[0].lines[2] == ()


def test_curves_of_training_differ_in_colour_or_dashes():
    names = [f"system {i}" for i in range(20)]
    curves = [Curve(name, [(0, i), (1, i + 1)]) for i, name in enumerate(names)]
    above, below = training_figure(curves, curves).axes
    looks = [(to_hex(bar.lines[0].get_color()), bar.lines[0].get_linestyle()) for bar in above.containers]
    assert len(set(looks)) == 20
    assert looks == [(to_hex(bar.lines[0].get_color()), bar.lines[0].get_linestyle()) for bar in below.containers]


def test_curves_of_drawing_share_their_ink():
    above, below = drawing_figure([Curve("a", [(50, 60.0), (100, 90.0)])], [Curve("a", [(50, 10.0), (100, 70.0)])]).axes
    assert lines(above) == {"a": [[50, 60], [100, 90]]}
    assert lines(below) == {"a": [[50, 10], [100, 70]]}
    assert above.get_xlim() == below.get_xlim() == (0, 100)
    assert below.get_ylim()[0] == 0


class Svg(HTMLParser):
    """Collects ids, references and the words of an `<svg>` in a page."""

    def __init__(self, markup):
        super().__init__()
        self.ids, self.references, self.text, self.open = [], [], "", []
        self.feed(str(markup))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        for name, value in attrs:
            self.ids += [value] if name == "id" else []
            self.references += [value[1:]] if name.endswith("href") else []
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_inline_figures_stand_beside_each_other_and_take_the_pages_colours():
    figures = [inline(region_figure([PAPER, OURS], SECONDS), prefix, "a <figure>") for prefix in ("a", "b")]
    read = [Svg(markup) for markup in figures]
    ids = [name for svg in read for name in svg.ids]
    assert len(ids) == len(set(ids)) > 20
    for svg, markup in zip(read, figures, strict=True):
        assert svg.open == []
        assert set(svg.references) <= set(svg.ids)
        assert {"paper", "ours & more"} <= {line.strip() for line in svg.text.splitlines()}
        assert "var(--c0)" in markup
        assert "var(--c1)" in markup
        assert not any(colour in markup for colour in COLOURS)
        assert not re.search(r"https?://|<style|<script|font-family", markup)
        assert 'aria-label="a &lt;figure&gt;"' in markup


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_files_are_of_their_kind_and_the_same_each_time(tmp_path, kind, start):
    for folder in ("one", "two"):
        write_figure(region_figure([PAPER], SECONDS[:1]), tmp_path / folder, "regions")
    one, two = ((tmp_path / folder / f"regions.{kind}").read_bytes() for folder in ("one", "two"))
    assert one.startswith(start)
    assert one == two
