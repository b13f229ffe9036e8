"""Judge claims: what was published, what this run measured, and the verdict that a stated rule draws."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from hyperinf.reporting.intervals import Interval, t_interval
from hyperinf.reporting.labels import counted
from hyperinf.reporting.published import untested_claims
from hyperinf.reporting.rule import rule
from hyperinf.reporting.verdicts import (
    CONTRADICTED,
    NO_DIFFERENCE,
    SUPPORTED,
    Decision,
    counted_verdict,
    decide,
    decide_equal,
    distance_verdict,
    holm_levels,
    mean_by_seed,
)

PUBLISHED_CLAIM = "published"
OWN_QUESTION = "asked here"

TESTED = ("difference", "equality")
"""Kinds of claims that are judged by an interval."""
Kind = Literal["difference", "equality", "count", "distance"]
COLUMNS = [
    "statement",
    "origin",
    "source",
    "setting",
    "published",
    "measured",
    "kind",
    "metric",
    "unit",
    "values",
    "rule",
    "verdict",
    "needed",
]
PRIMARY_COLUMNS = [
    "statement",
    "origin",
    "source",
    "settings",
    "left_out",
    "measured",
    "kind",
    "metric",
    "unit",
    "values",
    "mean",
    "low",
    "high",
    "level",
    "corrected_low",
    "corrected_high",
    "p",
    "verdict",
    "needed",
]


@dataclass(frozen=True)
class Claim:
    """One claim in one setting.

    Attributes:
        statement: what is claimed.
        source: where it was published; ``""`` for a question that the publication does not pose.
        setting: the part of this run it is judged on.
        kind: ``difference``: the values are positive; ``equality``: they do not matter; ``count``: they say whether it
            holds, 1 or 0; ``distance``: the value is small.
        metric: what the values are of, a key of the rule's margins; ``""`` of counts and distances.
        values: one number a seed, or a repeat.
        published: the published numbers, empty where none are at hand.
        measured: this run's numbers, in words; by default those of the interval.
        rule: when it holds, of a count.
        unit: what the numbers are taken over.
    """

    statement: str
    source: str
    setting: str
    kind: Kind
    metric: str
    values: Mapping[int, float]
    published: str = ""
    measured: str = ""
    rule: str = ""
    unit: str = "seed"

    @property
    def origin(self) -> str:
        """``published``, or ``asked here``."""
        return PUBLISHED_CLAIM if self.source else OWN_QUESTION

    @property
    def decision(self) -> Decision:
        """Its verdict in this setting."""
        return _decided(self.kind, self.metric, self.values)

    @property
    def row(self) -> dict[str, object]:
        """Its row in the ledger."""
        decision = self.decision
        told = self.measured or interval_text(self.metric, decision.interval, self.unit)
        return {
            "statement": self.statement,
            "origin": self.origin,
            "source": self.source,
            "setting": self.setting,
            "published": self.published,
            "measured": told,
            "kind": self.kind,
            "metric": self.metric,
            "unit": self.unit,
            "values": values_text(self.values),
            "rule": rule_of(self.kind, self.metric, self.unit, self.rule),
            "verdict": decision.verdict,
            "needed": "" if decision.needed is None else str(decision.needed),
        }


def _decided(kind: str, metric: str, values: Mapping[int, float], level: float | None = None) -> Decision:
    numbers = list(values.values())
    if kind in TESTED:
        return (decide if kind == "difference" else decide_equal)(numbers, rule().margins[metric], level)
    none = Interval(math.nan, math.nan, len(numbers))
    if kind == "count":
        return Decision(counted_verdict(numbers), none)
    return Decision(distance_verdict(max(numbers, default=math.nan)), none)


def rule_of(kind: str, metric: str, unit: str, holds: str = "") -> str:
    """Say how a verdict of a setting is drawn."""
    if kind == "count":
        return f"{holds}: in every {unit} supported, in none contradicted, else undecided"
    if kind == "distance":
        near, far = rule().distance
        return f"{holds}: at most {near:g} supported, above {far:g} contradicted, between undecided"
    inside, above, below = _DRAWN[kind]
    return (
        f"{100 * (1 - rule().level):g} % t-interval of the difference, paired over {unit}s: within "
        f"± {_MARGIN[metric](rule().margins[metric])} {inside}, else above 0 {above}, below 0 "
        f"{below}, holding 0 undecided; exactly 0 in every {unit} degenerate; fewer than {rule().units} {unit}s "
        "not tested"
    )


_DRAWN = {
    "difference": (NO_DIFFERENCE, SUPPORTED, CONTRADICTED),
    "equality": (SUPPORTED, CONTRADICTED, CONTRADICTED),
}
_MARGIN = {
    "accuracy": lambda margin: f"{100 * margin:g} points",
    "detected": lambda margin: f"{100 * margin:g} points",
    "roc_auc": lambda margin: f"{margin:g}",
    "correlation": lambda margin: f"{margin:g}",
    "log_ratio": lambda margin: f"{100 * math.expm1(margin):.0f} %",
}


def interval_text(metric: str, interval: Interval, unit: str = "seed") -> str:
    """Print a difference with its interval: in points, as a ratio, or as it is."""
    if interval.n == 0:
        return "not run"
    one = math.isnan(interval.half_width)
    if metric == "log_ratio":
        spread = "no interval" if one else f"95 %: {math.exp(interval.low):.3g} to {math.exp(interval.high):.3g}"
        return f"{math.exp(interval.mean):.3g} times ({spread}, {counted(interval.n, unit)})"
    scale, digits, name = (1, 3, "") if metric in ("roc_auc", "correlation") else (100, 1, " points")
    spread = "no interval" if one else f"± {scale * interval.half_width:.{digits}f}"
    mean = f"{scale * interval.mean:+.{digits}f}".replace("-", "−")
    return f"{mean}{name} {spread} ({counted(interval.n, unit)})"


def values_text(values: Mapping[int, float]) -> str:
    """Write the numbers of seeds so that nothing is lost: ``11:0.25 12:-0.5``."""
    return " ".join(f"{seed}:{float(value)!r}" for seed, value in sorted(values.items()))


def read_values(text: str) -> dict[int, float]:
    """Read what ``values_text`` wrote.

    Raises:
        ValueError: another text.
    """
    pairs = (each.partition(":") for each in text.split())
    return {int(seed): float(value) for seed, _, value in pairs}


def untested(tested: Sequence[pd.DataFrame] = ()) -> Iterator[Claim]:
    """Give the published claims that a run has not spoken to, with what it would take.

    Args:
        tested: ledgers of the run; a claim is left out where a setting of them is what the claim is of.
    """
    settings = [setting for frame in tested for setting in frame["setting"].astype(str)]
    for row in untested_claims().itertuples():
        if row.tested_in and any(setting.startswith(f"{row.tested_in},") for setting in settings):
            continue
        told = f"it would take {row.needs}"
        yield Claim(row.statement, row.source, "of the publication", "difference", "accuracy", {}, measured=told)


def claims_frame(claims: Iterable[Claim]) -> pd.DataFrame:
    """Make the ledger, one row per claim and setting."""
    return pd.DataFrame([claim.row for claim in claims], columns=COLUMNS)


def primary_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Draw the one verdict of each claim, over all its settings.

    Its numbers are the means over settings of each seed that all of them have; settings that are degenerate or not
    tested are left out. Those of differences are corrected by Holm's procedure, over the published claims and over the
    questions asked here: ``level`` is what that leaves of the rule's for each, and its interval is ``corrected_low`` to
    ``corrected_high``, beside that of the claim alone, ``low`` to ``high``.

    Args:
        frame: of ``claims_frame``.
    """
    rows = [_primary(group) for _, group in frame.groupby(["origin", "statement", "source"], sort=False)]
    table = pd.DataFrame(rows, columns=PRIMARY_COLUMNS)
    for origin in dict.fromkeys(table["origin"]):
        own = table.index[(table["origin"] == origin) & table["kind"].isin(TESTED)]
        first = [_of(table.loc[place]) for place in own]
        for place, level in zip(own, holm_levels([each.p for each in first]), strict=True):
            found = _of(table.loc[place], level)
            wide = t_interval(list(read_values(table.loc[place, "values"]).values()), 1 - level)
            told = {"level": level, "corrected_low": wide.low, "corrected_high": wide.high, "p": found.p}
            table.loc[place, [*told, "verdict"]] = [*told.values(), found.verdict]
            table.loc[place, "needed"] = "" if found.needed is None else str(found.needed)
    return table


