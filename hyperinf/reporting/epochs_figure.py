"""Draw detection against epochs of fine-tuning, for one task and model."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from hyperinf.reporting import style
from hyperinf.reporting.labels import harmed_label, ordered_methods, ordered_settings, setting_label, shown_in_figures
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults


def epochs_data(read: StudyResults, task: str, model: str) -> pd.DataFrame:
    """Gather ROC-AUC of every method and the model's test accuracy at every epoch.

    Returns:
        Columns setting, epoch, method, metric, mean, half_width, n.
    """
    frame = read.frame.table
    own = frame[(frame["task"] == task) & (frame["model"] == model) & (frame["checkpoint"] != "")]
    own = own[(own["metric"] == "roc_auc") | ((own["metric"] == "accuracy") & (own["method"] == "model"))]
    own = own[own["method"].isin({"model", *shown_in_figures(set(own["method"]) - {"model"})})]
    epochs = own["checkpoint"].str.removeprefix("epoch-").astype(int)
    return own.assign(epoch=epochs)[["setting", "epoch", "method", "metric", "mean", "half_width", "n"]]


def epochs_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw ROC-AUC of every method against epochs, one column a setting; test accuracy of the model below."""
    data = epochs_data(read, entry.task, entry.model)
    found = data[data["metric"] == "roc_auc"]
    if found.empty:
        return style.blank(data, "no training sample was harmed: there is nothing to find")
    settings = ordered_settings(data["setting"])
    figure, axes = style.new_figure(2, len(settings), 4.4, sharex=True, sharey="row", height_ratios=[3.2, 1])
    epochs = sorted(set(data["epoch"]))
    step = min((b - a for a, b in itertools.pairwise(epochs)), default=1)
    names = ordered_methods(found["method"])
    for j, setting in enumerate(settings):
        upper, lower = axes[0][j], axes[1][j]
        style.panel_title(upper, setting_label(setting), len(settings))
        upper.axhline(0.5, color=style.MUTED, linewidth=0.9, linestyle=style.RANDOM_LINE)
        part = data[data["setting"] == setting]
        for k, method in enumerate(names):
            rows = part[(part["method"] == method) & (part["metric"] == "roc_auc")].sort_values("epoch")
            shift = 0.45 * step * (k - (len(names) - 1) / 2) / max(len(names), 1)
            _dots(upper, rows, style.line_options(method), shift)
        accuracy = part[part["metric"] == "accuracy"].sort_values("epoch")
        _dots(lower, accuracy, {"color": style.INK, "marker": "o", "markersize": 3.5, "linestyle": "-"}, 0.0)
        lower.set_xlabel("epochs of fine-tuning")
        lower.xaxis.set_major_locator(FixedLocator(epochs))
        lower.set_xlim(epochs[0] - 0.5 * step, epochs[-1] + 0.5 * step)
    harmed = harmed_label(read.shape.family)
    axes[0][0].set_ylabel(f"ROC-AUC of finding {harmed}\n(higher is better, 0.5 = random)")
    axes[1][0].set_ylabel("test accuracy")
    top = (found["mean"] + found["half_width"].fillna(0)).max()
    axes[0][0].set_ylim(top=min(1.0, top + 0.02) if np.isfinite(top) else 1.0)
    style.legend_below(figure, [style.legend_handle(method) for method in names], 4)
    return style.Drawing(data, figure)


def _dots(axis: Axes, rows: pd.DataFrame, options: dict[str, Any], shift: float) -> None:
    x = rows["epoch"].to_numpy(dtype=float) + shift
    style: dict[str, Any] = {"elinewidth": 0.7, "capsize": 1.5, "capthick": 0.7, "linewidth": 1.0} | options
    known = rows["half_width"].notna().any()  # no bar, not a bar of length 0, where there is no interval
    axis.errorbar(x, rows["mean"], yerr=rows["half_width"].to_numpy() if known else None, **style)
