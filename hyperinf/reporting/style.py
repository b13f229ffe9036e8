"""The house style of all figures, and the one way to save one."""

import functools
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hyperinf.artifacts.files import atomic_file
from hyperinf.reporting.labels import method_label

PAGE_WIDTH = 7.0
"""Inches: the text width of a two-column page, so that 8 pt stays 8 pt in print."""

INK = "#222222"
MUTED = "#6b6b6b"
GRID = "#e3e3e3"
PUBLISHED_LINE = (0, (1, 1.3))

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


@dataclass(frozen=True)
class MethodStyle:
    """How one method is drawn, the same in every figure."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[float, ...]] = "-"
    filled: bool = True


_DASH = (0, (4.0, 1.5))
_DASH_DOT = (0, (5.0, 1.5, 1.0, 1.5))

_STYLES = {
    "hyperinf": MethodStyle("#0072B2", "o"),
    "schulz_paper": MethodStyle("#0072B2", "o"),
    "schulz_paper_20": MethodStyle("#0072B2", "o"),
    "schulz_paper_30": MethodStyle("#0072B2", ">", _DASH),
    "schulz": MethodStyle("#56B4E9", "s", _DASH),
    "chebyshev": MethodStyle("#083d63", "D", _DASH_DOT),
    "gfim": MethodStyle("#56B4E9", "s", _DASH, filled=False),
    "datainf": MethodStyle("#D55E00", "^"),
    "datainf_gfim": MethodStyle("#D55E00", "^", _DASH, filled=False),
    "lissa": MethodStyle("#009E73", "s"),
    "lissa_gfim": MethodStyle("#009E73", "s", _DASH, filled=False),
    "tracin": MethodStyle("#E69F00", "v"),
    "fim": MethodStyle("#CC79A7", "P"),
    "loss": MethodStyle("#111111", "X", _DASH_DOT),
    "grad_norm": MethodStyle("#777777", "d", _DASH_DOT),
    "random": MethodStyle("#a5a5a5", "x", _DASH),
    "neumann": MethodStyle("#CC79A7", "P", _DASH),
    "sor": MethodStyle("#E69F00", "v", _DASH),
    "cg": MethodStyle("#882255", "X", _DASH_DOT),
    "gmres": MethodStyle("#999933", "d", _DASH_DOT),
    "cholesky": MethodStyle("#111111", "p", _DASH),
    "cholesky_solve": MethodStyle("#111111", "p", _DASH_DOT, filled=False),
    "inv": MethodStyle("#777777", "h", _DASH),
}
_SPARE_COLOURS = ("#332288", "#44AA99", "#AA4499", "#661100", "#117733")
_SPARE_MARKERS = ("<", ">", "*", "H", "8")

SERIES_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""For series that are not methods (sample counts), used from the left."""
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")


def method_style(method: str) -> MethodStyle:
    """The style of ``method``; an unknown one gets a spare style that depends on its name alone."""
    if method in _STYLES:
        return _STYLES[method]
    number = zlib.crc32(method.encode())
    return MethodStyle(_SPARE_COLOURS[number % 5], _SPARE_MARKERS[number // 5 % 5], _DASH)


def line_options(method: str) -> dict[str, Any]:
    """Keyword arguments of ``Axes.plot`` for ``method``."""
    style = method_style(method)
    return {
        "color": style.colour,
        "marker": style.marker,
        "linestyle": style.line,
        "markerfacecolor": style.colour if style.filled else "white",
        "markeredgecolor": style.colour,
        "markeredgewidth": 0.9,
    }


def legend_handle(method: str) -> Line2D:
    """The legend entry of ``method``."""
    return Line2D([], [], label=method_label(method), **line_options(method))


Drawing = TypeVar("Drawing", bound=Callable[..., Figure])


def house_style(draw: Drawing) -> Drawing:
    """Decorate a function that draws: matplotlib's settings are the house's inside it and untouched outside."""

    @functools.wraps(draw)
    def styled(*arguments: Any, **options: Any) -> Figure:
        with plt.rc_context(_PARAMETERS):
            return draw(*arguments, **options)

    return cast(Drawing, styled)


def new_figure(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure of page width and ``height`` inches with a grid of axes."""
    figure, axes = plt.subplots(rows, columns, figsize=(PAGE_WIDTH, height), squeeze=False, **options)
    return figure, [list(row) for row in axes]


def legend_below(figure: Figure, handles: list[Line2D], columns: int, title: str = "") -> None:
    """One legend for the whole figure, under the axes and outside the data; ``title`` is a line of small print."""
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


def save_figure(fig: Figure, data: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.{csv,pdf,png}`` and close the figure; the same figure and data give the same bytes.

    Args:
        fig: the figure.
        data: what it was drawn from, in a fixed order of rows and columns.
        folder: created when it is not there.
        name: without suffix.

    Returns:
        The three paths; each file is whole or absent.
    """
    targets = [Path(folder) / f"{name}{suffix}" for suffix in (".csv", ".pdf", ".png")]
    try:
        with plt.rc_context(_PARAMETERS):
            fig.draw_without_rendering()  # lays out once; each format would do it again
            fig.set_layout_engine("none")
            with atomic_file(targets[0]) as temporary:
                data.to_csv(temporary, index=False, lineterminator="\n")
            for target, metadata in zip(targets[1:], ({"CreationDate": None}, {"Software": None}), strict=True):
                # Drawn in memory: on a full disk Matplotlib's own writing fails in ways that hide the reason.
                drawn = io.BytesIO()
                fig.savefig(drawn, format=target.suffix[1:], metadata=metadata)
                with atomic_file(target) as temporary:
                    temporary.write_bytes(drawn.getvalue())
    finally:
        plt.close(fig)
    return targets
