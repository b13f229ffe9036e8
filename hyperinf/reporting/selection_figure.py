"""Accuracy against the share of the pool kept, and what was kept, for one task, model and setting."""

import itertools
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.labels import (
    REFERENCES,
    STRATEGY_LABELS,
    noted_model,
    ordered_methods,
    selection_label,
    setting_label,
)
from hyperinf.reporting.selection_frames import Cell, Place, Values, reference, selections, whole_pool
from hyperinf.reporting.style import INK, MUTED, house_style, legend_below, line_options, new_figure

QUANTITIES = ("accuracy", "clean_share", "largest_answer_share")
_Y_LABELS = {
    "accuracy": "test accuracy\n(higher is better)",
    "clean_share": "clean samples\namong the kept",
    "largest_answer_share": "most frequent\nanswer's share",
}
_HEIGHTS = {"accuracy": 2.5, "clean_share": 1.25, "largest_answer_share": 1.25}
REFERENCE_LINES: dict[str, dict[str, Any]] = {
    "full": {"color": INK, "linestyle": "-", "linewidth": 1.1},
    "warmup": {"color": MUTED, "linestyle": (0, (6, 2)), "linewidth": 0.9},
    "base": {"color": MUTED, "linestyle": (0, (6, 2, 1, 2)), "linewidth": 0.9},
    "majority": {"color": MUTED, "linestyle": (0, (1, 1.6)), "linewidth": 1.1},
}
_RANDOM: dict[str, Any] = {"color": "#555555", "markeredgecolor": "#555555", "linewidth": 2.2, "markersize": 5.5}
_LABEL_HEIGHT = 0.135
"""Inches that one line of a label takes."""


def selection_data(values: Values, cell: Cell) -> pd.DataFrame:
    """What the figure draws.

    Args:
        values: of ``selection_frames.values_by_seed``.
        cell: one task, model and setting.

    Returns:
        Columns quantity, strategy, method, fraction, mean (over seeds), half_width (95 %, empty for one seed), seeds.
        References have no strategy; that of the shares is the whole pool.
    """
    rows: list[tuple[Any, ...]] = []
    for quantity in QUANTITIES:
        for strategy, fraction in selections(values, cell):
            found = {
                place.method: seeds
                for (place, metric), seeds in values.items()
                if metric == quantity and place == Place(cell, strategy, fraction, place.method)
            }
            for method in ordered_methods(found):
                interval = t_interval(list(found[method].values()))
                rows.append((quantity, strategy, method, fraction, *_numbers(interval)))
        for method in REFERENCES if quantity == "accuracy" else ("full",):
            accuracy = quantity == "accuracy"
            seeds = reference(values, cell, method, quantity) if accuracy else whole_pool(values, cell, quantity)
            if seeds:
                rows.append((quantity, "", method, np.nan, *_numbers(t_interval(list(seeds.values())))))
    return pd.DataFrame(rows, columns=["quantity", "strategy", "method", "fraction", "mean", "half_width", "seeds"])


def _numbers(interval: Any) -> tuple[float, float, int]:
    return interval.mean, interval.half_width, interval.n


