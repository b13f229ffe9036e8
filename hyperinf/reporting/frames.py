"""The one tidy table of a study: means, intervals and paired differences; figures, tables and claims read it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.reporting.ranking import BySeed, leader

if TYPE_CHECKING:
    from hyperinf.reporting.study_inputs import StudyResults

RANKED = (
    "roc_auc", "roc_auc_within", "fim_correlation", "curve_auc", "detected", "clean_fraction", "lds", "lds_mean_target",
)  # fmt: skip
"""Metrics of which more is better; so is every accuracy."""
NONE = Interval(math.nan, math.nan, 0)


class Cell(NamedTuple):
    """What methods can be compared within."""

    task: str
    model: str
    setting: str


class Place(NamedTuple):
    """Where methods stand beside each other; what does not apply is empty or None."""

    cell: Cell
    metric: str
    checkpoint: str = ""
    strategy: str = ""
    fraction: float | None = None


@dataclass(frozen=True)
class Row:
    """One method's number in one place.

    Attributes:
        place: where.
        method: whose.
        value: mean over seeds and its interval.
        difference: HyperINF minus the method, paired over seeds, as all differences.
        over_full: the method minus training on all samples.
        against: the first of the settings that train the same; ``""`` where this is it.
        over_setting: this setting minus that one.
        leads: it has the highest mean of its place.
        lead: the method minus the second, where it leads.
        best: it leads, and its intervals against all others exclude 0.
    """

    place: Place
    method: str
    value: Interval
    difference: Interval = NONE
    over_full: Interval = NONE
    against: str = ""
    over_setting: Interval = NONE
    leads: bool = False
    lead: Interval = NONE
    best: bool = False

    @property
    def flat(self) -> dict[str, object]:
        """Its columns in the tidy table."""
        place = self.place
        return {
            **place.cell._asdict(),
            "method": self.method,
            "strategy": place.strategy,
            "fraction": math.nan if place.fraction is None else place.fraction,
            "checkpoint": place.checkpoint,
            "metric": place.metric,
            "mean": self.value.mean,
            "half_width": self.value.half_width,
            "n": self.value.n,
            **{
                f"{name}{part}": getattr(getattr(self, name), of)
                for name in ("difference", "over_full", "over_setting", "lead")
                for part, of in (("", "mean"), ("_half_width", "half_width"), ("_n", "n"))
            },
            "against": self.against,
            "leads": self.leads,
            "best": self.best,
        }


class StudyFrame:
    """All numbers of a study.

    Args:
        study: its name.
        family: the family of its models.
        metrics: in the form of ``study_inputs.METRICS``.
        checkpoints: in their order.
    """

    def __init__(self, study: str, family: str, metrics: pd.DataFrame, checkpoints: Sequence[str] = ()) -> None:
        self._values = _by_seed(metrics)
        self._named = {"study": study, "family": family}
        places = sorted(self._values, key=lambda place: _order(place, checkpoints))
        self.cells = list(dict.fromkeys(place.cell for place in places))
        self._first = {
            Cell(task, model, setting): settings[0]
            for (task, model, _), settings in settings_alike(self.cells).items()
            for setting in settings
        }
        self._rows = {place: self._compared(place) for place in places}

    def at(self, place: Place) -> dict[str, Row]:
        """Give each method's row in a place, in the house order."""
        return self._rows.get(place, {})

    def seeds(self, place: Place, method: str) -> BySeed:
        """Give a method's value per seed; nothing where it was not run."""
        return self._values.get(place, {}).get(method, {})

    def row(self, place: Place, method: str) -> Row:
        """Give a method's row in a place, without numbers where it was not run."""
        return self.at(place).get(method) or Row(place, method, NONE)

    def places(self, cell: Cell, metric: str) -> list[Place]:
        """List where a cell has a metric, in the house order."""
        return [place for place in self._rows if place.cell == cell and place.metric == metric]

    def metrics(self, cell: Cell) -> list[str]:
        """List what is known of a cell."""
        return list(dict.fromkeys(place.metric for place in self._rows if place.cell == cell))

    def selections(self, cell: Cell) -> list[tuple[str, float]]:
        """List strategy and fraction of a cell's selections, in the house order."""
        found = [(place.strategy, place.fraction) for place in self.places(cell, "accuracy")]
        return [(strategy, at) for strategy, at in found if at is not None and 0 < at < 1]

    def reference(self, cell: Cell, method: str, metric: str = "accuracy") -> Row | None:
        """Give the row of what selections stand beside; None where it was not run."""
        strategy, fraction = ("plain", 1.0) if method in ("full", "clean") else ("", 0.0)
        return self.at(Place(cell, metric, strategy=strategy, fraction=fraction)).get(method)

    def only(self, *metrics: str) -> pd.DataFrame:
        """Give the rows with these metrics."""
        return self.table[self.table["metric"].isin(metrics)]

    def of(self, task: str, model: str) -> list[Cell]:
        """List the cells of a task and model."""
        return [cell for cell in self.cells if cell[:2] == (task, model)]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows as a table; booleans are booleans, fractions are between 0 and 1."""
        rows = [{**self._named, **row.flat} for found in self._rows.values() for row in found.values()]
        first = ["study", "task", "model", "family", "setting"]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([*first, *_EMPTY])))

    def _compared(self, place: Place) -> dict[str, Row]:
        by_method = self._values[place]
        contest = _is_ranked(place.metric) and (place.fraction is None or 0 < place.fraction < 1)
        best = leader(by_method) if contest else None
        full = self._values.get(place._replace(strategy="plain", fraction=1.0), {}).get("full", {})
        first = self._first[place.cell]
        other = place._replace(cell=place.cell._replace(setting=first))
        elsewhere = self._values.get(other, {}) if other != place else {}
        rows = {}
        for method, seeds in by_method.items():
            rows[method] = row = Row(place, method, t_interval(list(seeds.values())))
            if contest:
                ours = by_method.get(labels.SUBJECT, {}) if method != labels.SUBJECT else {}
                rows[method] = replace(
                    row,
                    difference=paired_interval(ours, seeds),
                    over_full=paired_interval(seeds, full),
                    against=first if elsewhere else "",
                    over_setting=paired_interval(seeds, elsewhere.get(method, {})),
                )
        if best is not None:
            rows[best[0]] = replace(rows[best[0]], leads=True, lead=best[1], best=best[2])
        return rows


_EMPTY = Row(Place(Cell("", "", ""), ""), "", NONE).flat


def frame_table(read: "StudyResults") -> pd.DataFrame:
    """Give the tidy table of a study."""
    return read.frame.table


def settings_alike(cells: Iterable[Cell]) -> dict[tuple[str, str, str], list[str]]:
    """Group settings that train the same, by task, model and what is trained: only the gradients used differ."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for task, model, setting in cells:
        found.setdefault((task, model, labels.trained_setting(setting)), []).append(setting)
    return {key: labels.ordered_settings(settings) for key, settings in found.items()}


