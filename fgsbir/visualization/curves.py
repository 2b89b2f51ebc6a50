"""Curves drawn with matplotlib: as files for a paper, and inline for a page in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from fgsbir.files import atomic_write

TEXT, GRID = "#5d6672", "#dfe2e6"
COLOURS = ("#2563eb", "#d9480f", "#12924f", "#9333ea", "#b7791f", "#0e7490", "#be185d", "#4d7c0f")
DASHES = ("-", "--", ":")
STYLE: Any = {
    "font.size": 9.0,
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be searched
    "svg.hashsalt": "fgsbir",  # the same figure is the same file
    "pdf.fonttype": 42,
    "axes.edgecolor": GRID,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.labelcolor": TEXT,
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
}
"""Style of every figure; the stylesheet of the page has a second set of the colours for dark pages."""
VARIABLES = {TEXT: "--soft", GRID: "--line"} | {colour: f"--c{i}" for i, colour in enumerate(COLOURS)}

Points = Sequence[tuple[float, float]]


class Curve(NamedTuple):
    """A line of a figure.

    Attributes:
        name: name in the legend.
        points: x and y; a y of NaN is a gap.
        bars: lengths of each point's error bar below and above it; empty for no bars.
    """

    name: str
    points: Points
    bars: Sequence[tuple[float, float]] = ()


def region_figure(accuracy: Sequence[Curve], seconds: Sequence[Curve]) -> Figure:
    """Accuracy and time a query over the number of regions, one above the other.

    Args:
        accuracy: acc@1 in percent over the number of regions.
        seconds: the same curves, in seconds.
    """
    with mpl.rc_context(STYLE):
        figure, above, below = _stacked(accuracy, seconds, markers=True)
        above.set_ylabel("acc@1 (%)")
        below.set_ylabel("seconds a query")
        below.set_yscale("log")
        below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_locator(NullLocator())
        below.set_xlabel("regions a photo")
        below.set_xticks(sorted({x for curve in accuracy for x, _ in curve.points}))
    return figure


def training_figure(accuracies: Sequence[Curve], losses: Sequence[Curve]) -> Figure:
    """Val accuracy and training loss over epochs, one above the other.

    Args:
        accuracies: acc@1 on val in percent.
        losses: training losses, under the same names.
    """
    with mpl.rc_context(STYLE):
        figure, above, below = _stacked(accuracies, losses)
        above.set_ylabel("val acc@1 (%)")
        below.set_ylabel("training loss")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    return figure


def drawing_figure(percentiles: Sequence[Curve], reciprocals: Sequence[Curve]) -> Figure:
    """Two scores while the sketch is being drawn, one above the other.

    Args:
        percentiles: ranking percentile over the share of the ink, both in percent.
        reciprocals: 1/rank in percent over the share of the ink, under the same names.
    """
    with mpl.rc_context(STYLE):
        figure, above, below = _stacked(percentiles, reciprocals)
        above.set_ylabel("ranking percentile (%)")
        below.set_ylabel("1/rank (%)")
        below.set_ylim(bottom=0)
        below.set_xlabel("ink drawn (%)")
        below.set_xlim(0, 100)
    return figure


def _stacked(upper: Sequence[Curve], lower: Sequence[Curve], markers: bool = False) -> tuple[Figure, Axes, Axes]:
    """Two panels that share their x axis, with one legend in two columns below."""
    rows = -(-len(upper) // 2)
    figure = Figure((4.6, 4.6 + 0.2 * rows), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    _draw(above, upper, markers)
    _draw(below, lower, markers)
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure, above, below


def _draw(axes: Axes, curves: Sequence[Curve], markers: bool) -> None:
    """Lines in the colours of the style, then in the same colours dashed."""
    for i, curve in enumerate(curves):
        x, y = zip(*curve.points, strict=True)
        axes.errorbar(
            x,
            y,
            yerr=list(zip(*curve.bars, strict=True)) if curve.bars else None,
            label=curve.name,
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
            linewidth=1.6,
            marker="o" if markers or len(x) == 1 else None,
            markersize=4,
            capsize=2.5,
            elinewidth=0.9,
        )


def write_figure(figure: Figure, folder: Path, name: str) -> None:
    """Writes a figure as SVG, PDF and PNG, on white.

    Raises:
        InputError: if a file cannot be written.
    """
    dates: dict[str, Mapping[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    for kind, metadata in dates.items():
        with mpl.rc_context(STYLE), atomic_write(folder / f"{name}.{kind}") as file:
            figure.savefig(file, format=kind, dpi=200, facecolor="white", metadata=metadata)


def inline(figure: Figure, prefix: str, label: str) -> Markup:
    """A figure as an `<svg>` element that takes colours and font from the page.

    Args:
        figure: made by this module.
        prefix: start of its ids, unique on the page.
        label: description for screen readers.
    """
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    # Its style sheet would hold for the whole page.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]+)"', svg)
    assert view is not None
    body = svg[svg.index(">") + 1 :]
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", body)
    body = re.sub(r" font-family: [^;\"]+;", "", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return Markup(f'<svg class="plot" viewBox="{view[1]}" role="img" aria-label="{escape(label)}">{body}')
