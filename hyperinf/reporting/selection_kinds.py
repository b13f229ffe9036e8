"""Accuracy by kind of question."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.intervals import t_interval
from hyperinf.reporting.labels import ALL_KINDS, REFERENCES, kind_label, selection_label
from hyperinf.reporting.ranking import leader
from hyperinf.reporting.selection_frames import (
    KEYS,
    Cell,
    Place,
    at_place,
    flat,
    leading,
    place_row,
    reference,
    reference_place,
    selections,
    values_by_seed,
)
from hyperinf.reporting.selection_inputs import KIND_PREFIX, SelectionRuns
from hyperinf.reporting.selection_tables import INTERVALS, SelectionRows, accuracy_estimate, percent, sentences
from hyperinf.reporting.table_writers import Table, Value

_BOLD = (
    "Bold: the highest mean of its column and strategy, and its paired difference to the second excludes 0. Intervals "
    "are not corrected for the number of comparisons."
)
_NO_KINDS = "The questions of these tasks are not told apart by kind."


def kinds_frame(read: SelectionRuns) -> pd.DataFrame:
    """Accuracy of every selection and reference on each kind of question.

    Returns:
        One row per task, model, setting, strategy, method, fraction and kind (``all`` for all questions): these
        columns, model_note, seeds, accuracy with accuracy_half_width (95 %), accuracy_best and accuracy_clear as in
        ``selection_frames.accuracy_frame``. No row of a task whose questions have no kinds.
    """
    columns = [*KEYS, "kind", "accuracy", "accuracy_half_width", "accuracy_best", "accuracy_clear"]
    return pd.DataFrame(list(_rows(read)), columns=columns)


def _rows(read: SelectionRuns) -> Iterator[dict[str, object]]:
    values = values_by_seed(read.metrics)
    for cell in map(Cell._make, read.cells):
        kinds = [kind for kind in read.kinds if any(p.cell == cell and m == KIND_PREFIX + kind for p, m in values)]
        for kind in [ALL_KINDS, *kinds] if kinds else []:
            metric = "accuracy" if kind == ALL_KINDS else KIND_PREFIX + kind
            for strategy, fraction in selections(values, cell):
                methods = at_place(values, cell, strategy, fraction, metric)
                best = leader(methods)
                for method, seeds in methods.items():
                    row = place_row(Place(cell, strategy, fraction, method), read.note(*cell), seeds)
                    row |= flat("accuracy", t_interval(list(seeds.values())))
                    yield row | {"kind": kind} | leading(best, method)
            for method in REFERENCES:
                seeds = reference(values, cell, method, metric)
                if seeds:
                    row = place_row(reference_place(cell, method), read.note(*cell), seeds) | {"kind": kind}
                    yield row | flat("accuracy", t_interval(list(seeds.values())))


def kind_tables(frame: pd.DataFrame) -> list[Table]:
    """Accuracy by kind at every share kept, for every model, setting and task; an empty table where there are no kinds.

    Args:
        frame: of :func:`kinds_frame`, or its CSV.
    """
    if frame.empty:
        return [Table("Accuracy by kind of question", ("method", "selection"), (), _NO_KINDS)]
    return [
        _table(rows, fraction)
        for _, rows in frame.groupby(["setting", "model", "task"], sort=True)
        for fraction in sorted(set(rows["fraction"]) - {0.0, 1.0})
    ]


def _table(frame: pd.DataFrame, fraction: float) -> Table:
    kinds = list(dict.fromkeys(frame["kind"]))
    of_kind = {kind: SelectionRows(frame[frame["kind"] == kind]) for kind in kinds}
    rows = of_kind[ALL_KINDS]
    task = rows.tasks[0]
    body: list[tuple[Value, ...]] = []
    for strategy in rows.strategies:
        for method in rows.methods(strategy):
            found = [of_kind[kind].row(task, strategy, method, fraction) for kind in kinds]
            body.append((selection_label(method), strategy, *map(accuracy_estimate, found)))
    for method in REFERENCES:
        if rows.reference(task, method) is not None:
            found = [of_kind[kind].reference(task, method) for kind in kinds]
            body.append((selection_label(method), "–", *map(accuracy_estimate, found)))
    headers = ("method", "selection", *map(kind_label, kinds))
    title = f"Accuracy by kind of question at {percent(fraction)} kept: {rows.where}"
    return Table(title, headers, tuple(body), sentences((rows.note, INTERVALS, _BOLD)))
