"""Draw detection curves of one task and model, a panel for each setting, beside the published ones."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from hyperinf.reporting import style
from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.labels import (
    harmed_label,
    method_label,
    ordered_methods,
    ordered_settings,
    percent,
    setting_label,
    shown_in_figures,
)
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.published import PUBLISHED_FAMILY, published_detection
from hyperinf.reporting.study_inputs import StudyResults

RUN, PUBLISHED, IDEAL = "this run", "published", "ideal"
_COMPARED = {0.2: "o", 0.4: "D"}
_PUBLISHED_GROUND = "#f6f6f2"
_PERCENT = PercentFormatter(1.0)


def detection_data(read: StudyResults, task: str, model: str) -> pd.DataFrame:
    """Gather the curves of a task and model at the checkpoint shown.

    Returns:
        Columns series (this run, published), setting, method, inspected, detected (mean over seeds), half_width (95 %,
        empty for one seed), n; method ``ideal`` is the best order there can be.
    """
    known = read.curves
    own = known[(known["task"] == task) & (known["model"] == model) & (known["checkpoint"] == read.shape.shown)]
    own = own[own["method"].isin(shown_in_figures(own["method"]))]
    rows: list[tuple[Any, ...]] = []
    for (setting, method, inspected), values in own.groupby(["setting", "method", "inspected"], sort=True)["detected"]:
        interval = t_interval(values.to_list())
        rows.append((RUN, setting, method, inspected, interval.mean, interval.half_width, interval.n))
    for cell in read.frame.of(task, model):
        harmed = read.harmed(cell)
        if harmed:
            for inspected in sorted({*np.linspace(0, 1, 11).round(6), round(harmed, 8)}):
                rows.append((RUN, cell.setting, IDEAL, inspected, min(1.0, inspected / harmed), np.nan, np.nan))
    published_rows = published_detection().itertuples() if read.shape.family == PUBLISHED_FAMILY else ()
    for published in published_rows:
        found = published.inspected_percent / 100, published.detected_percent / 100
        rows.append((PUBLISHED, "", published.method, *found, np.nan, np.nan))
    columns = ["series", "setting", "method", "inspected", "detected", "half_width", "n"]
    return pd.DataFrame(rows, columns=columns)


def detection_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw the fraction found against the fraction inspected.

    Under each panel what is found at the fractions that the tables compare, with intervals: as bands around the curves
    so many would hide each other.
    """
    data = detection_data(read, entry.task, entry.model)
    run = data[(data["series"] == RUN) & (data["method"] != IDEAL)]
    if run.empty:
        return style.blank(run, "no training sample was harmed: there is nothing to find")
    harmed, methods = harmed_label(read.shape.family), ordered_methods(run["method"])
    panels = [(f"this run: {setting_label(name)}", name) for name in ordered_settings(run["setting"])]
    if (data["series"] == PUBLISHED).any():
        panels.append(("published: other data and model\n(CoLA, RoBERTa-large, rank 16)", ""))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    heights = [2.0, 0.14 * len(methods) + 0.1] * rows
    figure, axes = style.new_figure(2 * rows, columns, sum(heights) + rows + 0.75, sharey="row", height_ratios=heights)
    for place in range(rows * columns):
        upper, lower = axes[2 * (place // columns)][place % columns], axes[2 * (place // columns) + 1][place % columns]
        if place >= len(panels):
            upper.remove()
            lower.remove()
            continue
        title, setting = panels[place]
        style.panel_title(upper, title, columns)
        panel = data[data["setting"] == setting]
        _curves(upper, panel)
        _found_at(lower, panel, methods, f"{harmed} found")
        if place % columns == 0:
            upper.set_ylabel(f"{harmed} found\n(higher is better)")
    style.legend_below(figure, _handles(data, methods), 4)
    return style.Drawing(data, figure)


def _curves(axis: Axes, panel: pd.DataFrame) -> None:
    published = bool((panel["series"] == PUBLISHED).all())
    axis.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle=style.RANDOM_LINE)
    ideal = panel[panel["method"] == IDEAL]
    if len(ideal):
        axis.plot(ideal["inspected"], ideal["detected"], color=style.INK, linewidth=0.8)
    for method in reversed(ordered_methods(set(panel["method"]) - {IDEAL})):
        part = panel[panel["method"] == method]
        options = style.line_options(method) | {"markersize": 3.0, "linewidth": 1.1}
        if published:
            options |= {"linestyle": style.PUBLISHED_LINE, "linewidth": 2.0, "marker": ""}
        axis.plot(part["inspected"], part["detected"], **options, markevery=(sum(map(ord, method)) % 20, 20))
    if published:
        axis.set_facecolor(_PUBLISHED_GROUND)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.01)
    axis.xaxis.set_major_formatter(_PERCENT)
    axis.yaxis.set_major_formatter(_PERCENT)
    axis.set_xlabel("training set inspected,\nmost harmful first")


def _found_at(axis: Axes, panel: pd.DataFrame, methods: list[str], label: str) -> None:
    """One line a method: what it finds at each of the fractions inspected, with its interval."""
    for place, method in enumerate(methods):
        part = panel[panel["method"] == method]
        for (inspected, marker), shift in zip(_COMPARED.items(), (-0.17, 0.17), strict=True):
            at = part[np.isclose(part["inspected"], inspected)]
            if at.empty:
                continue
            mean, half = at["detected"].iloc[0], at["half_width"].iloc[0]
            colour = style.line_options(method)["color"]
            if np.isfinite(half):
                ends = [max(mean - half, 0), min(mean + half, 1)]
                axis.plot(ends, [place + shift] * 2, color=colour, linewidth=0.8)
            axis.plot([mean], [place + shift], color=colour, marker=marker, markersize=3.2, linestyle="")
    if (panel["series"] == PUBLISHED).all():
        axis.set_facecolor(_PUBLISHED_GROUND)
    axis.set_yticks(range(len(methods)), [method_label(method) for method in methods], fontsize=6.5)
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.set_xlim(0, 1.01)
    axis.xaxis.set_major_formatter(_PERCENT)
    axis.set_xlabel(label)


def _handles(data: pd.DataFrame, methods: list[str]) -> list[Line2D]:
    handles = [style.legend_handle(method) for method in methods]
    if (data["method"] == IDEAL).any():
        handles.append(style.handle("ideal order", color=style.INK, linewidth=0.8))
    chance = {"linewidth": 0.9, "linestyle": style.RANDOM_LINE}
    handles.append(style.handle("expected at random", color=style.MUTED, **chance))
    if (data["series"] == PUBLISHED).any():
        published = {"linewidth": 2.0, "linestyle": style.PUBLISHED_LINE}
        handles.append(style.handle("published (same colours)", color=style.MUTED, **published))
    dot = {"color": style.INK, "markersize": 3.2, "linestyle": ""}
    named = [(f"at {percent(inspected)} inspected", marker) for inspected, marker in _COMPARED.items()]
    return handles + [style.handle(label, marker=marker, **dot) for label, marker in named]
