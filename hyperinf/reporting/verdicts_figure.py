"""Draw the verdicts on the published claims: a forest of differences with intervals, one line a claim."""

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from hyperinf.reporting import style
from hyperinf.reporting.claims import OWN_QUESTION, PUBLISHED_CLAIM
from hyperinf.reporting.forest import SIGNS
from hyperinf.reporting.labels import counted
from hyperinf.reporting.rule import rule
from hyperinf.reporting.verdicts import (
    CONTRADICTED,
    DEGENERATE,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
)

COLOURS = {
    SUPPORTED: "#0072B2",
    CONTRADICTED: "#D55E00",
    NO_DIFFERENCE: "#6b6b6b",
    UNDECIDED: "#8a6d00",
    DEGENERATE: "#6b6b6b",
}
_PANELS = {
    "points": (("accuracy", "detected"), 100.0, "difference in points"),
    "area": (("roc_auc", "correlation"), 1.0, "difference in ROC-AUC, or in rank correlation"),
    "ratio": (("log_ratio",), 1.0, "ratio"),
    "": (("",), 1.0, ""),
}
_WRAP = 78
_LINE = 0.16
"""Inches of a line of text."""


def verdicts_figure(primary: pd.DataFrame) -> style.Drawing:
    """Draw the published claims that were tested; the questions asked here where there is none.

    Args:
        primary: of ``claims.primary_frame``.
    """
    known = primary[primary["verdict"] != NOT_TESTED]["origin"]
    origin = PUBLISHED_CLAIM if (known == PUBLISHED_CLAIM).any() else OWN_QUESTION
    told = (primary["origin"] == origin) & (primary["verdict"] != NOT_TESTED)
    data = primary[told].reset_index(drop=True)
    panels = [(name, data[data["metric"].isin(_PANELS[name][0])]) for name in _PANELS]
    panels = [(name, rows) for name, rows in panels if len(rows)] or [("", data)]
    heights = [sum(_lines(row) for _, row in rows.iterrows()) + 2.4 for _, rows in panels]
    figure, axes = style.new_figure(len(panels), 1, _LINE * sum(heights) + 0.4, height_ratios=heights)
    for (name, rows), (axis,) in zip(panels, axes, strict=True):
        _draw(axis, rows, *_PANELS[name][1:])
    known = [verdict for verdict in COLOURS if verdict in set(data["verdict"])]
    handles = [
        Line2D([], [], linestyle="", marker=f"${SIGNS[name]}$", color=COLOURS[name], label=name, markersize=6)
        for name in known
    ]
    if handles:
        style.legend_below(figure, handles, 3, "" if origin == PUBLISHED_CLAIM else "questions asked here")
    return style.Drawing(data, figure)


def _text(row: pd.Series) -> str:
    return "\n".join(textwrap.wrap(str(row["statement"]), _WRAP))


def _lines(row: pd.Series) -> float:
    return len(_text(row).split("\n")) + 0.6


def _draw(axis: Axes, rows: pd.DataFrame, scale: float, label: str) -> None:
    places = np.cumsum([_lines(row) for _, row in rows.iterrows()])
    ends = [float(value) for name in ("low", "high", "mean") for value in rows[name] if math.isfinite(value)]
    reach = max((abs(scale * value) for value in ends), default=1.0) * 1.05
    margin = scale * max((rule().margins[name] for name in rows["metric"] if name in rule().margins), default=0.0)
    if label:
        axis.axvspan(-margin, margin, color=style.GRID, zorder=0)
        axis.axvline(0, color=style.MUTED, linewidth=0.6)
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        sign, colour = SIGNS[row["verdict"]], COLOURS[row["verdict"]]
        if math.isfinite(row["corrected_low"]):
            corrected = [scale * row["corrected_low"], scale * row["corrected_high"]]
            axis.plot(corrected, [place] * 2, color=colour, linewidth=0.6, alpha=0.6)
        if math.isfinite(row["low"]):
            axis.plot([scale * row["low"], scale * row["high"]], [place] * 2, color=colour, linewidth=1.4)
        if math.isfinite(row["mean"]):
            axis.plot(scale * row["mean"], place, marker="o", color=colour, markersize=3.5)
        right = axis.get_yaxis_transform()
        axis.text(1.03, place, sign, transform=right, color=colour, va="center", fontsize=9, fontweight="bold")
        axis.text(1.10, place, _short(row), transform=right, color=style.INK, va="center", fontsize=5.5)
    axis.set_yticks(places, [_text(row) for _, row in rows.iterrows()], fontsize=6.5)
    axis.set_ylim(places[-1] + 1.2 if len(places) else 1, 0)
    axis.set_xlim(-reach, reach)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False)
    if label:
        axis.set_xlabel(label)
        if label == "ratio":
            _decades(axis, reach)
    else:
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)


def _decades(axis: Axes, reach: float) -> None:
    """Name powers of ten on an axis of natural logarithms, at most three on a side."""
    most = int(reach / math.log(10))
    step = max(-(-most // 3), 1)
    places = [side * power for power in range(0, most + 1, step) for side in (-1, 1)]
    axis.xaxis.set_major_locator(FixedLocator([power * math.log(10) for power in places]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(math.exp(value), 9):g}"))


def _short(row: pd.Series) -> str:
    """The verdict, and how much it stands on."""
    known = [counted(int(row["settings"]), "setting")] if row["settings"] else []
    needed = [f"needs {counted(int(row['needed']), str(row['unit']))}"] if str(row["needed"]) else []
    return "\n".join([str(row["verdict"]), ", ".join(known + needed)])
