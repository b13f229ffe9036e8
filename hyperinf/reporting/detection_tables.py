"""Print how well the scores find the samples that were harmed."""

from collections.abc import Iterator, Sequence

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import BOLD, INTERVALS, PAIRED, Table, Value, sentences, shown

_METRICS = ("roc_auc", "roc_auc_within", "fim_correlation", "detected", "curve_auc")
_LARGER = "Larger is better, 0.5 is random for ROC-AUC and area."


def detection_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print every method's metrics at the checkpoint shown, and HyperINF's paired difference to it, by setting."""
    frame = read.frame
    tables: list[Table] = []
    for cell in frame.cells:
        found = [place for metric in _METRICS for place in frame.places(cell, metric)]
        places = [place for place in found if place.checkpoint == read.shape.shown]
        if places:
            seeds = labels.seeds_label(row.value.n for row in frame.at(places[0]).values())
            where = f"{read.where(cell, read.shape.shown, noted=False)}, {seeds}"
            titles = (
                f"Finding {labels.harmed_label(read.shape.family)}: {where}",
                f"HyperINF minus the method: {where}",
            )
            tables += _two(read, cell, places, [_label(place) for place in places], titles)
    rows = frame.only(*_METRICS)
    return rows[rows["checkpoint"] == read.shape.shown], tables


def _label(place: Place) -> str:
    label = labels.METRIC_LABELS[place.metric]
    return label if place.fraction is None else f"{label} at {labels.percent(place.fraction)} inspected"


def epochs_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print ROC-AUC against epochs, and HyperINF's paired difference: two tables for each task, model and setting."""
    frame = read.frame
    tables: list[Table] = []
    for cell in frame.cells:
        places = frame.places(cell, "roc_auc")
        if places:
            where, epochs = read.where(cell, noted=False), [_epochs(place.checkpoint) for place in places]
            titles = (f"ROC-AUC against epochs of fine-tuning: {where}", f"Difference in ROC-AUC: {where}")
            tested = [frame.at(place._replace(metric="accuracy")).get("model") for place in places]
            row = ("test accuracy of the model", *map(shown, tested))
            tables += _two(read, cell, places, epochs, titles, [row] if any(tested) else [])
    rows = frame.only("roc_auc", "accuracy")
    return rows[rows["checkpoint"] != ""], tables


def _epochs(checkpoint: str) -> str:
    epoch = checkpoint.removeprefix("epoch-")
    return labels.counted(int(epoch), "epoch") if epoch.isdigit() else checkpoint


def _two(
    read: StudyResults,
    cell: Cell,
    places: Sequence[Place],
    headers: Sequence[str],
    titles: tuple[str, str],
    more: Sequence[tuple[Value, ...]] = (),
) -> Iterator[Table]:
    """A table of every method in some places, with rows more, and one of HyperINF's paired differences to it."""
    found = [read.frame.at(place) for place in places]
    methods = list(dict.fromkeys(method for rows in found for method in rows))
    body = [(labels.method_label(name), *(shown(rows.get(name)) for rows in found)) for name in methods]
    note = sentences(read.about(cell), INTERVALS, _LARGER, BOLD)
    yield Table(titles[0], ("method", *headers), (*body, *more), note)
    if labels.SUBJECT in methods:
        others = [name for name in methods if name != labels.SUBJECT]
        body = [
            (f"HyperINF − {labels.method_label(name)}", *(shown(rows.get(name), "difference") for rows in found))
            for name in others
        ]
        yield Table(titles[1], ("difference", *headers), tuple(body), sentences(read.about(cell), PAIRED))
