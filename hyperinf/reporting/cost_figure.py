"""Draw seconds and memory of scoring, for one task and model."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hyperinf.reporting import style
from hyperinf.reporting.costs import SHARED
from hyperinf.reporting.labels import (
    method_label,
    ordered_methods,
    ordered_settings,
    setting_label,
    shown_in_figures,
    stage_label,
)
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults

_LOG_SPAN = 10.0
_MARKERS = ("o", "D", "s", "^")


def cost_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw one row a method (dot: median, bar: extremes), shared stages below the line."""
    data = read.costs[(read.costs["task"] == entry.task) & (read.costs["model"] == entry.model)]
    methods = ordered_methods(shown_in_figures(set(data["method"]) - {SHARED}))
    data = data[data["method"].isin({SHARED, *methods})]
    stages = list(dict.fromkeys(data.loc[data["method"] == SHARED, "stage"]))
    names = [(method, None) for method in methods] + [(SHARED, stage) for stage in stages]
    settings = ordered_settings(data["setting"])
    figure, axes = style.new_figure(1, 2, 0.95 + 0.24 * len(names), sharey=True)
    for place, (method, stage) in enumerate(names):
        rows = data[data["method"] == method]
        rows = rows[rows["stage"] == stage] if stage is not None else rows
        colour = style.MUTED if stage is not None else style.line_options(method)["color"]
        for k, setting in enumerate(settings):
            part = rows[rows["setting"] == setting]
            if len(part):
                _marks(axes[0], part, place + 0.36 * (k - (len(settings) - 1) / 2), colour, _MARKERS[k % 4])
    labels = [method_label(method) if stage is None else stage_label(stage) for method, stage in names]
    axes[0][0].set_yticks(range(len(names)), labels)
    axes[0][0].set_ylim(len(names) - 0.5, -0.5)
    quantities = ("seconds per checkpoint (lower is better)", "peak memory, MiB (lower is better)")
    for axis, label in zip(axes[0], quantities, strict=True):
        axis.set_xlabel(label)
        axis.grid(axis="x", which="minor", visible=False)
        if stages:
            axis.axhline(len(methods) - 0.5, color=style.MUTED, linewidth=0.8)
    style.seconds_axis(axes[0][0])
    _memory_ticks(axes[0][1], data["peak_memory_mib"])
    dot = {"color": style.INK, "linestyle": ""}
    handles = [
        style.handle(setting_label(setting), marker=_MARKERS[k % 4], **dot) for k, setting in enumerate(settings)
    ]
    style.legend_below(figure, handles, min(len(handles), 4))
    return style.Drawing(data, figure)


def _marks(axes: list[Axes], part: pd.DataFrame, height: float, colour: str, marker: str) -> None:
    options: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ""}
    extremes = [part["seconds_low"].sum(), part["seconds_high"].sum()]
    axes[0].plot(extremes, [height] * 2, color=colour, linewidth=1.2)
    axes[0].plot([part["seconds"].sum()], [height], **options)
    memory = part["peak_memory_mib"].max()
    if np.isfinite(memory):
        axes[1].plot([memory], [height], **options)


def _memory_ticks(axis: Axes, memory: pd.Series) -> None:
    """Less than a decade of memory reads better from zero."""
    known = memory.dropna()
    if known.empty:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", color=style.MUTED)
    elif known.max() < _LOG_SPAN * known.min() or known.max() == 0:
        axis.set_xlim(0, known.max() * 1.08 or 1)
    else:
        axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
