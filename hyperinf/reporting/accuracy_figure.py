"""Draw accuracy against the fraction kept, and what was kept, for one task, model and setting."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from hyperinf.reporting import selection_panels, style
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.labels import STRATEGY_LABELS, ordered_methods, selection_label
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults

_Y_LABELS = {
    "accuracy": "test accuracy\n(higher is better)",
    "clean_fraction": "clean samples\namong the kept",
    "largest_answer_fraction": "most frequent\nanswer's share",
}
_HEIGHTS = {"accuracy": 2.5, "clean_fraction": 1.25, "largest_answer_fraction": 1.25}
_LABEL_HEIGHT = 0.135
"""Inches that one line of a label takes."""


def accuracy_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw one column of panels a strategy; rows: accuracy, clean samples among the kept, most frequent answer."""
    cell = Cell(entry.task, entry.model, entry.setting)
    data = selection_panels.selection_data(read, cell, *selection_panels.QUANTITIES)
    selected = data[data["strategy"] != ""]
    strategies = [name for name in STRATEGY_LABELS if name in set(selected["strategy"])]
    metrics = [name for name in selection_panels.QUANTITIES if name in set(selected["metric"])]
    methods = ordered_methods(selected["method"])
    heights = [_HEIGHTS[metric] for metric in metrics]
    size = sum(heights) + 1.0 + 0.17 * -(-len(methods) // 4)
    figure, axes = style.new_figure(
        len(metrics), len(strategies), size, sharex=True, sharey="row", height_ratios=heights
    )
    for i, metric in enumerate(metrics):
        part = data[data["metric"] == metric]
        references = part[part["strategy"] == ""]
        for j, strategy in enumerate(strategies):
            axis = axes[i][j]
            selection_panels.draw_references(axis, references)
            if metric == "largest_answer_fraction":
                axis.axhline(1.0, color=style.MUTED, linewidth=0.7, zorder=1.8)
            selection_panels.draw_curves(axis, part[part["strategy"] == strategy], methods)
            axis.yaxis.set_major_formatter(selection_panels.tick_label)
            if i == 0:
                axis.set_title(f"selection: {STRATEGY_LABELS[strategy]}")
            if i + 1 == len(metrics):
                axis.set_xlabel("fraction of the training set kept")
        axes[i][0].set_ylabel(_Y_LABELS[metric])
        axes[i][0].set_ylim(*selection_panels.limits(part, metric))
        _label_references(axes[i][-1], references, heights[i])
        if metric == "largest_answer_fraction":
            _label(axes[i][-1], "one answer only", 1.0, 1.0, style.MUTED)
    selection_panels.fraction_axis(axes[0][0], sorted(set(selected["fraction"])))
    foot = "\n".join(textwrap.wrap(f"{read.where(cell)}; {selection_panels.seed_text(data)}", 120))
    style.legend_below(figure, [selection_panels.method_handle(method) for method in methods], 4, foot)
    return style.Drawing(data, figure)


def _label_references(axis: Axes, rows: pd.DataFrame, height: float) -> None:
    """The references' names beside the panel, moved apart where their lines are close."""
    low, high = axis.get_ylim()
    rows = rows.sort_values("mean")
    gap = 2 * _LABEL_HEIGHT / height * (high - low)
    for (_, row), place in zip(rows.iterrows(), spread(rows["mean"].to_list(), gap), strict=True):
        _label(axis, _reference_text(row), row["mean"], place, selection_panels.REFERENCE_LINES[row["method"]]["color"])


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
    """Find places at least ``gap`` apart with the smallest sum of squared distances to the wanted ones (ascending).

    The places minus ``k * gap`` must not fall, so this is isotonic regression.
    """
    steps = gap * np.arange(len(wanted))
    return list(isotonic_regression(np.asarray(wanted) - steps).x + steps) if len(wanted) else []


def _reference_text(row: pd.Series) -> str:
    if row["metric"] != "accuracy":
        return f"{selection_label(row['method'])}\n{100 * row['mean']:.1f} %"
    half = "" if pd.isna(row["half_width"]) or row["half_width"] == 0 else f" ± {100 * row['half_width']:.1f}"
    return f"{selection_label(row['method'])}\n{100 * row['mean']:.1f}{half} %"