def _of(row: pd.Series, level: float | None = None) -> Decision:
    values = read_values(row["values"])
    if not values:
        return Decision(row["verdict"], Interval(math.nan, math.nan, 0))
    return _decided(row["kind"], row["metric"], values, level)


def _primary(group: pd.DataFrame) -> dict[str, object]:
    """The row of a claim, before correction."""
    same = {name: str(group[name].iloc[0]) for name in ("statement", "origin", "source", "kind", "metric", "unit")}
    kind, metric, unit = same["kind"], same["metric"], same["unit"]
    told = group[~group["verdict"].isin(_SILENT)]
    values = mean_by_seed([read_values(text) for text in told["values"]])
    decision = _decided(kind, metric, values)
    # Where no setting tells anything, the claim is what they are: degenerate, or not tested.
    verdict = decision.verdict if len(told) else str(group["verdict"].iloc[0])
    return {
        **same,
        "settings": len(told),
        "left_out": len(group) - len(told),
        "measured": _measured(kind, metric, unit, group, told, decision),
        "values": values_text(values),
        "mean": decision.interval.mean,
        "low": decision.interval.low,
        "high": decision.interval.high,
        "level": math.nan,
        "corrected_low": math.nan,
        "corrected_high": math.nan,
        "p": math.nan,
        "verdict": verdict,
        "needed": "",
    }


_SILENT = ("degenerate", "not tested")


def _measured(kind: str, metric: str, unit: str, group: pd.DataFrame, told: pd.DataFrame, found: Decision) -> str:
    if not len(told):
        return str(group["measured"].iloc[0])
    if kind not in TESTED:
        counts = told["verdict"].value_counts()
        return ", ".join(f"{verdict} in {counts[verdict]}" for verdict in counts.index) + f" of {len(told)} settings"
    over = f", mean of {len(told)} settings" if len(told) > 1 else ""
    return interval_text(metric, found.interval, unit) + over
