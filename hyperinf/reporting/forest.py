"""Lay out the verdicts for the page's first screen: claims by study, each a line with its place on a shared axis."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hyperinf.reporting.ledger import Ledgers, verdict_text
from hyperinf.reporting.rule import rule
from hyperinf.reporting.verdicts import (
    CONTRADICTED,
    DEGENERATE,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    VERDICTS,
)
from hyperinf.settings.registers import FAMILIES

Lines = Sequence[Mapping[str, Any]]
SIGNS = {SUPPORTED: "✓", CONTRADICTED: "✗", NO_DIFFERENCE: "≈", UNDECIDED: "?", DEGENERATE: "=", NOT_TESTED: "–"}
"""What stands for a verdict where a word has no room; colour never stands alone."""

_SHORTER = (
    (r" \(HyperINF is charged for the GFIM\)", ""),
    (r"^HyperINF finds more ([\w ]+?) than (.+) at (\d+) % inspected", r"finds more than \2, \3 % inspected"),
    (r"^HyperINF ranks ([\w ]+?) higher than (.+)", r"ranks \1 above \2"),
    (r", published start, (\d+ steps), inverts a matrix faster than", r", \1, inverts faster than"),
    (r" among samples of the same observed answer$", ", within an answer"),
    (r"^HyperINF's scores are nearer to the exact FIM's than (.+) are", r"scores nearer to the exact FIM's than \1"),
    (r"HyperINF's lead over (.+) is larger where less is kept", r"lead over \1 grows where less is kept"),
    (r"what (\w+) keeps trains a more accurate model than what (.+) keeps", r"\1's picks train better than \2's"),
    (r"what (\w+) keeps trains a (?:more) accurate model than random selection", r"\1's picks beat random ones"),
    (
        r"what (\w+) keeps trains a (?:less) accurate model than random selection",
        r"\1's picks fall short of random ones",
    ),
    (r"what (\w+) keeps trains a (?:more) accurate model than (.+)", r"\1's picks beat \2"),
    (r"what (\w+) keeps trains a (?:less) accurate model than (.+)", r"\1's picks fall short of \2"),
    (r"^(plain|stratified) selection: ", r"\1: "),
    (r"the whole training set$", "all samples"),
)


@dataclass(frozen=True)
class Axis:
    """A scale that lines share.

    Attributes:
        label: what is drawn along it.
        reach: from the middle to either end, in its own units.
        margin: up to which a difference does not matter.
        steps: what is named along it, with its name.
    """

    label: str
    reach: float
    margin: float
    steps: tuple[tuple[float, str], ...]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The steps by their places in percent of the width."""
        return [(self.at(value), name) for value, name in self.steps]

    def at(self, value: float) -> float:
        """Place a value, in percent of the width; what is outside is put to the edge."""
        return round(50 + 48 * min(max(value / self.reach, -1.0), 1.0), 2)


def claim_anchor(number: int) -> str:
    """Name the place of a claim's numbers on the page, by its place in the frame of primary claims."""
    return f"claim-{number + 1}"


def short_label(row: pd.Series, study: bool = True) -> str:
    """Give a claim's label: its own where it has one, else its statement without what its surroundings say.

    Args:
        row: of ``claims.primary_frame``.
        study: leave out whose models these are, as the study stands above.
    """
    text = str(row.get("label") or row["statement"])
    if study:
        for family in FAMILIES.values():
            text = re.sub(rf"^{re.escape(family.label)}(?:, |: )", "", text)
    for pattern, replacement in _SHORTER:
        text = re.sub(pattern, replacement, text)
    return text


