"""Numbers of the selection stage over seeds: means, intervals, and differences paired over seeds."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.reporting.labels import REFERENCES, STRATEGY_LABELS, ordered_methods
from hyperinf.reporting.ranking import Leader, leader
from hyperinf.reporting.selection_inputs import CELL, SPLITS, SelectionRuns

SUBJECT = "hyperinf"
DETAILS = ("accuracy_norm", "clean_share", "largest_answer_share", "kept", "steps")
KEYS = (*CELL, "model_note", "strategy", "method", "fraction", "seeds")
BySeed = dict[int, float]


class Cell(NamedTuple):
    """What selections can be compared within."""

    task: str
    model: str
    setting: str


class Place(NamedTuple):
    """Where one method stands; a score has neither strategy nor fraction (NaN is no key, so -1 stands for none)."""

    cell: Cell
    strategy: str
    fraction: float
    method: str


NO_FRACTION = -1.0
Values = Mapping[tuple[Place, str], BySeed]


def values_by_seed(metrics: pd.DataFrame) -> Values:
    """``{(place, metric): {seed: value}}`` of ``selection_inputs.SelectionRuns.metrics``."""
    values: dict[tuple[Place, str], BySeed] = {}
    columns = [*CELL, "strategy", "fraction", "method", "metric", "seed", "value"]
    for *cell, strategy, fraction, method, metric, seed, value in metrics[columns].itertuples(index=False):
        at = NO_FRACTION if math.isnan(fraction) else float(fraction)
        place = Place(Cell(*cell), strategy, at, method)
        values.setdefault((place, metric), {})[int(seed)] = float(value)
    return values


def at_place(values: Values, cell: Cell, strategy: str, fraction: float, metric: str) -> dict[str, BySeed]:
    """Each method's values per seed, in the house order."""
    found = {
        place.method: seeds
        for (place, name), seeds in values.items()
        if name == metric and place[:3] == (cell, strategy, fraction)
    }
    return {method: found[method] for method in ordered_methods(found)}


def whole_pool(values: Values, cell: Cell, metric: str) -> BySeed:
    """The metric per seed where nothing was left out; empty where that was not run."""
    return at_place(values, cell, "plain", 1.0, metric).get("full", {})


def reference(values: Values, cell: Cell, method: str, metric: str) -> BySeed:
    """The metric per seed of the whole pool, or of what was not fine-tuned on any of it."""
    if method == "full":
        return whole_pool(values, cell, metric)
    return at_place(values, cell, "", 0.0, metric).get(method, {})


def selections(values: Values, cell: Cell) -> list[tuple[str, float]]:
    """(strategy, fraction) of a cell's selections, in the order of print."""
    found = {
        (place.strategy, place.fraction) for place, _ in values if place.cell == cell and 0.0 < place.fraction < 1.0
    }
    return sorted(found, key=lambda pair: (list(STRATEGY_LABELS).index(pair[0]), pair[1]))


def accuracy_frame(read: SelectionRuns) -> pd.DataFrame:
    """Accuracy of every selection and reference.

    Returns:
        One row per task, model, setting, strategy, method and fraction: these columns, model_note, seeds, accuracy
        (mean over seeds) with accuracy_half_width (95 %); HyperINF minus the method, paired over seeds, as
        accuracy_difference and accuracy_difference_half_width; the method minus the whole pool as accuracy_over_full
        and accuracy_over_full_half_width; accuracy_best, whether the method's mean is the highest of its strategy and
        fraction, and accuracy_clear, whether its paired interval against the second excludes 0 (empty where there is
        no interval). Empty where there is no such number.
    """
    spread = [f"accuracy{part}{half}" for part in ("", "_difference", "_over_full") for half in ("", "_half_width")]
    columns = [*KEYS, *spread, "accuracy_best", "accuracy_clear"]
    values = values_by_seed(read.metrics)
    return pd.DataFrame(list(_accuracy_rows(read, values))).reindex(columns=columns)