def _by_seed(metrics: pd.DataFrame) -> dict[Place, dict[str, BySeed]]:
    values: dict[Place, dict[str, dict[int, float]]] = {}
    columns = ["task", "model", "setting", "metric", "checkpoint", "strategy", "fraction", "method", "seed", "value"]
    for task, model, setting, metric, checkpoint, strategy, at, method, seed, value in metrics[columns].itertuples(
        index=False
    ):
        place = Place(Cell(task, model, setting), metric, checkpoint, strategy, None if math.isnan(at) else float(at))
        values.setdefault(place, {}).setdefault(method, {})[int(seed)] = float(value)
    return {place: {name: found[name] for name in labels.ordered_methods(found)} for place, found in values.items()}


def _is_ranked(metric: str) -> bool:
    return metric in RANKED or metric.startswith("accuracy")


def _order(place: Place, checkpoints: Sequence[str]) -> tuple[object, ...]:
    def index(known: Iterable[str], name: str) -> tuple[int, str]:
        names = list(known)
        return (names.index(name), "") if name in names else (len(names), name)

    task, model, setting = place.cell
    fraction = -1.0 if place.fraction is None else place.fraction
    where = (index(checkpoints, place.checkpoint), index(labels.STRATEGY_LABELS, place.strategy), fraction)
    return (task, model, labels.setting_order(setting), index(labels.METRIC_LABELS, place.metric), *where)
