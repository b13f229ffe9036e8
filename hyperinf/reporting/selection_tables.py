"""The printed tables of the selection stage, made from the frames that the CSV files hold: one per model."""

from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.costs import cost_tables
from hyperinf.reporting.intervals import Interval
from hyperinf.reporting.labels import (
    REFERENCES,
    SELECTION_METRIC_LABELS,
    STRATEGY_LABELS,
    method_label,
    noted_model,
    ordered_methods,
    selection_label,
    setting_label,
    trained_setting,
)
from hyperinf.reporting.selection_frames import SUBJECT
from hyperinf.reporting.selection_inputs import CELL, SPLITS
from hyperinf.reporting.table_writers import Estimate, Table, Value

COST_KEYS = (*CELL, "model_note")
INTERVALS = "Mean over seeds ± half-width of the 95 % t-interval; (n/a) where one seed allows none."
_BOLD = (
    "Bold: the highest mean of its column and strategy, and its paired difference to the second excludes 0 (GFIM by "
    "Cholesky is HyperINF's own equation solved exactly, so it is left out of that comparison). Intervals are not "
    "corrected for the number of comparisons."
)
_PAIRED = (
    "Paired over seeds, ± half-width of the 95 % t-interval. Positive favours HyperINF. Bold: the interval excludes 0; "
    "all else is within noise."
)
_REFERENCES = (
    "Whole pool: a fresh adapter on all samples. After the warm-up: the model that the influence was computed at. "
    "Most frequent answer: always that of the test set."
)
Column = tuple[str, float]


class SelectionRows:
    """The rows of one model and setting, by task, strategy, method and fraction.

    Attributes:
        frame: all rows.
        selected: those of selections, without the references.
        tasks: sorted.
        columns: (task, fraction) of the selections, sorted.
        strategies: in the house order.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        at = self.frame["fraction"].between(0, 1, inclusive="neither")
        self.selected = self.frame[at]
        self.tasks = sorted(set(self.frame["task"]))
        self.columns: list[Column] = sorted(set(zip(self.selected["task"], self.selected["fraction"], strict=True)))
        self.strategies = [name for name in STRATEGY_LABELS if name in set(self.selected["strategy"])]
        self._by_key = {
            (row["task"], row["strategy"], row["method"], row["fraction"]): row for _, row in self.frame.iterrows()
        }

    def methods(self, strategy: str) -> list[str]:
        """The methods that selected by a strategy, in the house order."""
        return ordered_methods(self.selected.loc[self.selected["strategy"] == strategy, "method"])

    def row(self, task: str, strategy: str, method: str, fraction: float) -> pd.Series | None:
        """One selection; None where it was not run."""
        return self._by_key.get((task, strategy, method, fraction))

    def reference(self, task: str, method: str) -> pd.Series | None:
        """What selections stand beside; None where it was not run."""
        return self.row(task, "plain", method, 1.0) if method == "full" else self.row(task, "", method, 0.0)

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns in words."""
        many = len(self.tasks) > 1
        return tuple(f"{task}, {percent(at)}" if many else f"{percent(at)} kept" for task, at in self.columns)

    @property
    def where(self) -> str:
        """Which runs these are, in words; of several settings what they have in common."""
        task = [] if len(self.tasks) > 1 else self.tasks
        settings = set(self.frame["setting"])
        trained = settings if len(settings) == 1 else set(map(trained_setting, settings))
        words = [setting_label(next(iter(trained)))] if len(trained) == 1 else []
        return ", ".join([*task, self.frame["model"].iloc[0], *words, _seed_counts(self.frame["seeds"])])

    @property
    def note(self) -> str:
        """What a reader must know of the model; ``""`` for nothing."""
        notes = " | ".join(note for note in dict.fromkeys(self.frame["model_note"]) if note)
        return f"{self.frame['model'].iloc[0]} is {notes}." if notes else ""


def accuracy_tables(frame: pd.DataFrame) -> list[Table]:
    """Accuracy by method and strategy, HyperINF's paired differences, and the references, for every model and setting.

    Args:
        frame: of ``selection_frames.accuracy_frame``, or its CSV.
    """
    groups = [SelectionRows(rows) for _, rows in frame.groupby(["setting", "model"], sort=True)]
    return [table for rows in groups for table in (*_accuracies(rows), *_differences(rows), *_references(rows))]


