"""Detection curves, the epoch axis and the costs of mislabel detection, for one task and one model."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter

from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.labels import method_label, ordered_methods, stage_label
from hyperinf.reporting.style import (
    INK,
    MUTED,
    PUBLISHED_LINE,
    house_style,
    legend_below,
    legend_handle,
    line_options,
    method_style,
    new_figure,
)

RUN, PUBLISHED = "this run", "published"
_RANDOM_LINE = (0, (1, 2))
_COMPARED = {20: "o", 40: "D"}
_PUBLISHED_GROUND = "#f6f6f2"


def detection_data(curves: pd.DataFrame, flipped: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """What the detection figure draws, for one task, model and epoch.

    Args:
        curves: detection curves of that task, model and epoch.
        flipped: columns rank and share (of labels flipped).
        published: ``published.published_detection``.

    Returns:
        Columns series (this run, published), rank, method, inspected_percent, detected_percent (mean over seeds),
        half_width (95 %, empty for one seed), seeds; method ``ideal`` is the best order there can be.
    """
    grouped = curves.groupby(["rank", "method", "inspected_percent"], sort=True)["detected_percent"]
    rows: list[tuple[Any, ...]] = []
    for (rank, method, inspected), values in grouped:
        interval = t_interval(values.to_list())
        rows.append((RUN, rank, method, inspected, interval.mean, interval.half_width, interval.n))
    shares = flipped.groupby("rank")["share"].mean()
    for rank, share in shares.items():
        for inspected in sorted({0.0, *np.linspace(0, 100, 11), round(100 * share, 6)}):
            rows.append(
                (RUN, rank, "ideal", inspected, min(100.0, inspected / share) if share else 0.0, np.nan, np.nan)
            )
    for row in published.itertuples():
        rows.append((PUBLISHED, np.nan, row.method, row.inspected_percent, row.detected_percent, np.nan, np.nan))
    columns = ["series", "rank", "method", "inspected_percent", "detected_percent", "half_width", "seeds"]
    return pd.DataFrame(rows, columns=columns)


@house_style
def figure_detection(data: pd.DataFrame) -> Figure:
    """Percent of flipped labels found against percent inspected: one panel a rank, the published curves in the last.

    Under each panel what is found at the shares that the tables compare, with intervals: as bands around the curves
    so many would hide each other.
    """
    run = data[data["series"] == RUN]
    methods = ordered_methods(set(run["method"]) - {"ideal"})
    ranks = sorted(set(run["rank"].astype(int)))
    panels = [(f"this run: rank {rank}", run[run["rank"] == rank]) for rank in ranks]
    panels.append(
        ("published: other data and model\n(CoLA, RoBERTa-large, rank 16)", data[data["series"] == PUBLISHED])
    )
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    heights = [2.0, 0.14 * len(methods) + 0.1] * rows
    figure, axes = new_figure(2 * rows, columns, sum(heights) + rows + 0.75, sharey="row", height_ratios=heights)
    for place in range(rows * columns):
        upper, lower = axes[2 * (place // columns)][place % columns], axes[2 * (place // columns) + 1][place % columns]
        if place >= len(panels):
            upper.remove()
            lower.remove()
            continue
        title, panel = panels[place]
        upper.set_title(title)
        _detection_curves(upper, panel)
        _found_at(lower, panel, methods)
        if place % columns == 0:
            upper.set_ylabel("flipped labels found\n(higher is better)")
    legend_below(figure, _detection_handles(run, methods), 4)
    return figure


def _detection_curves(axis: Axes, panel: pd.DataFrame) -> None:
    published = bool((panel["series"] == PUBLISHED).all())
    _references(axis, panel[panel["method"] == "ideal"])
    for method in reversed(ordered_methods(set(panel["method"]) - {"ideal"})):
        part = panel[panel["method"] == method]
        options = line_options(method) | {"markersize": 3.0, "linewidth": 1.1}
        if published:
            options |= {"linestyle": PUBLISHED_LINE, "linewidth": 2.0, "marker": ""}
        axis.plot(
            part["inspected_percent"], part["detected_percent"], **options, markevery=(sum(map(ord, method)) % 20, 20)
        )
    if published:
        axis.set_facecolor(_PUBLISHED_GROUND)
    axis.set_xlim(0, 100)
    axis.set_ylim(0, 101)
    axis.xaxis.set_major_formatter(PercentFormatter())
    axis.yaxis.set_major_formatter(PercentFormatter())
    axis.set_xlabel("training set inspected,\nmost harmful first")


def _found_at(axis: Axes, panel: pd.DataFrame, methods: list[str]) -> None:
    """One line a method: what it finds at each of the shares inspected, with its interval."""
    for place, method in enumerate(methods):
        part = panel[panel["method"] == method].set_index("inspected_percent")
        for (inspected, marker), shift in zip(_COMPARED.items(), (-0.17, 0.17), strict=True):
            if inspected not in part.index:
                continue
            mean, half = part.loc[inspected, "detected_percent"], part.loc[inspected, "half_width"]
            colour = method_style(method).colour
            if np.isfinite(half):
                ends = [max(mean - half, 0), min(mean + half, 100)]
                axis.plot(ends, [place + shift] * 2, color=colour, linewidth=0.8)
            axis.plot([mean], [place + shift], color=colour, marker=marker, markersize=3.2, linestyle="")
    if (panel["series"] == PUBLISHED).all():
        axis.set_facecolor(_PUBLISHED_GROUND)
    axis.set_yticks(range(len(methods)), [method_label(method) for method in methods], fontsize=6.5)
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.set_xlim(0, 101)
    axis.xaxis.set_major_formatter(PercentFormatter())
    axis.set_xlabel("flipped labels found")


def _detection_handles(run: pd.DataFrame, methods: list[str]) -> list[Line2D]:
    handles = [legend_handle(method) for method in methods]
    if (run["method"] == "ideal").any():
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label="ideal order"))
    handles.append(Line2D([], [], color=MUTED, linewidth=0.9, linestyle=_RANDOM_LINE, label="expected at random"))
    handles.append(
        Line2D([], [], color=MUTED, linewidth=2.0, linestyle=PUBLISHED_LINE, label="published (same colours)")
    )
    for inspected, marker in _COMPARED.items():
        label = f"at {inspected} % inspected"
        handles.append(Line2D([], [], color=INK, marker=marker, markersize=3.2, linestyle="", label=label))
    return handles


def _references(axis: Axes, ideal: pd.DataFrame) -> None:
    axis.plot([0, 100], [0, 100], color=MUTED, linewidth=0.9, linestyle=_RANDOM_LINE)
    if len(ideal):
        axis.plot(ideal["inspected_percent"], ideal["detected_percent"], color=INK, linewidth=0.8)


def epochs_data(frame: pd.DataFrame) -> pd.DataFrame:
    """What the epochs figure draws, from one task's and model's rows of ``mislabel_frames.detection_frame``.

    Returns:
        Columns rank, epoch, method, quantity (roc_auc or test accuracy), mean, half_width, seeds.
    """
    methods = frame[frame["method"] != "model"].assign(
        quantity="roc_auc", mean=lambda rows: rows["roc_auc"], half_width=lambda rows: rows["roc_auc_half_width"]
    )
    accuracy = frame[frame["method"] == "model"].assign(
        quantity="accuracy", mean=lambda rows: rows["accuracy"], half_width=lambda rows: rows["accuracy_half_width"]
    )
    columns = ["rank", "epoch", "method", "quantity", "mean", "half_width", "seeds"]
    parts = [part[columns] for part in (methods, accuracy) if len(part)]
    return pd.concat(parts, ignore_index=True)


@house_style
def figure_epochs(data: pd.DataFrame) -> Figure:
    """ROC-AUC of every method against epochs of fine-tuning, one column a rank; test accuracy of the model below."""
    ranks = sorted(set(data["rank"].astype(int)))
    height = 4.4
    figure, axes = new_figure(2, len(ranks), height, sharex=True, sharey="row", height_ratios=[3.2, 1])
    epochs = sorted(set(data["epoch"].astype(int)))
    step = min((b - a for a, b in itertools.pairwise(epochs)), default=1)
    names = ordered_methods(data.loc[data["quantity"] == "roc_auc", "method"])
    for j, rank in enumerate(ranks):
        upper, lower = axes[0][j], axes[1][j]
        upper.set_title(f"rank {rank}")
        upper.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=_RANDOM_LINE)
        part = data[data["rank"] == rank]
        for k, method in enumerate(names):
            rows = part[(part["method"] == method) & (part["quantity"] == "roc_auc")].sort_values("epoch")
            shift = 0.45 * step * (k - (len(names) - 1) / 2) / max(len(names), 1)
            _dots(upper, rows, line_options(method), shift)
        accuracy = part[part["quantity"] == "accuracy"].sort_values("epoch")
        _dots(lower, accuracy, {"color": INK, "marker": "o", "markersize": 3.5, "linestyle": "-"}, 0.0)
        lower.set_xlabel("epochs of fine-tuning")
        lower.xaxis.set_major_locator(FixedLocator(epochs))
        lower.set_xlim(epochs[0] - 0.5 * step, epochs[-1] + 0.5 * step)
    axes[0][0].set_ylabel("ROC-AUC of finding flipped labels\n(higher is better, 0.5 = random)")
    axes[1][0].set_ylabel("test accuracy")
    top = (data["mean"] + data["half_width"].fillna(0))[data["quantity"] == "roc_auc"].max()
    axes[0][0].set_ylim(top=min(1.0, top + 0.02) if np.isfinite(top) else 1.0)
    legend_below(figure, [legend_handle(method) for method in names], 4)
    return figure


def _dots(axis: Axes, rows: pd.DataFrame, options: dict[str, Any], shift: float) -> None:
    x = rows["epoch"].to_numpy(dtype=float) + shift
    style: dict[str, Any] = {"elinewidth": 0.7, "capsize": 1.5, "capthick": 0.7, "linewidth": 1.0} | options
    known = rows["half_width"].notna().any()  # no bar, not a bar of length 0, where there is no interval
    axis.errorbar(x, rows["mean"], yerr=rows["half_width"].to_numpy() if known else None, **style)


@house_style
def figure_cost(data: pd.DataFrame) -> Figure:
    """Seconds and peak memory, one row a method (dot: median, bar: extremes), shared stages below the line.

    Args:
        data: one task's and model's rows of ``mislabel_frames.cost_frame``.
    """
    own = data[data["method"] != "shared"]
    methods = ordered_methods(own["method"])
    stages = list(dict.fromkeys(data.loc[data["method"] == "shared", "stage"]))
    names = [(method, None) for method in methods] + [("shared", stage) for stage in stages]
    ranks = sorted(set(data["rank"].astype(int)))
    figure, axes = new_figure(1, 2, 0.95 + 0.24 * len(names), sharey=True)
    for place, (method, stage) in enumerate(names):
        rows = data[data["method"] == method]
        rows = rows[rows["stage"] == stage] if stage is not None else rows
        colour = MUTED if stage is not None else method_style(method).colour
        for k, rank in enumerate(ranks):
            part = rows[rows["rank"] == rank]
            if part.empty:
                continue
            height = place + 0.36 * (k - (len(ranks) - 1) / 2)
            options: dict[str, Any] = {
                "color": colour,
                "marker": _RANK_MARKERS[k % 4],
                "markersize": 4,
                "linestyle": "",
            }
            axes[0][0].plot(
                [part["seconds_low"].sum(), part["seconds_high"].sum()], [height] * 2, color=colour, linewidth=1.2
            )
            axes[0][0].plot([part["seconds"].sum()], [height], **options)
            memory = part["peak_memory_mib"].max()
            if np.isfinite(memory):
                axes[0][1].plot([memory], [height], **options)
    labels = [method_label(method) if stage is None else stage_label(stage) for method, stage in names]
    axes[0][0].set_yticks(range(len(names)), labels)
    axes[0][0].set_ylim(len(names) - 0.5, -0.5)
    for axis, label in zip(
        axes[0], ("seconds per checkpoint (lower is better)", "peak memory, MiB (lower is better)"), strict=True
    ):
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(axis="x", which="minor", visible=False)
        if stages:
            axis.axhline(len(methods) - 0.5, color=MUTED, linewidth=0.8)
    _memory_ticks(axes[0][1], data["peak_memory_mib"])
    handles = [
        Line2D([], [], color=INK, marker=_RANK_MARKERS[k % 4], linestyle="", label=f"rank {rank}")
        for k, rank in enumerate(ranks)
    ]
    legend_below(figure, handles, len(handles))
    return figure


_LOG_SPAN = 10.0
_RANK_MARKERS = ("o", "D", "s", "^")


def _memory_ticks(axis: Axes, memory: pd.Series) -> None:
    """Less than a decade of memory reads better from zero."""
    known = memory.dropna()
    if known.empty:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", color=MUTED)
    elif known.max() < _LOG_SPAN * known.min():
        axis.set_xscale("linear")
        axis.set_xlim(0, known.max() * 1.08)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
