"""Accuracy against the share of the pool kept, a panel for every setting of one task and model."""

import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hyperinf.reporting.labels import (
    REFERENCES,
    STRATEGY_LABELS,
    noted_model,
    ordered_methods,
    ordered_settings,
    selection_label,
    setting_label,
)
from hyperinf.reporting.selection_figure import (
    REFERENCE_LINES,
    draw_curves,
    draw_references,
    limits,
    method_handle,
    percent,
    selection_data,
    share_axis,
)
from hyperinf.reporting.selection_frames import Cell, Values
from hyperinf.reporting.style import house_style, legend_below, new_figure

_COLUMNS = 4
_HEIGHT = 1.7
_TITLE_WRAP = 108
"""Characters of titles beside each other."""


def settings_data(values: Values, cells: list[Cell]) -> pd.DataFrame:
    """What the figure draws: the accuracies of ``selection_figure.selection_data`` with their setting.

    Args:
        values: of ``selection_frames.values_by_seed``.
        cells: the settings of one task and model.
    """
    order = ordered_settings(cell.setting for cell in cells)
    parts = [selection_data(values, cell) for cell in sorted(cells, key=lambda cell: order.index(cell.setting))]
    named = [part[part["quantity"] == "accuracy"].assign(setting=name) for part, name in zip(parts, order, strict=True)]
    frame = pd.concat(named, ignore_index=True).drop(columns="quantity")
    return frame[["setting", *frame.columns.drop("setting")]]


@house_style
def figure_settings(data: pd.DataFrame, task: str, model: str, note: str = "") -> Figure:
    """A panel a setting, at most four in a row; a strategy begins a row of its own.

    Args:
        data: of :func:`settings_data`.
        task: named under the panels.
        model: as well.
        note: what a reader must know of the model.
    """
    settings = ordered_settings(data["setting"])
    selected = data[data["strategy"] != ""]
    strategies = [name for name in STRATEGY_LABELS if name in set(selected["strategy"])]
    columns = min(_COLUMNS, len(settings))
    blocks = -(-len(settings) // columns)
    methods = ordered_methods(selected["method"])
    rows = len(strategies) * blocks
    figure, axes = new_figure(rows, columns, _HEIGHT * rows + 1.1, sharex=True, sharey=True)
    for j, strategy in enumerate(strategies):
        for k in range(blocks * columns):
            axis = axes[j * blocks + k // columns][k % columns]
            if k >= len(settings):
                axis.set_axis_off()
                continue
            own = data[data["setting"] == settings[k]]
            draw_references(axis, own[own["strategy"] == ""])
            draw_curves(axis, own[own["strategy"] == strategy], methods)
            if j == 0:
                axis.set_title(
                    "\n".join(textwrap.wrap(setting_label(settings[k]), _TITLE_WRAP // columns)), fontsize=7.5
                )
            if k % columns == 0:
                axis.set_ylabel(f"test accuracy\n{STRATEGY_LABELS[strategy]}")
            if (j * blocks + k // columns) == rows - 1:
                axis.set_xlabel("share of the pool kept")
    axes[0][0].set_ylim(*limits(data, "accuracy"))
    axes[0][0].yaxis.set_major_formatter(percent)
    share_axis(axes[0][0], sorted(set(selected["fraction"])))
    seeds = int(data["seeds"].max())
    counted = f"{seeds} seed{'s' if seeds > 1 else ''} ({'bars: 95 % t-interval' if seeds > 1 else 'no interval'})"
    foot = "\n".join(textwrap.wrap(f"{task}, {noted_model(model, note)}; {counted}", 120))
    legend_below(figure, [*map(method_handle, methods), *_reference_handles(data)], 4, foot)
    return figure


def _reference_handles(data: pd.DataFrame) -> list[Line2D]:
    known = set(data.loc[data["strategy"] == "", "method"])
    return [
        Line2D([], [], label=selection_label(name), **REFERENCE_LINES[name]) for name in REFERENCES if name in known
    ]