def _accuracies(rows: SelectionRows) -> Iterator[Table]:
    body: list[tuple[Value, ...]] = []
    for strategy in rows.strategies:
        for method in rows.methods(strategy):
            found = (rows.row(task, strategy, method, at) for task, at in rows.columns)
            body.append((selection_label(method), strategy, *map(accuracy_estimate, found)))
        body.append(("highest mean", strategy, *(_leader(rows, strategy, *column) for column in rows.columns)))
    title = f"Accuracy after fine-tuning on the samples kept: {rows.where}"
    notes = (rows.note, "Share of the test set; higher is better.", INTERVALS, _BOLD)
    yield Table(title, ("method", "selection", *rows.headers), tuple(body), sentences(notes))


def _leader(rows: SelectionRows, strategy: str, task: str, fraction: float) -> str:
    for method in rows.methods(strategy):
        row = rows.row(task, strategy, method, fraction)
        if row is not None and str(row["accuracy_best"]) == "True":
            verdict = {"True": "clear", "False": "within noise"}.get(str(row["accuracy_clear"]), "one seed")
            return f"{selection_label(method)}, {verdict}"
    return "–"


def accuracy_estimate(row: pd.Series | None) -> Value:
    """An accuracy, bold where it is the highest of its column and clear of the second; a dash where there is none."""
    return _estimate(row, "accuracy", bold=row is not None and _clear(row))


def _clear(row: pd.Series) -> bool:
    return str(row["accuracy_best"]) == "True" and str(row["accuracy_clear"]) == "True"


def _differences(rows: SelectionRows) -> Iterator[Table]:
    body: list[tuple[Value, ...]] = []
    for strategy in rows.strategies:
        if SUBJECT not in rows.methods(strategy):
            continue
        for method in rows.methods(strategy):
            if method != SUBJECT:
                found = (rows.row(task, strategy, method, at) for task, at in rows.columns)
                cells = [difference_estimate(row, "accuracy_difference") for row in found]
                body.append((f"HyperINF − {selection_label(method)}", strategy, *cells))
        found = (rows.row(task, strategy, SUBJECT, at) for task, at in rows.columns)
        over_full = [difference_estimate(row, "accuracy_over_full") for row in found]
        if any(isinstance(value, Estimate) for value in over_full):
            body.append(("HyperINF − whole pool", strategy, *over_full))
    if body:
        title = f"Difference in accuracy: {rows.where}"
        yield Table(title, ("difference", "selection", *rows.headers), tuple(body), sentences((rows.note, _PAIRED)))


def _references(rows: SelectionRows) -> Iterator[Table]:
    present = [method for method in REFERENCES if any(rows.reference(t, method) is not None for t in rows.tasks)]
    if not present:
        return
    body = tuple(
        (selection_label(method), *(accuracy_estimate(rows.reference(task, method)) for task in rows.tasks))
        for method in present
    )
    title = f"What the accuracies stand beside: {rows.where}"
    yield Table(title, ("reference", *rows.tasks), body, sentences((rows.note, INTERVALS, _REFERENCES)))


_DETAIL_METRICS = ("accuracy_norm", "clean_share", "largest_answer_share", "kept")
_DETAILS_NOTE = (
    "Likelihood per character: a choice's log-likelihood divided by its length, so that long choices are at no "
    "disadvantage. Share of the most frequent answer: 1 means that only one answer was kept, from which a model learns "
    "to give it always."
)
_ROC_NOTE = "ROC-AUC of telling corrupted samples from clean ones by the scores; higher is better, 0.5 is random."


def detail_tables(frame: pd.DataFrame) -> list[Table]:
    """ROC-AUC of the scores, and what was kept at every share, for every model, setting and task.

    Args:
        frame: of ``selection_frames.details_frame``, or its CSV.
    """
    tables = []
    for _, of_model in frame.groupby(["setting", "model"], sort=True):
        for _, of_task in of_model.groupby("task", sort=True):
            rows = SelectionRows(of_task)
            tables += [*_corruption(rows), *(_kept(rows, fraction) for _, fraction in rows.columns)]
    return tables


