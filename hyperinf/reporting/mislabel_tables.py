"""The printed tables of mislabel detection, made from the frames that the CSV files hold."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.costs import cost_tables
from hyperinf.reporting.labels import METRIC_LABELS, method_label
from hyperinf.reporting.mislabel_frames import COST_GROUP, METRICS, SUBJECT
from hyperinf.reporting.table_writers import Estimate, Table, Value

_INTERVALS = (
    "Mean over seeds ± half-width of the 95 % t-interval; (n/a) where one seed allows none. Larger is better, 0.5 is "
    "random for ROC-AUC and area. "
)
_PAIRED = (
    "Paired over seeds, ± half-width of the 95 % t-interval: an interval that holds 0 is within noise. Positive "
    "favours HyperINF."
)
_BOLD = (
    "Bold: best, and its paired difference to the second best excludes 0 (GFIM by Cholesky is HyperINF's own "
    "equation solved exactly, "
    "so it is left out of that comparison). Intervals are not corrected for the number of comparisons."
)


def _estimate(row: pd.Series, name: str, signed: bool = False, best: str = "") -> Estimate:
    bold = bool(best) and str(row[best]) == "True"
    return Estimate(float(row[name]), float(row[f"{name}_half_width"]), signed=signed, bold=bold)


def detection_tables(frame: pd.DataFrame) -> list[Table]:
    """One table per task, model, rank and epoch: every method's four metrics and HyperINF's paired difference to it."""
    return [
        table
        for (task, model, rank, epoch), rows in frame.groupby(["task", "model", "rank", "epoch"], sort=True)
        for table in _detection(f"{task}, {model}, rank {rank}, epoch {epoch}", rows[rows["method"] != "model"])
    ]


def _detection(where: str, rows: pd.DataFrame) -> Iterator[Table]:
    if rows.empty:
        return
    labels = tuple(METRIC_LABELS[metric] for metric in METRICS)
    seeds = sorted(set(rows["seeds"].astype(int)))
    counts = " to ".join(map(str, sorted({seeds[0], seeds[-1]}))) + (" seed" if seeds[-1] == 1 else " seeds")
    body: tuple[tuple[Value, ...], ...] = tuple(
        (method_label(row["method"]), *(_estimate(row, metric, best=f"{metric}_best") for metric in METRICS))
        for _, row in rows.iterrows()
    )
    yield Table(f"Finding flipped labels: {where}, {counts}", ("method", *labels), body, _INTERVALS + _BOLD)
    others = rows[rows["method"] != SUBJECT]
    if len(others) == len(rows):
        return
    differences: tuple[tuple[Value, ...], ...] = tuple(
        (
            f"HyperINF − {method_label(row['method'])}",
            *(_estimate(row, f"{metric}_difference", signed=True) for metric in METRICS),
        )
        for _, row in others.iterrows()
    )
    yield Table(f"HyperINF minus the method: {where}, {counts}", ("difference", *labels), differences, _PAIRED)


def epoch_tables(frame: pd.DataFrame) -> list[Table]:
    """ROC-AUC against epochs, and HyperINF's paired difference: two tables per task, model and rank."""
    tables = []
    for (task, model, rank), rows in frame.groupby(["task", "model", "rank"], sort=True):
        epochs = sorted(set(rows["epoch"].astype(int)))
        headers = tuple(f"{epoch} epoch{'s' if epoch > 1 else ''}" for epoch in epochs)
        methods = list(dict.fromkeys(rows.loc[rows["method"] != "model", "method"]))
        where = f"{task}, {model}, rank {rank}"
        body: list[tuple[Value, ...]] = [
            (method_label(method), *_along(rows, method, epochs, "roc_auc", best="roc_auc_best")) for method in methods
        ]
        if (rows["method"] == "model").any():
            body.append(("test accuracy of the model", *_along(rows, "model", epochs, "accuracy")))
        tables.append(
            Table(
                f"ROC-AUC against epochs of fine-tuning: {where}", ("method", *headers), tuple(body), _INTERVALS + _BOLD
            )
        )
        if SUBJECT in methods:
            differences = tuple(
                (f"HyperINF − {method_label(method)}", *_along(rows, method, epochs, "roc_auc_difference", signed=True))
                for method in methods
                if method != SUBJECT
            )
            tables.append(Table(f"Difference in ROC-AUC: {where}", ("difference", *headers), differences, _PAIRED))
    return tables


def _along(
    rows: pd.DataFrame, method: str, epochs: list[int], name: str, signed: bool = False, best: str = ""
) -> Iterator[Value]:
    own = rows[rows["method"] == method].set_index("epoch")
    for epoch in epochs:
        yield _estimate(own.loc[epoch], name, signed, best) if epoch in own.index else "–"


def detection_cost_tables(frame: pd.DataFrame) -> list[Table]:
    """Seconds and peak memory of every stage: one table per task, model and rank."""
    return list(cost_tables(frame, COST_GROUP, "{}, {}, rank {}".format, "per checkpoint"))