def _accuracy_rows(read: SelectionRuns, values: Values) -> Iterator[dict[str, object]]:
    for cell in map(Cell._make, read.cells):
        note, full = read.note(*cell), whole_pool(values, cell, "accuracy")
        for strategy, fraction in selections(values, cell):
            methods = at_place(values, cell, strategy, fraction, "accuracy")
            best = leader(methods)
            for method, seeds in methods.items():
                row = place_row(Place(cell, strategy, fraction, method), note, seeds)
                row |= flat("accuracy", t_interval(list(seeds.values())))
                if method != SUBJECT and SUBJECT in methods:
                    row |= flat("accuracy_difference", paired_interval(methods[SUBJECT], seeds))
                if full:
                    row |= flat("accuracy_over_full", paired_interval(seeds, full))
                yield row | leading(best, method)
        for method in REFERENCES:
            seeds = reference(values, cell, method, "accuracy")
            if seeds:
                place = reference_place(cell, method)
                yield place_row(place, note, seeds) | flat("accuracy", t_interval(list(seeds.values())))


def leading(best: Leader | None, method: str) -> dict[str, object]:
    """Whether the method has the highest mean accuracy, and whether it is clear of the second."""
    if best is None or best.method != method:
        return {"accuracy_best": False}
    return {"accuracy_best": True, "accuracy_clear": None if best.sign is None else best.sign == 1}


def details_frame(read: SelectionRuns) -> pd.DataFrame:
    """What was kept, and how well the scores tell corrupted samples from clean ones.

    Returns:
        One row per task, model, setting, strategy, method and fraction: these columns, model_note, seeds, the samples
        of each split that were too long for the model (``truncated_<split>``, the most of any seed) and for each of
        ``DETAILS`` its mean over seeds and ``<metric>_half_width``. Rows with neither strategy nor fraction hold
        ``roc_auc`` of a method's or baseline's scores and HyperINF minus it, ``roc_auc_difference``, both with their
        half-widths.
    """
    scores = [f"roc_auc{part}{half}" for part in ("", "_difference") for half in ("", "_half_width")]
    cut = [f"truncated_{split}" for split in SPLITS]
    columns = [*KEYS, *cut, *(f"{metric}{half}" for metric in DETAILS for half in ("", "_half_width")), *scores]
    values = values_by_seed(read.metrics)
    rows = [
        row | read.truncated(*cell) for cell in map(Cell._make, read.cells) for row in _details_rows(read, values, cell)
    ]
    return pd.DataFrame(rows).reindex(columns=columns)


def _details_rows(read: SelectionRuns, values: Values, cell: Cell) -> Iterator[dict[str, object]]:
    note = read.note(*cell)
    found = at_place(values, cell, "", NO_FRACTION, "roc_auc")
    for method, seeds in found.items():
        row = place_row(Place(cell, "", math.nan, method), note, seeds)
        row |= flat("roc_auc", t_interval(list(seeds.values())))
        if method != SUBJECT and SUBJECT in found:
            row |= flat("roc_auc_difference", paired_interval(found[SUBJECT], seeds))
        yield row
    for strategy, fraction in selections(values, cell):
        for method, seeds in at_place(values, cell, strategy, fraction, "accuracy").items():
            place = Place(cell, strategy, fraction, method)
            yield place_row(place, note, seeds) | _means(values, place)
    for method in REFERENCES:
        seeds = reference(values, cell, method, "accuracy")
        if seeds:
            place = reference_place(cell, method)
            yield place_row(place, note, seeds) | _means(values, place)


def reference_place(cell: Cell, method: str) -> Place:
    """Where a reference stands."""
    return Place(cell, "plain", 1.0, method) if method == "full" else Place(cell, "", 0.0, method)


def _means(values: Values, place: Place) -> dict[str, object]:
    row: dict[str, object] = {}
    for metric in DETAILS:
        seeds = values.get((place, metric), {})
        if seeds:
            row |= flat(metric, t_interval(list(seeds.values())))
    return row


def place_row(place: Place, note: str, seeds: BySeed) -> dict[str, object]:
    """The columns ``KEYS`` of one method's row."""
    named = {**place.cell._asdict(), "model_note": note, "strategy": place.strategy}
    return {**named, "method": place.method, "fraction": place.fraction, "seeds": len(seeds)}


def flat(name: str, interval: Interval) -> dict[str, object]:
    """An interval as the columns ``name`` and ``<name>_half_width``."""
    return {name: interval.mean, f"{name}_half_width": interval.half_width}
