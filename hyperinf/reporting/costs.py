"""Sum up what scoring cost: seconds and peak memory of every stage."""

from typing import TYPE_CHECKING

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.register import MEMORY_NOTE
from hyperinf.reporting.table_writers import Table

if TYPE_CHECKING:
    from hyperinf.reporting.study_inputs import StudyResults

SHARED = "shared"
"""Stands for a method where one pass serves all of them."""
_KEYS = ["task", "model", "setting"]
_STAGE_ORDER = ("gradients", "target gradient", "statistics", "of which GFIM", "scores")
_HEADERS = ("stage", "seconds, median", "smallest – largest", "peak memory, MiB", "runs")
_NOTE = f"Seconds of one checkpoint. Shared stages are paid once for all methods together. {MEMORY_NOTE}"


def cost_frame(cost: pd.DataFrame) -> pd.DataFrame:
    """Sum up seconds and peak memory over seeds and checkpoints.

    Args:
        cost: in the form of ``study_inputs.COST``.

    Returns:
        One row per task, model, setting, method and stage: these columns, runs, seconds (median), seconds_low,
        seconds_high, peak_memory_mib (largest). Method ``shared`` is what one pass does for all methods.
    """
    grouped = cost.groupby([*_KEYS, "method", "stage"], sort=False)
    frame = grouped.agg(
        runs=("seconds", "count"),
        seconds=("seconds", "median"),
        seconds_low=("seconds", "min"),
        seconds_high=("seconds", "max"),
        peak_memory_mib=("peak_memory_mib", "max"),
    ).reset_index()
    places = {method: k for k, method in enumerate([SHARED, *labels.ordered_methods(set(frame["method"]) - {SHARED})])}
    stages = {stage: k for k, stage in enumerate(_STAGE_ORDER)}
    keyed = frame.assign(
        _setting=frame["setting"].map(labels.setting_order),
        _method=frame["method"].map(places),
        _stage=frame["stage"].map(lambda stage: (stages.get(stage, len(stages)), stage)),
    )
    by = ["task", "model", "_setting", "_method", "_stage"]
    return keyed.sort_values(by, kind="stable", ignore_index=True).drop(columns=by[2:])


def cost_tables(read: "StudyResults") -> tuple[pd.DataFrame, list[Table]]:
    """Print the cost of scoring: one table for each task, model and setting."""
    tables = []
    for key, rows in read.costs.groupby(_KEYS, sort=False):
        body = tuple(
            (
                _stage(row["method"], row["stage"]),
                seconds_text(row["seconds"]),
                _span(seconds_text(row["seconds_low"]), seconds_text(row["seconds_high"])),
                memory_text(row["peak_memory_mib"]),
                str(row["runs"]),
            )
            for _, row in rows.iterrows()
        )
        tables.append(Table(f"Cost of scoring: {read.where(Cell(*key))}", _HEADERS, body, _NOTE))
    return read.costs, tables


def _stage(method: str, stage: str) -> str:
    return labels.stage_label(stage) if method == SHARED else f"{labels.method_label(method)}: {stage}"


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"


def seconds_text(seconds: float) -> str:
    """Print seconds with three significant digits; below a millisecond, where timers tell little, only that."""
    if seconds < 0.001:
        return "< 0.001"
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:,.0f}"


def memory_text(mib: float) -> str:
    """Print MiB without digits that mean nothing; an unknown one is a dash."""
    if pd.isna(mib):
        return "–"
    return "< 1" if 0 < mib < 1 else f"{mib:,.0f}"
