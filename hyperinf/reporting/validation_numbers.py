"""How well scores predict retraining, over seeds and over subsets, beside what they cost."""

import pandas as pd

from hyperinf.reporting.frames import Cell, Place, Row
from hyperinf.reporting.labels import ordered_methods
from hyperinf.reporting.study_inputs import StudyResults

RETRAINING = "retraining"
TARGETS = {"query": "each target sample", "mean": "mean of the target samples"}
REMOVALS = {"loss_without": "trained afresh without them", "loss_patched": "trained on them alone, a little further"}
REMOVED = ("helpful", "harmful", "random")
LDS = {"query": "lds", "mean": "lds_mean_target"}


def lds_data(read: StudyResults, task: str, model: str) -> pd.DataFrame:
    """Gather the score of every method and the seconds that it takes alone.

    Returns:
        Columns setting, target, method, mean, half_width, n (over seeds), low, high (over subsets, mean over seeds),
        seconds (median).
    """
    rows = []
    for cell in read.frame.of(task, model):
        for target in TARGETS:
            own = read.lds[(read.lds[list(Cell._fields)] == list(cell)).all(axis=1) & (read.lds["target"] == target)]
            for method in ordered_methods(own["method"]):
                part = own[own["method"] == method]
                value = lds_row(read, cell, target, method).value
                spans = part[["low", "high"]].mean()
                rows.append(
                    (
                        cell.setting,
                        target,
                        method,
                        value.mean,
                        value.half_width,
                        value.n,
                        *spans,
                        part["seconds"].median(),
                    )
                )
    columns = ["setting", "target", "method", "mean", "half_width", "n", "low", "high", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def lds_row(read: StudyResults, cell: Cell, target: str, method: str) -> Row:
    """Give a method's score, or that of retraining in another order."""
    metric = f"{LDS[target]}_ceiling" if method == RETRAINING else LDS[target]
    places = read.frame.places(cell, metric) or [Place(cell, metric)]
    return read.frame.row(places[0], method)