def _corruption(rows: SelectionRows) -> Iterator[Table]:
    found = rows.frame[rows.frame["roc_auc"].notna()]
    if found.empty:
        return
    body: list[tuple[Value, ...]] = []
    for _, row in found.iterrows():
        paired = "–" if row["method"] == SUBJECT else difference_estimate(row, "roc_auc_difference")
        body.append((method_label(row["method"]), _estimate(row, "roc_auc"), paired))
    title = f"Finding corrupted samples: {rows.where}"
    headers = ("scores", "ROC-AUC", "HyperINF minus it")
    yield Table(title, headers, tuple(body), sentences((rows.note, _ROC_NOTE, INTERVALS, _PAIRED)))


def _kept(rows: SelectionRows, fraction: float) -> Table:
    metrics = [metric for metric in _DETAIL_METRICS if rows.frame[metric].notna().any()]
    task = rows.tasks[0]
    body: list[tuple[Value, ...]] = []
    for strategy in rows.strategies:
        for method in rows.methods(strategy):
            row = rows.row(task, strategy, method, fraction)
            if row is not None:
                body.append((selection_label(method), strategy, *(_detail(row, metric) for metric in metrics)))
    for method in REFERENCES:
        row = rows.reference(task, method)
        if row is not None and any(pd.notna(row[metric]) for metric in metrics):
            body.append((selection_label(method), "–", *(_detail(row, metric) for metric in metrics)))
    headers = ("method", "selection", *(SELECTION_METRIC_LABELS[metric] for metric in metrics))
    title = f"What was kept at {percent(fraction)}: {rows.where}"
    return Table(title, headers, tuple(body), sentences((rows.note, INTERVALS, _DETAILS_NOTE, _truncated(rows.frame))))


def _truncated(frame: pd.DataFrame) -> str:
    known = [(split, frame[f"truncated_{split}"].max()) for split in SPLITS]
    cut = ", ".join(f"{split} {int(number):,}" for split, number in known if pd.notna(number))
    return (
        f"Samples too long for the model, cut at the left of their context (the most of any seed): {cut}."
        if cut
        else ""
    )


def _detail(row: pd.Series, metric: str) -> Value:
    if metric != "kept":
        return _estimate(row, metric)
    return "–" if pd.isna(row["kept"]) else f"{row['kept']:,.0f}"


def selection_cost_tables(frame: pd.DataFrame) -> list[Table]:
    """Seconds and peak memory of every stage of scoring the pool: one table per task, model and setting.

    Args:
        frame: of ``costs.cost_frame`` with ``COST_KEYS``, or its CSV.
    """

    def where(task: str, model: str, setting: str, note: str) -> str:
        return f"{task}, {noted_model(model, note)}, {setting_label(setting)}"

    return list(cost_tables(frame, COST_KEYS, where, "for the whole pool"))


def _estimate(row: pd.Series | None, name: str, bold: bool = False) -> Value:
    if row is None or pd.isna(row[name]):
        return "–"
    return Estimate(float(row[name]), float(row[f"{name}_half_width"]), bold=bold)


def difference_estimate(row: pd.Series | None, name: str) -> Value:
    """A difference, bold where its interval excludes 0; a dash where there is none."""
    if row is None or pd.isna(row[name]):
        return "–"
    interval = Interval(float(row[name]), float(row[f"{name}_half_width"]), int(row["seeds"]))
    return Estimate(interval.mean, interval.half_width, signed=True, bold=interval.sign in (1, -1))


def _seed_counts(seeds: pd.Series) -> str:
    counts = sorted(set(seeds.astype(int)))
    span = " to ".join(map(str, sorted({counts[0], counts[-1]})))
    return f"{span} seed" if counts[-1] == 1 else f"{span} seeds"


def percent(fraction: float) -> str:
    """A share in percent."""
    return f"{100 * fraction:g} %"


def sentences(parts: tuple[str, ...]) -> str:
    """The sentences of a note, without the empty ones."""
    return " ".join(part for part in parts if part)
