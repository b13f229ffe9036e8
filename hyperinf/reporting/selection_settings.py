"""Settings of one task and model side by side: what is trained, and whose gradients the scores are made of."""

from collections.abc import Iterable, Iterator

import pandas as pd

from hyperinf.reporting.intervals import paired_interval
from hyperinf.reporting.labels import gradients_label, ordered_settings, selection_label, setting_label, trained_setting
from hyperinf.reporting.manifest import compared_pairs
from hyperinf.reporting.selection_frames import KEYS, Cell, accuracy_frame, at_place, flat, values_by_seed
from hyperinf.reporting.selection_inputs import SelectionRuns
from hyperinf.reporting.selection_tables import (
    INTERVALS,
    SelectionRows,
    accuracy_estimate,
    difference_estimate,
    sentences,
)
from hyperinf.reporting.table_writers import Table, Value

_PAIRED = (
    "Paired over seeds, ± half-width of the 95 % t-interval. Positive favours the first. Bold: the interval excludes "
    "0; all else is within noise. The model that is trained is the same: only the samples it is trained on differ."
)
_BOLD = "Bold: the highest mean of its setting, and clear of the second there."


def settings_frame(read: SelectionRuns) -> pd.DataFrame:
    """Accuracy of the selections by setting, for every task and model with several settings.

    Returns:
        One row per task, model, setting, strategy, method and fraction: these columns, model_note, seeds, accuracy with
        accuracy_half_width (95 %), accuracy_best and accuracy_clear within the setting; and the setting minus the first
        one that trains the same (``against``), paired over seeds, as setting_difference with its half-width, empty for
        the first.
    """
    frame = accuracy_frame(read)
    frame = frame[frame["fraction"].between(0, 1, inclusive="neither")]
    pairs = compared_pairs(read.cells)
    frame = frame[[pair in pairs for pair in zip(frame["task"], frame["model"], strict=True)]]
    differences = pd.DataFrame([_against_first(read, row) for _, row in frame.iterrows()], index=frame.index)
    differences = differences.reindex(columns=["against", "setting_difference", "setting_difference_half_width"])
    kept = [*KEYS, "accuracy", "accuracy_half_width", "accuracy_best", "accuracy_clear"]
    return pd.concat([frame[kept], differences.fillna({"against": ""})], axis=1).reset_index(drop=True)


def _against_first(read: SelectionRuns, row: pd.Series) -> dict[str, object]:
    first = families(read.cells)[row["task"], row["model"], trained_setting(row["setting"])][0]
    if first == row["setting"]:
        return {"against": ""}
    values = values_by_seed(read.metrics)
    own, other = (
        at_place(values, Cell(row["task"], row["model"], setting), row["strategy"], row["fraction"], "accuracy")
        for setting in (row["setting"], first)
    )
    interval = paired_interval(own[row["method"]], other.get(row["method"], {}))
    return {"against": first} | flat("setting_difference", interval)


def families(cells: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], list[str]]:
    """Settings that train the same, by task, model and what is trained: they differ in whose gradients are used."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for task, model, setting in cells:
        found.setdefault((task, model, trained_setting(setting)), []).append(setting)
    return {key: ordered_settings(settings) for key, settings in found.items()}


def settings_tables(frame: pd.DataFrame) -> list[Table]:
    """Accuracies of all settings, and differences between those that train the same, for every model.

    Args:
        frame: of :func:`settings_frame`, or its CSV.
    """
    tables = []
    for _, of_model in frame.groupby("model", sort=True):
        tables.append(_accuracies(of_model))
        compared = of_model[of_model["against"] != ""]
        for _, rows in compared.groupby(compared["setting"].map(trained_setting), sort=True):
            tables.append(_differences(rows))
    return tables


def _by_setting(frame: pd.DataFrame) -> dict[str, SelectionRows]:
    return {
        setting: SelectionRows(frame[frame["setting"] == setting]) for setting in ordered_settings(frame["setting"])
    }


def _accuracies(frame: pd.DataFrame) -> Table:
    rows = SelectionRows(frame)
    alike = frame["setting"].map(trained_setting).nunique() == 1
    called = gradients_label if alike else setting_label
    body = tuple(
        (selection_label(method), strategy, called(setting), *map(accuracy_estimate, found))
        for strategy, method, setting, found in _cells(rows, _by_setting(frame))
    )
    headers = ("method", "selection", "gradients of" if alike else "trained", *rows.headers)
    title = f"Accuracy by what is trained and whose gradients are used: {rows.where}"
    return Table(title, headers, body, sentences((rows.note, INTERVALS, _BOLD)))


def _differences(frame: pd.DataFrame) -> Table:
    rows = SelectionRows(frame.assign(setting=frame["setting"].map(trained_setting)))
    against = gradients_label(frame["against"].iloc[0])
    body: tuple[tuple[Value, ...], ...] = tuple(
        (
            selection_label(method),
            strategy,
            f"{gradients_label(setting)} − {against}",
            *(difference_estimate(row, "setting_difference") for row in found),
        )
        for strategy, method, setting, found in _cells(rows, _by_setting(frame))
        if method != "random"
    )
    headers = ("method", "selection", "gradients of", *rows.headers)
    return Table(
        f"Difference in accuracy by whose gradients are used: {rows.where}",
        headers,
        body,
        sentences((rows.note, _PAIRED)),
    )


def _cells(
    rows: SelectionRows, by_setting: dict[str, SelectionRows]
) -> Iterator[tuple[str, str, str, list[pd.Series | None]]]:
    """(strategy, method, setting, its row in every column) in the order of print, settings of a method together."""
    for strategy in rows.strategies:
        for method in rows.methods(strategy):
            for setting, own in by_setting.items():
                if method in own.methods(strategy):
                    yield strategy, method, setting, [own.row(task, strategy, method, at) for task, at in rows.columns]
