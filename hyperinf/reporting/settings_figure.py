"""Draw accuracy against the fraction kept, a panel for every setting of one task and model."""

import textwrap

import pandas as pd
from matplotlib.lines import Line2D

from hyperinf.reporting import labels, selection_panels, style
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults

_COLUMNS = 4
_HEIGHT = 1.7
"""Characters of titles beside each other."""


def settings_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw a panel a setting, at most four in a row; a strategy begins a row of its own."""
    cells = read.frame.of(entry.task, entry.model)
    data = pd.concat([selection_panels.selection_data(read, cell, "accuracy") for cell in cells], ignore_index=True)
    notes = " | ".join(dict.fromkeys(note for cell in cells if (note := read.note(cell))))
    settings = labels.ordered_settings(data["setting"])
    selected = data[data["strategy"] != ""]
    strategies = [name for name in labels.STRATEGY_LABELS if name in set(selected["strategy"])]
    columns = min(_COLUMNS, len(settings))
    blocks = -(-len(settings) // columns)
    methods = labels.ordered_methods(selected["method"])
    rows = len(strategies) * blocks
    figure, axes = style.new_figure(rows, columns, _HEIGHT * rows + 1.1, sharex=True, sharey=True)
    for j, strategy in enumerate(strategies):
        for k in range(blocks * columns):
            axis = axes[j * blocks + k // columns][k % columns]
            if k >= len(settings):
                axis.set_axis_off()
                continue
            own = data[data["setting"] == settings[k]]
            selection_panels.draw_references(axis, own[own["strategy"] == ""])
            selection_panels.draw_curves(axis, own[own["strategy"] == strategy], methods)
            if j == 0:
                style.panel_title(axis, labels.setting_label(settings[k]), columns)
            if k % columns == 0:
                axis.set_ylabel(f"test accuracy\n{labels.STRATEGY_LABELS[strategy]}")
            if (j * blocks + k // columns) == rows - 1:
                axis.set_xlabel("fraction of the training set kept")
    axes[0][0].set_ylim(*selection_panels.limits(data, "accuracy"))
    axes[0][0].yaxis.set_major_formatter(selection_panels.tick_label)
    selection_panels.fraction_axis(axes[0][0], sorted(set(selected["fraction"])))
    where = f"{entry.task}, {labels.noted_model(entry.model, notes)}; {selection_panels.seed_text(data)}"
    foot = "\n".join(textwrap.wrap(where, 120))
    style.legend_below(figure, [*map(selection_panels.method_handle, methods), *_reference_handles(data)], 4, foot)
    return style.Drawing(data, figure)


def _reference_handles(data: pd.DataFrame) -> list[Line2D]:
    known = set(data.loc[data["strategy"] == "", "method"])
    return [
        style.handle(labels.selection_label(name), **selection_panels.REFERENCE_LINES[name])
        for name in labels.REFERENCES
        if name in known
    ]
