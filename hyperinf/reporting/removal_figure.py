"""Draw what training without the most helpful and the most harmful samples comes to, for one task and model."""

from typing import Any

import pandas as pd

from hyperinf.reporting import style
from hyperinf.reporting.labels import method_label, ordered_methods, setting_label
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.validation_numbers import REMOVALS, REMOVED

_LINES = dict(zip(REMOVED, ("-", (0, (4.0, 1.5)), style.RANDOM_LINE), strict=True))
_MARKERS = dict(zip(REMOVED, ("^", "v", "x"), strict=True))


def removal_data(read: StudyResults, task: str, model: str) -> pd.DataFrame:
    """Gather the change of the mean target loss.

    Returns:
        Columns setting, metric, method, strategy, fraction, mean, half_width, n.
    """
    frame = read.frame.table
    own = frame[(frame["task"] == task) & (frame["model"] == model) & frame["metric"].isin(REMOVALS)]
    return own[["setting", "metric", "method", "strategy", "fraction", "mean", "half_width", "n"]]


def removal_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw the change of the loss against the fraction of samples; a column a training, a row a setting."""
    data = removal_data(read, entry.task, entry.model)
    settings = list(dict.fromkeys(data["setting"]))
    figure, axes = style.new_figure(len(settings), 2, 0.5 + 2.6 * len(settings), sharex=True)
    for row, setting in enumerate(settings):
        for axis, (metric, label) in zip(axes[row], REMOVALS.items(), strict=True):
            axis.axhline(0, color=style.MUTED, linewidth=0.8)
            style.panel_title(axis, f"{setting_label(setting)}: {label}", 2)
            part = data[(data["setting"] == setting) & (data["metric"] == metric)]
            for (method, strategy), line in part.groupby(["method", "strategy"], sort=False):
                options = _options(str(method), str(strategy))
                known = line["half_width"].notna().any()
                bars = line["half_width"].to_numpy() if known else None
                axis.errorbar(100 * line["fraction"], line["mean"], yerr=bars, elinewidth=0.7, capsize=1.5, **options)
        axes[row][0].set_ylabel("change of the mean target loss")
    for axis in axes[-1]:
        axis.set_xlabel("training samples, %")
    handles = [
        style.handle(
            method_label(method) if strategy == "random" else f"{method_label(method)}: {strategy}",
            **_options(method, strategy),
        )
        for method in ordered_methods(data["method"])
        for strategy in REMOVED
        if ((data["method"] == method) & (data["strategy"] == strategy)).any()
    ]
    style.legend_below(figure, handles, 3)
    return style.Drawing(data, figure)


def _options(method: str, strategy: str) -> dict[str, Any]:
    return style.line_options(method) | {"linestyle": _LINES[strategy], "marker": _MARKERS[strategy]}
