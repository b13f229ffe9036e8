"""Print how well the scores find the samples that were harmed."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import BOLD, INTERVALS, PAIRED, Table, sentences, shown

_LARGER = "Larger is better, 0.5 is random for ROC-AUC and area."


def detection_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print every method's metrics at the checkpoint shown, and HyperINF's paired difference to it, for each setting."""
    places = {cell: _places(read, cell) for cell in read.frame.cells}
    rows = [row.flat for of_cell in places.values() for place in of_cell for row in read.frame.at(place).values()]
    return pd.DataFrame(rows), [table for cell, known in places.items() for table in _detection(read, cell, known)]


def _places(read: StudyResults, cell: Cell) -> list[Place]:
    metrics = ("roc_auc", "detected", "curve_auc")
    found = [place for metric in metrics for place in read.frame.places(cell, metric)]
    return [place for place in found if place.checkpoint == read.shape.shown]


def _detection(read: StudyResults, cell: Cell, places: list[Place]) -> Iterator[Table]:
    if not places:
        return
    found = [read.frame.at(place) for place in places]
    headers = tuple(_label(place) for place in places)
    seeds = [row.value.n for row in found[0].values()]
    where = ", ".join([read.where(cell, read.shape.shown, noted=False), labels.seeds_label(seeds)])
    body = [(labels.method_label(method), *(shown(rows.get(method)) for rows in found)) for method in found[0]]
    title = f"Finding {labels.harmed_label(read.shape.family)}: {where}"
    yield Table(title, ("method", *headers), tuple(body), sentences(read.about(cell), INTERVALS, _LARGER, BOLD))
    if labels.SUBJECT in found[0]:
        body = [
            (f"HyperINF − {labels.method_label(method)}", *(shown(rows.get(method), "difference") for rows in found))
            for method in found[0]
            if method != labels.SUBJECT
        ]
        yield Table(
            f"HyperINF minus the method: {where}",
            ("difference", *headers),
            tuple(body),
            sentences(read.about(cell), PAIRED),
        )


def _label(place: Place) -> str:
    label = labels.METRIC_LABELS[place.metric]
    return label if place.fraction is None else f"{label} at {labels.percent(place.fraction)} inspected"


def epochs_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print ROC-AUC against epochs, and HyperINF's paired difference: two tables for each task, model and setting."""
    frame, rows, tables = read.frame, [], []
    for cell in frame.cells:
        places = frame.places(cell, "roc_auc")
        if not places:
            continue
        tested = [place._replace(metric="accuracy") for place in places]
        found, accuracy = [frame.at(place) for place in places], [frame.at(place) for place in tested]
        headers = tuple(_epochs(place.checkpoint) for place in places)
        where, methods = read.where(cell, noted=False), list(dict.fromkeys(method for each in found for method in each))
        body = [(labels.method_label(method), *(shown(each.get(method)) for each in found)) for method in methods]
        if any(accuracy):
            body.append(("test accuracy of the model", *(shown(each.get("model")) for each in accuracy)))
        title = f"ROC-AUC against epochs of fine-tuning: {where}"
        tables.append(
            Table(title, ("method", *headers), tuple(body), sentences(read.about(cell), INTERVALS, _LARGER, BOLD))
        )
        if labels.SUBJECT in methods:
            body = [
                (
                    f"HyperINF − {labels.method_label(method)}",
                    *(shown(each.get(method), "difference") for each in found),
                )
                for method in methods
                if method != labels.SUBJECT
            ]
            tables.append(
                Table(
                    f"Difference in ROC-AUC: {where}",
                    ("difference", *headers),
                    tuple(body),
                    sentences(read.about(cell), PAIRED),
                )
            )
        rows += [row.flat for each in (*found, *accuracy) for row in each.values()]
    return pd.DataFrame(rows), tables


def _epochs(checkpoint: str) -> str:
    epoch = checkpoint.removeprefix("epoch-")
    return labels.counted(int(epoch), "epoch") if epoch.isdigit() else checkpoint
