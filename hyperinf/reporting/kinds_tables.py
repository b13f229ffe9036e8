"""Print the accuracy of selections by kind of question."""

import pandas as pd

from hyperinf.reporting.frames import Cell
from hyperinf.reporting.labels import ALL_KINDS, kind_label, percent, selection_label
from hyperinf.reporting.selection_blocks import Block, blocks
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import BOLD, INTERVALS, Table, Value, sentences, shown

KIND_PREFIX = "accuracy_"
BY_LENGTH = "accuracy_norm"
"""Accuracy by likelihood per character: the one metric with that beginning that is not of a kind of question."""
_NO_KINDS = "The questions of these tasks are not told apart by kind."


def kinds_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print a table for every setting, model, task and fraction; an empty one where there are no kinds."""
    known = [(block, _kinds(read, block.cells[0])) for block in blocks(read, by_task=True)]
    tables = [_table(block, kinds, at) for block, kinds in known if kinds for _, at in block.columns]
    rows = read.frame.only("accuracy", *(metric for _, kinds in known for metric in kinds))
    return rows, tables or [Table("Accuracy by kind of question", ("method", "selection"), (), _NO_KINDS)]


def _kinds(read: StudyResults, cell: Cell) -> list[str]:
    """The metrics of a cell that are accuracies of a kind of question."""
    return [name for name in read.frame.metrics(cell) if name.startswith(KIND_PREFIX) and name != BY_LENGTH]


def _table(block: Block, kinds: list[str], fraction: float) -> Table:
    metrics, (cell,) = ["accuracy", *kinds], block.cells
    body: list[tuple[Value, ...]] = []
    for strategy, method in block.each():
        found = [block.row((cell, fraction), strategy, method, metric) for metric in metrics]
        body.append((selection_label(method), strategy, *map(shown, found)))
    for name in block.references():
        found = [block.read.frame.reference(cell, name, metric) for metric in metrics]
        body.append((selection_label(name), "–", *map(shown, found)))
    labels = [kind_label(name.removeprefix(KIND_PREFIX)) for name in kinds]
    title = f"Accuracy by kind of question at {percent(fraction)} kept: {block.where}"
    headers = ("method", "selection", ALL_KINDS, *labels)
    return Table(title, headers, tuple(body), sentences(block.about, INTERVALS, BOLD))
