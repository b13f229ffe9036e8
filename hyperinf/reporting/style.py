"""Draw all figures in one style, and save them in one way."""

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from hyperinf.artifacts.files import atomic_file, write_text
from hyperinf.reporting.labels import method_label, spec_of

PAGE_WIDTH = 7.0
"""Inches: the text width of a two-column page, so that 8 pt stays 8 pt in print."""

_TITLE_LETTERS = 96
"""That fit beside each other over a page's panels."""
INK = "#222222"
MUTED = "#6b6b6b"
GRID = "#e3e3e3"
PUBLISHED_LINE = (0, (1, 1.3))
RANDOM_LINE = (0, (1, 2))

_PARAMETERS = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
}


_LINES: dict[str, Any] = {"solid": "-", "dashed": (0, (4.0, 1.5)), "dash-dotted": (0, (5.0, 1.5, 1.0, 1.5))}

SERIES_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""For series that are not methods (sample counts), used from the left."""
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")


def line_options(method: str) -> dict[str, Any]:
    """Give the keyword arguments of ``Axes.plot`` for a method or solver."""
    spec = spec_of(method)
    return {
        "color": spec.colour,
        "marker": spec.marker,
        "linestyle": _LINES[spec.line],
        "markerfacecolor": spec.colour if spec.filled else "white",
        "markeredgecolor": spec.colour,
        "markeredgewidth": 0.9,
    }


def handle(label: str, **options: Any) -> Line2D:
    """Make a legend entry."""
    return Line2D([], [], label=label, **options)


def legend_handle(method: str) -> Line2D:
    """Make the legend entry of a method or solver."""
    return handle(method_label(method), **line_options(method))


class Drawing(NamedTuple):
    """A figure and the data that it was drawn from, in a fixed order of rows and columns."""

    data: pd.DataFrame
    figure: Figure


def house_style() -> AbstractContextManager[None]:
    """Make matplotlib's settings the house's while a figure is drawn; they are untouched outside."""
    return plt.rc_context(_PARAMETERS)


def new_figure(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure of page width and ``height`` inches with a grid of axes."""
    figure, axes = plt.subplots(rows, columns, figsize=(PAGE_WIDTH, height), squeeze=False, **options)
    return figure, [list(row) for row in axes]


def panel_title(axis: Axes, text: str, columns: int) -> None:
    """Put a title over one of so many panels side by side, in as many lines as fit its width."""
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, _TITLE_LETTERS // columns)]
    axis.set_title("\n".join(lines))


def dimension_axis(axis: Axes, dims: Sequence[int]) -> None:
    """Put ticks at the dimensions that there are, and nowhere else."""
    axis.xaxis.set_major_locator(FixedLocator(dims))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axis.set_xlabel("dimension d")


def seconds_axis(axis: Axes) -> None:
    """Give seconds a logarithmic axis whose ticks are plain numbers: 1, 2 and 5 of each power of ten."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def legend_below(figure: Figure, handles: list[Line2D], columns: int, title: str = "") -> None:
    """Put one legend for the whole figure under the axes and outside the data; ``title`` is a line of small print."""
    legend = figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handlelength=3.2,
        columnspacing=1.4,
        title=title or None,
        title_fontsize=7,
    )
    legend.get_title().set_color(MUTED)


def blank(data: pd.DataFrame, reason: str) -> Drawing:
    """Draw a figure that says why there is nothing to draw."""
    figure, axes = new_figure(1, 1, 1.2)
    axes[0][0].set_axis_off()
    axes[0][0].text(0.5, 0.5, reason, ha="center", va="center", color=MUTED)
    return Drawing(data, figure)


def save_figure(drawing: Drawing, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.{csv,pdf,png}`` and close the figure; the same drawing gives the same bytes.

    Args:
        drawing: figure and data.
        folder: created when it is not there.
        name: without suffix.

    Returns:
        The three paths; each file is whole or absent.
    """
    table, *images = (Path(folder) / f"{name}{suffix}" for suffix in (".csv", ".pdf", ".png"))
    figure = drawing.figure
    try:
        with house_style():
            figure.draw_without_rendering()  # lays out once; each format would do it again
            figure.set_layout_engine("none")
            write_text(table, drawing.data.to_csv(index=False, lineterminator="\n"))
            for target, metadata in zip(images, ({"CreationDate": None}, {"Software": None}), strict=True):
                # Drawn in memory: on a full disk Matplotlib's own writing fails in ways that hide the reason.
                drawn = io.BytesIO()
                figure.savefig(drawn, format=target.suffix[1:], metadata=metadata)
                with atomic_file(target) as temporary:
                    temporary.write_bytes(drawn.getvalue())
    finally:
        plt.close(figure)
    return [table, *images]
