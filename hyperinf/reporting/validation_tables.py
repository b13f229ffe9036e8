"""Print how well scores predict what retraining comes to."""

import math

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.costs import seconds_text
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import BOLD, INTERVALS, PAIRED, Estimate, Table, Value, sentences, shown
from hyperinf.reporting.validation_numbers import REMOVALS, REMOVED, RETRAINING, TARGETS, lds_data, lds_row

_CHECKS = ("top_overlap", "randomised_agreement", "lds_randomised")
_SUBSETS = (
    "In brackets: 95 % of draws of the subsets with replacement, mean over seeds. Seconds: of scoring on every target "
    "sample by that method alone, gradients included, median over seeds."
)


def lds_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print the score of every method and the checks beside it; the numbers are those of each seed."""
    tables: list[Table] = []
    for cell in read.frame.cells:
        data = lds_data(read, cell.task, cell.model)
        data = data[data["setting"] == cell.setting]
        methods = list(dict.fromkeys(data["method"]))
        if not methods:
            continue
        where = read.where(cell, noted=False)
        found = data.set_index(["target", "method"])
        body = [
            (_label(name), *(_with_span(read, cell, found, target, name) for target in TARGETS), _seconds(found, name))
            for name in methods
        ]
        headers = ("method", *(f"LDS, {label}" for label in TARGETS.values()), "seconds")
        note = sentences(read.about(cell), INTERVALS, BOLD, _SUBSETS)
        tables.append(Table(f"Predicting retraining: {where}", headers, tuple(body), note))
        others = [name for name in methods if name not in (labels.SUBJECT, RETRAINING)]
        body = [
            (
                f"HyperINF − {_label(name)}",
                *(shown(lds_row(read, cell, target, name), "difference") for target in TARGETS),
            )
            for name in others
        ]
        tables.append(Table(f"HyperINF minus the method: {where}", ("difference", *headers[1:3]), tuple(body), PAIRED))
        tables += _checks(read, cell, where)
    columns = ["task", "model", "setting", "method", "seed", "target"]
    numbers = ["lds", "low", "high", "subsets", "ceiling", "seconds"]
    return read.lds[[*columns, *numbers]], tables


def _label(method: str) -> str:
    return "retraining in another order" if method == RETRAINING else labels.method_label(method)


def _with_span(read: StudyResults, cell: Cell, found: pd.DataFrame, target: str, method: str) -> Value:
    row = shown(lds_row(read, cell, target, method))
    if not isinstance(row, Estimate) or not math.isnan(row.half_width):
        return row
    # One seed has no interval over seeds; that over subsets stands in its place.
    low, high = found.loc[(target, method), ["low", "high"]]
    return f"{row.parts()[0]} [{low:.3f}, {high:.3f}]".replace("-", "−")


def _seconds(found: pd.DataFrame, method: str) -> str:
    seconds = found.loc[("query", method), "seconds"]
    return "–" if pd.isna(seconds) else seconds_text(seconds)


def _checks(read: StudyResults, cell: Cell, where: str) -> list[Table]:
    rows = [read.frame.at(place) for name in _CHECKS for place in read.frame.places(cell, name)]
    methods = list(dict.fromkeys(method for found in rows for method in found))
    if not methods:
        return []
    body = [(labels.method_label(name), *(shown(found.get(name), bold=False) for found in rows)) for name in methods]
    known = [name for name in _CHECKS if read.frame.places(cell, name)]
    note = sentences(
        INTERVALS,
        "Overlap: share of the most helpful samples that two target samples have in common; near 1 the scores do not "
        "depend on the target. Randomised: with every weight of the model shuffled; scores that tell of the model "
        "agree with those at about 0 and then predict nothing.",
    )
    return [Table(f"Checks: {where}", ("method", *(labels.METRIC_LABELS[name] for name in known)), tuple(body), note)]


def removal_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print the change of the mean target loss by the samples left out, or trained on further."""
    tables = []
    for cell in read.frame.cells:
        for metric, label in REMOVALS.items():
            places = read.frame.places(cell, metric)
            fractions = sorted({place.fraction for place in places if place.fraction is not None})
            found = {(place.strategy, place.fraction): read.frame.at(place) for place in places}
            known = {(method, place.strategy) for place in places for method in read.frame.at(place)}
            names = labels.ordered_methods(method for method, _ in known)
            rows = [(name, strategy) for name in names for strategy in REMOVED if (name, strategy) in known]
            body = tuple(
                (
                    labels.method_label(method) if strategy == method else f"{labels.method_label(method)}: {strategy}",
                    *(shown(found.get((strategy, at), {}).get(method), bold=False) for at in fractions),
                )
                for method, strategy in rows
            )
            if body:
                title = f"Change of the mean target loss, {label}: {read.where(cell, noted=False)}"
                tables.append(Table(title, ("samples", *map(labels.percent, fractions)), body, INTERVALS))
    return read.frame.only(*REMOVALS), tables
