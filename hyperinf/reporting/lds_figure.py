"""Draw how well scores predict retraining against the seconds that they take, for one task and model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hyperinf.reporting import style
from hyperinf.reporting.labels import ordered_methods, setting_label
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.validation_numbers import RETRAINING, TARGETS, lds_data


def lds_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw a dot a method; a column for each kind of target, a row for each setting."""
    data = lds_data(read, entry.task, entry.model)
    settings = list(dict.fromkeys(data["setting"]))
    figure, axes = style.new_figure(len(settings), 2, 0.4 + 2.6 * len(settings), sharex=True, sharey=True)
    for row, setting in enumerate(settings):
        for axis, (target, label) in zip(axes[row], TARGETS.items(), strict=True):
            _panel(axis, data[(data["setting"] == setting) & (data["target"] == target)])
            style.panel_title(axis, f"{setting_label(setting)}: {label}", 2)
        axes[row][0].set_ylabel("linear datamodeling score\n(higher is better, 0 = random)")
    for axis in axes[-1]:
        style.seconds_axis(axis)
        axis.set_xlabel("seconds of scoring on every target sample")
    timed = ordered_methods(data.loc[data["seconds"].notna(), "method"])
    ceiling = style.handle("retraining in another order", color=style.MUTED, linestyle=style.RANDOM_LINE)
    style.legend_below(figure, [*map(style.legend_handle, timed), ceiling], 4)
    return style.Drawing(data, figure)


def _panel(axis: Axes, data: pd.DataFrame) -> None:
    axis.axhline(0, color=style.MUTED, linewidth=0.8)
    for _, row in data.iterrows():
        if row["method"] == RETRAINING:
            axis.axhline(row["mean"], color=style.MUTED, linewidth=0.9, linestyle=style.RANDOM_LINE)
        elif np.isfinite(row["seconds"]) and np.isfinite(row["mean"]):
            options = style.line_options(row["method"]) | {"linestyle": "", "elinewidth": 0.7, "capsize": 1.5}
            if np.isfinite(row["half_width"]):
                bars = [[row["half_width"]], [row["half_width"]]]
            else:
                bars = [[max(0.0, row["mean"] - row["low"])], [max(0.0, row["high"] - row["mean"])]]
            axis.errorbar([row["seconds"]], [row["mean"]], yerr=bars, **options)
