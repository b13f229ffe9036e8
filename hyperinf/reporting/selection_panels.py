"""Draw accuracy against the fraction kept: what the figures of selections have in common."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from hyperinf.reporting import style
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.labels import REFERENCES, counted, selection_label, shown_in_figures
from hyperinf.reporting.study_inputs import StudyResults

QUANTITIES = ("accuracy", "clean_fraction", "largest_answer_fraction")
REFERENCE_LINES: dict[str, dict[str, Any]] = {
    "full": {"color": style.INK, "linestyle": "-", "linewidth": 1.1},
    "clean": {"color": style.INK, "linestyle": (0, (8, 2)), "linewidth": 1.1},
    "finetuned": {"color": style.MUTED, "linestyle": (0, (6, 2)), "linewidth": 0.9},
    "base": {"color": style.MUTED, "linestyle": (0, (6, 2, 1, 2)), "linewidth": 0.9},
    "majority": {"color": style.MUTED, "linestyle": (0, (1, 1.6)), "linewidth": 1.1},
}
_RANDOM: dict[str, Any] = {"color": "#555555", "markeredgecolor": "#555555", "linewidth": 2.2, "markersize": 5.5}
_COLUMNS = ["setting", "metric", "strategy", "method", "fraction", "mean", "half_width", "n"]


def selection_data(read: StudyResults, cell: Cell, *metrics: str) -> pd.DataFrame:
    """Gather what is drawn of a cell.

    Args:
        read: the study.
        cell: one task, model and setting.
        *metrics: some of ``QUANTITIES``.

    Returns:
        Columns setting, metric, strategy, method, fraction, mean (over seeds), half_width (95 %, empty for one seed),
        n. References have no strategy.
    """
    frame = read.frame.table
    own = frame[(frame[list(Cell._fields)] == list(cell)).all(axis=1) & (frame["checkpoint"] == "")]
    own = own[own["metric"].isin(metrics)]
    selecting = shown_in_figures(set(own["method"]) - set(REFERENCES))
    own = own[own["method"].isin({*REFERENCES, *selecting})]
    reference = own["method"].isin(REFERENCES)
    return own.assign(strategy=own["strategy"].where(~reference, ""))[_COLUMNS]


def seed_text(data: pd.DataFrame) -> str:
    """Say over how many seeds the data is."""
    seeds = int(data["n"].max())
    return f"{counted(seeds, 'seed')} ({'bars: 95 % t-interval' if seeds > 1 else 'no interval'})"


def _options(method: str) -> dict[str, Any]:
    return style.line_options(method) | {"markersize": 4.5} | (_RANDOM if method == "random" else {})


def method_handle(method: str) -> Line2D:
    """Make the legend entry of a method that selects."""
    return style.handle(selection_label(method), **_options(method))


def draw_curves(axis: Axes, panel: pd.DataFrame, methods: Sequence[str]) -> None:
    """Draw every method, shifted sideways so that bars do not hide each other; random lies under the rest."""
    fractions = sorted(set(panel["fraction"]))
    gap = min((b - a for a, b in itertools.pairwise(fractions)), default=0.1)
    for k, method in enumerate(methods):
        rows = panel[panel["method"] == method].sort_values("fraction")
        if rows.empty:
            continue
        x = rows["fraction"].to_numpy() + 0.5 * gap * ((k + 0.5) / len(methods) - 0.5)
        mean, half = rows["mean"].to_numpy(), rows["half_width"].to_numpy()
        options = _options(method) | {"zorder": 2.5 if method == "random" else 3}
        axis.plot(x, mean, **options)
        known = np.isfinite(half)  # no bar, not one of length 0, where there is no interval
        bars = [np.minimum(half, mean)[known], np.minimum(half, 1 - mean)[known]]
        style = {"ecolor": options["color"], "elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8}
        if known.any():
            axis.errorbar(x[known], mean[known], yerr=bars, fmt="none", zorder=options["zorder"], **style)


def draw_references(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw a horizontal line for each reference."""
    for _, row in rows.iterrows():
        axis.axhline(row["mean"], zorder=1.8, **REFERENCE_LINES[row["method"]])


def limits(rows: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Span all means and intervals, cut to 0..1, with some room; an answer's share always up to one answer."""
    half = rows["half_width"].fillna(0.0)
    low = float((rows["mean"] - half).clip(lower=0.0).min())
    high = float((rows["mean"] + half).clip(upper=1.0).max())
    if metric == "largest_answer_fraction":
        high = 1.0
    room = max(0.06 * (high - low), 0.01)
    return max(low - room, -0.04), min(high + room, 1.04)


def tick_label(fraction: float, _place: float = 0) -> str:
    """Print a tick's label with the digits that the tick has."""
    return f"{100 * fraction:.6g}%"


def fraction_axis(axis: Axes, fractions: Sequence[float]) -> None:
    """Put ticks at the fractions that were kept, and half a step beside them."""
    gap = min((b - a for a, b in itertools.pairwise(fractions)), default=0.1)
    axis.xaxis.set_major_locator(FixedLocator(list(fractions)))
    axis.xaxis.set_major_formatter(tick_label)
    axis.set_xlim(fractions[0] - 0.5 * gap, fractions[-1] + 0.5 * gap)
