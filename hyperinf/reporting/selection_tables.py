"""Print what selections lead to, and what was kept."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.frames import Place, Row
from hyperinf.reporting.labels import METRIC_LABELS, REFERENCES, SUBJECT, percent, selection_label
from hyperinf.reporting.selection_blocks import Block, blocks
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import BOLD, INTERVALS, PAIRED, Table, Value, sentences, shown

_REFERENCES = (
    "Whole training set: a fresh adapter on all samples. Clean training samples: on those that were not harmed, what a "
    "perfect selection comes to. Scored model: the one that the influence was computed at. "
    "Most frequent answer: always that of the test set."
)
_DETAILS = ("accuracy_norm", "clean_fraction", "largest_answer_fraction", "kept")
_DETAILS_NOTE = (
    "Likelihood per character: a choice's log-likelihood divided by its length, so that long choices are at no "
    "disadvantage. Share of the most frequent answer: 1 means that only one answer was kept, from which a model learns "
    "to give it always."
)


def accuracy_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print accuracies, HyperINF's paired differences and the references, for every setting and model."""
    known = blocks(read)
    tables = [table for block in known for table in (_accuracies(block), *_differences(block), *_references(block))]
    return read.frame.only("accuracy"), tables


def _accuracies(block: Block) -> Table:
    body: list[tuple[Value, ...]] = []
    for strategy in block.strategies:
        for method in block.methods(strategy):
            body.append((selection_label(method), strategy, *map(shown, block.along(strategy, method))))
        rows = [[block.row(column, strategy, name) for name in block.methods(strategy)] for column in block.columns]
        body.append(("highest mean", strategy, *map(_leader, rows)))
    title = f"Accuracy after fine-tuning on the samples kept: {block.where}"
    note = sentences(block.about, "Share of the test set; higher is better.", INTERVALS, BOLD)
    return Table(title, ("method", "selection", *block.headers), tuple(body), note)


def _leader(rows: list[Row | None]) -> str:
    for row in rows:
        if row is not None and row.leads:
            verdict = "one seed" if row.lead.sign is None else "clear" if row.best else "within noise"
            return f"{selection_label(row.method)}, {verdict}"
    return "–"


def _differences(block: Block) -> Iterator[Table]:
    body: list[tuple[Value, ...]] = []
    for strategy in block.strategies:
        if SUBJECT not in block.methods(strategy):
            continue
        for method in block.methods(strategy):
            if method != SUBJECT:
                found = [shown(row, "difference") for row in block.along(strategy, method)]
                body.append((f"HyperINF − {selection_label(method)}", strategy, *found))
        over_full = [shown(row, "over_full") for row in block.along(strategy, SUBJECT)]
        if any(value != "–" for value in over_full):
            body.append((f"HyperINF − {selection_label('full')}", strategy, *over_full))
    if body:
        title = f"Difference in accuracy: {block.where}"
        yield Table(title, ("difference", "selection", *block.headers), tuple(body), sentences(block.about, PAIRED))


def _references(block: Block) -> Iterator[Table]:
    body = tuple(
        (selection_label(name), *(shown(block.read.frame.reference(cell, name)) for cell in block.cells))
        for name in block.references()
    )
    if body:
        title = f"What the accuracies stand beside: {block.where}"
        headers = ("reference", *(cell.task for cell in block.cells))
        yield Table(title, headers, body, sentences(block.about, INTERVALS, _REFERENCES))


def details_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print what was kept at every fraction, for every setting, model and task."""
    known = blocks(read, by_task=True)
    tables = [_kept(block, fraction) for block in known for _, fraction in block.columns]
    return read.frame.only(*_DETAILS), tables


def _kept(block: Block, fraction: float) -> Table:
    frame, (cell,) = block.read.frame, block.cells
    metrics = [metric for metric in _DETAILS if frame.places(cell, metric)]
    body: list[tuple[Value, ...]] = []
    for strategy, method in block.each():
        places = [Place(cell, metric, strategy=strategy, fraction=fraction) for metric in metrics]
        if method in frame.at(Place(cell, "accuracy", strategy=strategy, fraction=fraction)):
            body.append((selection_label(method), strategy, *(_detail(frame.at(each).get(method)) for each in places)))
    for name in REFERENCES:
        found = [frame.reference(cell, name, metric) for metric in metrics]
        if any(found):
            body.append((selection_label(name), "–", *map(_detail, found)))
    headers = ("method", "selection", *(METRIC_LABELS[metric] for metric in metrics))
    note = sentences(block.about, INTERVALS, _DETAILS_NOTE, _truncated(block))
    return Table(f"What was kept at {percent(fraction)}: {block.where}", headers, tuple(body), note)


def _detail(row: Row | None) -> Value:
    if row is not None and row.place.metric == "kept":
        return f"{row.value.mean:,.0f}"
    return shown(row, bold=False)


def _truncated(block: Block) -> str:
    cut = ", ".join(f"{split} {count:,}" for split, count in block.read.truncated(block.cells[0]).items())
    if not cut:
        return ""
    return f"Samples too long for the model, cut at the left of their context (the most of any seed): {cut}."