def tally(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the verdicts that fell, in their order: ``verdict``, ``sign``, ``count``."""
    counts = frame["verdict"].value_counts()
    return [
        {"verdict": name, "sign": SIGNS[name], "count": int(counts[name])} for name in VERDICTS if name in counts.index
    ]


def studies_of(statement: str, ledgers: Ledgers) -> str:
    """Name the studies that a claim was judged in; ``""`` for none."""
    return " and ".join(title for title, frame in ledgers if (frame["statement"] == statement).any())


def forest(primary: pd.DataFrame, ledgers: Ledgers, origin: str) -> list[dict[str, Any]]:
    """Make the groups of lines that the template draws.

    Args:
        primary: of ``claims.primary_frame``.
        ledgers: of all studies.
        origin: of the claims that are drawn.

    Returns:
        For each study ``title`` (``""`` for claims of none, which come last), ``tally`` and ``panels``: ``axis`` (None
        where claims are counted) and ``lines``, each with label, verdict, numbers, link, and places in percent.
    """
    told = primary[primary["origin"] == origin]
    titles = pd.Series([studies_of(str(text), ledgers) for text in told["statement"]], index=told.index, dtype=str)
    order = sorted(dict.fromkeys(titles), key=lambda title: not title)
    published = _published(ledgers)
    return [
        {
            "title": title,
            "tally": tally(told[titles == title]),
            "panels": list(_panels(told[titles == title], published)),
        }
        for title in order
    ]


def _panels(rows: pd.DataFrame, published: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    scales = rows["metric"].map(lambda metric: _SCALES.get(metric, ""))
    for scale in ("points", "ratio", ""):
        own = rows[scales == scale]
        if len(own):
            drawn = own[own["mean"].map(math.isfinite)]
            axis = _axis(scale, drawn, published) if scale and len(drawn) else None
            yield {"axis": axis, "lines": [_line(row, axis, published) for _, row in own.iterrows()]}


_SCALES = {
    **dict.fromkeys(("accuracy", "detected", "roc_auc", "correlation"), "points"),
    "log_ratio": "ratio",
}
_FACTOR = {"points": 100.0, "ratio": 1 / math.log(10)}
_LABELS = {
    "points": "points (of ROC-AUC and correlations: hundredths)",
    "ratio": "ratio, logarithmic scale",
}


def _axis(scale: str, rows: pd.DataFrame, published: Mapping[str, str]) -> Axis:
    """Reach to every mean and to most ends of intervals: a few very wide ones would press all else together."""
    factor = _FACTOR[scale]
    theirs = (_place(published.get(str(text), "")) for text in rows["statement"])
    points = [*(factor * rows["mean"]), *(place for place in theirs if place is not None)]
    ends = factor * rows[["low", "high"]].abs().max(axis=1).dropna()
    margin = factor * max((rule().margins[name] for name in rows["metric"] if name in rule().margins), default=0.0)
    reach = max(1.08 * max(map(abs, points)), float(np.quantile(ends, 0.75)) if len(ends) else 0.0, 2.5 * margin, 1e-6)
    if scale == "ratio":
        steps = [(step, f"{round(10**step, 9):g}×") for step in _decades(reach)]
    else:
        steps = [(step, f"{step:+g}".replace("-", "−") if step else "0") for step in _rounded(reach)]
    return Axis(_LABELS[scale], reach, margin, tuple(steps))


def _rounded(reach: float) -> list[float]:
    """Two to four round numbers on each side of 0."""
    size = 10.0 ** math.floor(math.log10(reach / 2))
    return _both_sides(max(each * size for each in (1, 2, 5) if each * size <= reach / 2), reach)


def _decades(reach: float) -> list[float]:
    """One or two powers of ten on each side of 1, or where none is within reach the number 2 or 1.2, as logarithms."""
    if reach < 1:
        step = math.log10(2 if math.log10(2) <= reach else 1.2)
        return [value for value in (-step, 0.0, step) if abs(value) <= reach]
    return _both_sides(float(math.ceil(int(reach) / 2)), reach)


def _both_sides(step: float, reach: float) -> list[float]:
    most = int(reach / step)
    return [step * k for k in range(-most, most + 1)]


def _line(row: pd.Series, axis: Axis | None, published: Mapping[str, str]) -> dict[str, Any]:
    theirs = published.get(str(row["statement"]), "")
    line = {
        "label": short_label(row),
        "statement": row["statement"],
        "verdict": row["verdict"],
        "sign": SIGNS[row["verdict"]],
        "told": verdict_text(row),
        "measured": _measured(row),
        "published": theirs.removesuffix(" points"),
        "anchor": claim_anchor(int(row.name)),
        "mean": None,
    }
    if axis is None or not math.isfinite(row["mean"]):
        return line
    factor = _FACTOR[_SCALES[row["metric"]]]
    line["mean"] = axis.at(factor * row["mean"])
    if math.isfinite(row["low"]):
        ends = [factor * row[name] for name in ("low", "high")]
        line["ends"] = [axis.at(end) for end in ends]
        line["beyond"] = [abs(end) > axis.reach for end in ends]
    if math.isfinite(row["corrected_low"]):
        line["corrected"] = [axis.at(factor * row[name]) for name in ("corrected_low", "corrected_high")]
    if (place := _place(theirs)) is not None:
        line["theirs"] = axis.at(place)
    return line


def _place(published: str) -> float | None:
    """Read a published number in the units of its axis: points, or the logarithm of the second time over the first."""
    if found := re.fullmatch(r"([+−-][\d.]+) points", published):
        return float(found[1].replace("−", "-"))
    if found := re.fullmatch(r"([\d.e-]+) s against ([\d.e-]+) s", published):
        return math.log10(float(found[2]) / float(found[1]))
    return None


def _measured(row: pd.Series) -> str:
    """The numbers without their seeds and settings, which the table has."""
    text = re.sub(r"(, mean of \d+ settings| \(\d+ \w+\)|, \d+ \w+(?=\)))", "", str(row["measured"]))
    return re.sub(r"\(95 %: (.+) to (.+)\)", r"(\1 to \2)", text).replace(" points", "")


def _published(ledgers: Ledgers) -> dict[str, str]:
    """The published number of each claim; of different ones in several settings none."""
    found: dict[str, set[str]] = {}
    for _, frame in ledgers:
        for statement, number in frame[["statement", "published"]].itertuples(index=False):
            if number:
                found.setdefault(statement, set()).add(number)
    return {statement: next(iter(numbers)) for statement, numbers in found.items() if len(numbers) == 1}


def published_rows(ledgers: Ledgers) -> Sequence[tuple[str, ...]]:
    """List what was published beside what was measured: study, claim, setting, published, measured, verdict."""
    return [
        (title, *(str(row[name]) for name in ("statement", "setting", "published", "measured")), verdict_text(row))
        for title, frame in ledgers
        for _, row in frame[frame["published"] != ""].iterrows()
    ]
