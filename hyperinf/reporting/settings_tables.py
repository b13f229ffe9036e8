"""Print the settings of one model side by side: what is trained, and whose gradients the scores are made of."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.frames import Row
from hyperinf.reporting.labels import gradients_label, ordered_methods, selection_label, setting_label, trained_setting
from hyperinf.reporting.selection_blocks import Block, blocks
from hyperinf.reporting.study_inputs import StudyResults
from hyperinf.reporting.table_writers import INTERVALS, Table, sentences, shown

_PAIRED = (
    "Paired over seeds, ± half-width of the 95 % t-interval. Positive favours the first. Bold: the interval excludes "
    "0; all else is within noise. The model that is trained is the same: only the samples it is trained on differ."
)
_BOLD = "Bold: the highest mean of its setting, and clear of all others there."


def settings_tables(read: StudyResults) -> tuple[pd.DataFrame, list[Table]]:
    """Print accuracies of all settings, and differences between those that train the same, for every model."""
    by_model: dict[str, list[Block]] = {}
    for block in blocks(read):
        by_model.setdefault(block.cells[0].model, []).append(block)
    tables = [table for known in by_model.values() for table in (_accuracies(known), *_differences(known))]
    return read.frame.only("accuracy"), tables


def _setting(block: Block) -> str:
    return block.cells[0].setting


def _accuracies(known: list[Block]) -> Table:
    alike = len({trained_setting(_setting(block)) for block in known}) == 1
    called = gradients_label if alike else setting_label
    body = tuple(
        (selection_label(method), strategy, called(_setting(block)), *map(shown, found))
        for strategy, method, block, found in _each(known)
    )
    whole = Block(known[0].read, [cell for block in known for cell in block.cells])
    title = f"Accuracy by what is trained and whose gradients are used: {whole.where}"
    headers = ("method", "selection", "gradients of" if alike else "trained", *known[0].headers)
    return Table(title, headers, body, sentences(whole.about, INTERVALS, _BOLD))


def _differences(known: list[Block]) -> Iterator[Table]:
    """A table for every group of settings that train the same."""
    families: dict[str, list[Block]] = {}
    for block in known:
        families.setdefault(trained_setting(_setting(block)), []).append(block)
    for first, *others in families.values():
        if not others:
            continue
        against = gradients_label(_setting(first))
        body = tuple(
            (
                selection_label(method),
                strategy,
                f"{gradients_label(_setting(block))} − {against}",
                *(shown(row, "over_setting") for row in found),
            )
            for strategy, method, block, found in _each(others)
            if method != "random"
        )
        headers = ("method", "selection", "gradients of", *first.headers)
        whole = Block(first.read, [cell for block in (first, *others) for cell in block.cells])
        title = f"Difference in accuracy by whose gradients are used: {whole.where}"
        yield Table(title, headers, body, sentences(whole.about, _PAIRED))


def _each(known: list[Block]) -> Iterator[tuple[str, str, Block, list[Row | None]]]:
    """Strategy, method, setting, and the rows of its columns in the order of print, settings of a method together."""
    columns = known[0].columns
    for strategy in dict.fromkeys(strategy for block in known for strategy in block.strategies):
        for method in ordered_methods(method for block in known for method in block.methods(strategy)):
            for block in known:
                if method in block.methods(strategy):
                    setting = _setting(block)
                    at = [(cell._replace(setting=setting), fraction) for cell, fraction in columns]
                    yield strategy, method, block, [block.row(column, strategy, method) for column in at]
