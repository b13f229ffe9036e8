"""Numbers over seeds: each method's mean and interval, and HyperINF's paired difference to it."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.reporting.labels import METRIC_LABELS, ordered_methods
from hyperinf.reporting.ranking import leader

SUBJECT = "hyperinf"
METRICS = tuple(METRIC_LABELS)
GROUP = ("task", "model", "rank", "epoch")
COST_GROUP = ("task", "model", "rank")
FIRST_FRACTION, SECOND_FRACTION = 0.2, 0.4
Cell = tuple[str, str, int, int]


def named_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """``metrics`` with ``detected`` named ``detected_20`` and ``detected_40``; the report uses no others."""
    fraction = metrics["fraction"].map(lambda value: "" if math.isnan(value) else f"_{100 * value:.0f}")
    named = metrics.assign(metric=metrics["metric"] + fraction)
    return named[named["metric"].isin((*METRICS, "accuracy"))]


def by_seed(named: pd.DataFrame, cell: Cell, method: str, metric: str) -> dict[int, float]:
    """One method's value per seed in one (task, model, rank, epoch)."""
    task, model, rank, epoch = cell
    rows = named[
        (named["task"] == task)
        & (named["model"] == model)
        & (named["rank"] == rank)
        & (named["epoch"] == epoch)
        & (named["method"] == method)
        & (named["metric"] == metric)
    ]
    return dict(zip(rows["seed"].astype(int), rows["value"].astype(float), strict=True))


def cells(named: pd.DataFrame) -> list[Cell]:
    """All (task, model, rank, epoch), sorted."""
    return sorted({(str(t), str(m), int(r), int(e)) for t, m, r, e in named[list(GROUP)].itertuples(index=False)})


def detection_frame(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per task, model, rank, epoch and method.

    Args:
        metrics: ``inputs.read_mislabel(...).metrics``.

    Returns:
        Columns task, model, rank, epoch, method, seeds; for each of ``METRICS`` its mean ``<metric>`` over seeds,
        the 95 % half-width ``<metric>_half_width``, HyperINF minus the method, paired over seeds, as
        ``<metric>_difference`` and ``<metric>_difference_half_width``, and ``<metric>_best``: whether the method is
        best and its paired interval against the second best excludes 0. Empty where there is no such number. Rows of
        the model's test accuracy (method ``model``) hold ``accuracy`` and ``accuracy_half_width``.
    """
    named = named_metrics(metrics)
    rows = [row for cell in cells(named) for row in _cell_rows(named, cell)]
    spread = [
        f"{metric}{part}"
        for metric in METRICS
        for part in ("", "_half_width", "_difference", "_difference_half_width", "_best")
    ]
    columns = [*GROUP, "method", "seeds", *spread, "accuracy", "accuracy_half_width"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _cell_rows(named: pd.DataFrame, cell: Cell) -> Iterator[dict[str, object]]:
    inside = named[(named[list(GROUP)] == list(cell)).all(axis=1)]
    methods = [method for method in ordered_methods(inside["method"]) if method != "model"]
    best = {metric: clear_best(named, cell, methods, metric) for metric in METRICS}
    for method in methods:
        row: dict[str, object] = dict(zip((*GROUP, "method"), (*cell, method), strict=True))
        row["seeds"] = len(by_seed(named, cell, method, "roc_auc"))
        for metric in METRICS:
            values = by_seed(named, cell, method, metric)
            row |= _flat(metric, t_interval(list(values.values())))
            if method != SUBJECT:
                row |= _flat(f"{metric}_difference", paired_interval(by_seed(named, cell, SUBJECT, metric), values))
            row[f"{metric}_best"] = method == best[metric]
        yield row
    accuracy = by_seed(named, cell, "model", "accuracy")
    if accuracy:
        row = dict(zip((*GROUP, "method"), (*cell, "model"), strict=True))
        yield row | {"seeds": len(accuracy)} | _flat("accuracy", t_interval(list(accuracy.values())))


def _flat(name: str, interval: Interval) -> dict[str, object]:
    return {name: interval.mean, f"{name}_half_width": interval.half_width}


def clear_best(named: pd.DataFrame, cell: Cell, methods: list[str], metric: str) -> str | None:
    """The method with the highest mean, if its paired 95 % interval against the second best excludes 0."""
    best = leader({method: by_seed(named, cell, method, metric) for method in methods})
    return best.method if best is not None and best.sign == 1 else None