@house_style
def figure_selection(data: pd.DataFrame, cell: Cell, note: str = "") -> Figure:
    """One column of panels a strategy; rows: accuracy, clean samples among the kept, the most frequent answer's share.

    Args:
        data: of :func:`selection_data`.
        cell: named under the panels.
        note: what a reader must know of the model.
    """
    selected = data[data["strategy"] != ""]
    strategies = [name for name in STRATEGY_LABELS if name in set(selected["strategy"])]
    quantities = [name for name in QUANTITIES if name in set(selected["quantity"])]
    methods = ordered_methods(selected["method"])
    heights = [_HEIGHTS[quantity] for quantity in quantities]
    size = sum(heights) + 1.0 + 0.17 * -(-len(methods) // 4)
    figure, axes = new_figure(len(quantities), len(strategies), size, sharex=True, sharey="row", height_ratios=heights)
    for i, quantity in enumerate(quantities):
        part = data[data["quantity"] == quantity]
        for j, strategy in enumerate(strategies):
            axis = axes[i][j]
            draw_references(axis, part[part["strategy"] == ""])
            if quantity == "largest_answer_share":
                axis.axhline(1.0, color=MUTED, linewidth=0.7, zorder=1.8)
            draw_curves(axis, part[part["strategy"] == strategy], methods)
            axis.yaxis.set_major_formatter(percent)
            if i == 0:
                axis.set_title(f"selection: {STRATEGY_LABELS[strategy]}")
            if i + 1 == len(quantities):
                axis.set_xlabel("share of the pool kept")
        axes[i][0].set_ylabel(_Y_LABELS[quantity])
        axes[i][0].set_ylim(*limits(part, quantity))
        _label_references(axes[i][-1], part[part["strategy"] == ""], heights[i])
        if quantity == "largest_answer_share":
            _label(axes[i][-1], "one answer only", 1.0, 1.0, MUTED)
    fractions = sorted(set(selected["fraction"]))
    share_axis(axes[0][0], fractions)
    legend_below(figure, [method_handle(method) for method in methods], 4, _foot(cell, note, data))
    return figure


def _options(method: str) -> dict[str, Any]:
    return line_options(method) | {"markersize": 4.5} | (_RANDOM if method == "random" else {})


def method_handle(method: str) -> Line2D:
    """The legend entry of a method that selects."""
    return Line2D([], [], label=selection_label(method), **_options(method))


def draw_curves(axis: Axes, panel: pd.DataFrame, methods: Sequence[str]) -> None:
    """Every method with its bars, shifted sideways so that bars do not hide each other; random lies under the rest."""
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
    """A horizontal line for each reference."""
    for _, row in rows.iterrows():
        axis.axhline(row["mean"], zorder=1.8, **REFERENCE_LINES[row["method"]])


def _label_references(axis: Axes, rows: pd.DataFrame, height: float) -> None:
    """The references' names beside the panel, moved apart where their lines are close."""
    low, high = axis.get_ylim()
    rows = rows.sort_values("mean")
    gap = 2 * _LABEL_HEIGHT / height * (high - low)
    for (_, row), place in zip(rows.iterrows(), spread(rows["mean"].to_list(), gap), strict=True):
        _label(axis, _reference_text(row), row["mean"], place, REFERENCE_LINES[row["method"]]["color"])


def _label(axis: Axes, text: str, at: float, place: float, colour: str) -> None:
    """A text to the right of the panel at the height ``place``, tied to its edge at the height ``at``."""
    axis.annotate(
        text,
        (1.0, at),
        xycoords=axis.get_yaxis_transform(),
        xytext=(1.06, place),
        textcoords=axis.get_yaxis_transform(),
        va="center",
        fontsize=7,
        color=colour,
        linespacing=1.0,
        arrowprops={
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.6,
            "shrinkA": 1,
            "shrinkB": 0,
            "relpos": (0, 0.5),
        },
        annotation_clip=False,
    )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """RunPaths at least ``gap`` apart with the smallest sum of squared distances to the wanted ones (ascending).

    The places minus ``k * gap`` must not fall, so this is isotonic regression: neighbours that violate the order are
    pooled and take their mean.
    """
    blocks: list[tuple[float, int]] = []
    for k, at in enumerate(wanted):
        mean, count = at - k * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, members = blocks.pop()
            mean, count = (before * members + mean * count) / (members + count), members + count
        blocks.append((mean, count))
    flat = [mean for mean, count in blocks for _ in range(count)]
    return [place + k * gap for k, place in enumerate(flat)]


def _reference_text(row: pd.Series) -> str:
    if row["quantity"] != "accuracy":
        return f"whole pool\n{100 * row['mean']:.1f} %"
    half = "" if pd.isna(row["half_width"]) or row["half_width"] == 0 else f" ± {100 * row['half_width']:.1f}"
    return f"{selection_label(row['method'])}\n{100 * row['mean']:.1f}{half} %"


def limits(rows: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """All means and intervals, cut to 0..1, with some room around them; an answer's share always up to one answer."""
    half = rows["half_width"].fillna(0.0)
    low = float((rows["mean"] - half).clip(lower=0.0).min())
    high = float((rows["mean"] + half).clip(upper=1.0).max())
    if quantity == "largest_answer_share":
        high = 1.0
    room = max(0.06 * (high - low), 0.01)
    return max(low - room, -0.04), min(high + room, 1.04)


def percent(share: float, _place: float = 0) -> str:
    """A tick's label, with the digits that the tick has."""
    return f"{100 * share:.6g}%"


def share_axis(axis: Axes, fractions: Sequence[float]) -> None:
    """Ticks at the shares that were kept, and half a step beside them."""
    gap = min((b - a for a, b in itertools.pairwise(fractions)), default=0.1)
    axis.xaxis.set_major_locator(FixedLocator(list(fractions)))
    axis.xaxis.set_major_formatter(percent)
    axis.set_xlim(fractions[0] - 0.5 * gap, fractions[-1] + 0.5 * gap)


def _foot(cell: Cell, note: str, data: pd.DataFrame) -> str:
    seeds = int(data["seeds"].max())
    spread_text = "bars: 95 % t-interval" if seeds > 1 else "no interval"
    counted = f"{seeds} seed{'s' if seeds > 1 else ''} ({spread_text})"
    text = f"{cell.task}, {noted_model(cell.model, note)}, {setting_label(cell.setting)}; {counted}"
    return "\n".join(textwrap.wrap(text, 120))
