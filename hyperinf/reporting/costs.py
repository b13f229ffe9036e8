"""What scoring cost: seconds and peak memory of every stage, for all studies that score."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from hyperinf.reporting.labels import method_label, ordered_methods, stage_label
from hyperinf.reporting.table_writers import Table

MEMORY_NOTE = (
    "Peak memory: the most above what was in use when the stage began, so the model is not in it (of the process, or "
    "of the GPU where there is one)."
)
_STAGE_ORDER = ("gradients", "target gradient", "statistics", "of which GFIM", "scores")


def cost_frame(cost: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Seconds and peak memory over all that ``keys`` do not tell apart (seeds, epochs).

    Args:
        cost: method, stage, seconds, peak_memory_mib and the columns ``keys``.
        keys: what a run is named by.

    Returns:
        One row per key, method and stage: these columns, runs, seconds (median), seconds_low, seconds_high,
        peak_memory_mib (largest). Method ``shared`` is what one pass does for all methods.
    """
    known = cost.assign(method=cost["method"].replace("", "shared"))
    grouped = known.groupby([*keys, "method", "stage"], sort=False)
    frame = grouped.agg(
        runs=("seconds", "count"),
        seconds=("seconds", "median"),
        seconds_low=("seconds", "min"),
        seconds_high=("seconds", "max"),
        peak_memory_mib=("peak_memory_mib", "max"),
    ).reset_index()
    place = {method: k for k, method in enumerate(ordered_methods(frame["method"]))}
    order = frame["method"].map(lambda method: -1 if method == "shared" else place[method])
    stages = {stage: k for k, stage in enumerate(_STAGE_ORDER)}
    frame = frame.assign(_method=order, _stage=frame["stage"].map(lambda stage: stages.get(stage, len(stages))))
    by = [*keys, "_method", "_stage", "stage"]
    return frame.sort_values(by, kind="stable", ignore_index=True).drop(columns=["_method", "_stage"])


def cost_tables(
    frame: pd.DataFrame, keys: Sequence[str], where: Callable[..., str], unit: str, note: str = ""
) -> Iterator[Table]:
    """One table per key.

    Args:
        frame: of :func:`cost_frame`.
        keys: the same as there.
        where: says in words which run a key is, given its values.
        unit: what the seconds were spent on, as in "per checkpoint".
        note: what else a reader must know.
    """
    headers = ("stage", "seconds, median", "smallest – largest", "peak memory, MiB", "runs")
    for key, rows in frame.groupby(list(keys), sort=True):
        body = tuple(
            (
                stage_label(row["stage"])
                if row["method"] == "shared"
                else f"{method_label(row['method'])}: {row['stage']}",
                seconds_text(row["seconds"]),
                _span(seconds_text(row["seconds_low"]), seconds_text(row["seconds_high"])),
                memory_text(row["peak_memory_mib"]),
                str(row["runs"]),
            )
            for _, row in rows.iterrows()
        )
        shared = f"Seconds {unit}. Shared stages are paid once for all methods together. {MEMORY_NOTE} {note}".strip()
        yield Table(f"Cost of scoring: {where(*key)}", headers, body, shared)


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"


def seconds_text(seconds: float) -> str:
    """Seconds with three significant digits; below a millisecond, where timers tell little, only that."""
    if seconds < 0.001:
        return "< 0.001"
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:,.0f}"


def memory_text(mib: float) -> str:
    """MiB without digits that mean nothing; an unknown one is a dash."""
    if pd.isna(mib):
        return "–"
    return "< 1" if 0 < mib < 1 else f"{mib:,.0f}"
