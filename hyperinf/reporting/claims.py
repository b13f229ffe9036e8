"""Keep the claims ledger: what was published, what this run measured, and the verdict that a stated rule draws."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from hyperinf.artifacts.files import write_text
from hyperinf.reporting.intervals import Interval
from hyperinf.reporting.labels import counted
from hyperinf.reporting.table_writers import Table, markdown, write_csv

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
WITHIN_NOISE = "within noise"
NOT_TESTED = "not tested"
VERDICTS = (SUPPORTED, CONTRADICTED, WITHIN_NOISE, NOT_TESTED)

PUBLISHED_CLAIM = "published"
OWN_QUESTION = "asked here"

MIN_SEEDS = 2
COLUMNS = ["statement", "origin", "source", "setting", "published", "measured", "rule", "verdict"]

PAIRED_RULE = (
    "95 % t-interval of the difference, paired over seeds: above 0 supported, below 0 contradicted, holding 0 within "
    "noise; fewer than two common seeds: not tested"
)


@dataclass(frozen=True)
class Claim:
    """One claim in one setting.

    Attributes:
        statement: what is claimed.
        source: where it was published; ``""`` for a question that the publication does not pose.
        setting: the part of this run it is judged on.
        published: the published numbers, empty where none are at hand.
        measured: this run's numbers.
        rule: how the verdict follows from them.
        verdict: one of ``VERDICTS``.
    """

    statement: str
    source: str
    setting: str
    published: str
    measured: str
    rule: str
    verdict: str

    @property
    def origin(self) -> str:
        """``published``, or ``asked here``."""
        return PUBLISHED_CLAIM if self.source else OWN_QUESTION


def paired_claim(statement: str, source: str, setting: str, interval: Interval, published: str = "") -> Claim:
    """Judge a claim that a difference is positive, by its paired interval."""
    return Claim(statement, source, setting, published, points_text(interval), PAIRED_RULE, sign_verdict(interval.sign))


def points_text(interval: Interval) -> str:
    """Print a difference of fractions in points of percent with its interval."""
    if interval.n == 0:
        return "not run"
    spread = "no interval" if math.isnan(interval.half_width) else f"± {100 * interval.half_width:.1f}"
    points = f"{100 * interval.mean:+.1f}".replace("-", "−")
    return f"{points} points {spread} ({counted(interval.n, 'seed')})"


def sign_verdict(sign: int | None) -> str:
    """Draw the verdict on "the difference is positive" from the sign of its interval (see ``Interval.sign``)."""
    if sign is None:
        return NOT_TESTED
    return {1: SUPPORTED, 0: WITHIN_NOISE, -1: CONTRADICTED}[sign]


def unanimous_verdict(per_seed: Sequence[bool]) -> str:
    """Draw the verdict: supported when true of every seed, contradicted when of none; not tested below two seeds."""
    if len(per_seed) < MIN_SEEDS:
        return NOT_TESTED
    if all(per_seed):
        return SUPPORTED
    return WITHIN_NOISE if any(per_seed) else CONTRADICTED


def separation_verdict(smaller: Sequence[float], larger: Sequence[float]) -> str:
    """Draw the verdict on "the second set of values is larger", which is clear when the two do not overlap."""
    if min(len(smaller), len(larger)) < MIN_SEEDS or any(map(math.isnan, [*smaller, *larger])):
        return NOT_TESTED
    if min(larger) > max(smaller):
        return SUPPORTED
    return CONTRADICTED if max(larger) < min(smaller) else WITHIN_NOISE


def combined_verdict(steps: Sequence[str]) -> str:
    """Draw the verdict on a claim about every step: that of all of them, not tested when one could not be."""
    if not steps or NOT_TESTED in steps:
        return NOT_TESTED
    return steps[0] if len(set(steps)) == 1 else WITHIN_NOISE


def claims_frame(claims: Iterable[Claim]) -> pd.DataFrame:
    """Make the ledger, one row per claim and setting."""
    rows = [{**asdict(claim), "origin": claim.origin} for claim in claims]
    return pd.DataFrame(rows, columns=COLUMNS)


def summary_table(frame: pd.DataFrame) -> Table:
    """Make one row per claim: in how many settings each verdict fell."""
    rows = []
    for (origin, statement, source), group in frame.groupby(["origin", "statement", "source"], sort=False):
        counts = group["verdict"].value_counts()
        rows.append((statement, *(str(int(counts.get(verdict, 0))) for verdict in VERDICTS), origin, source or "–"))
    headers = ("claim", *VERDICTS, "origin", "source")
    return Table("Claims and in how many settings each verdict fell", headers, tuple(rows))


def ledger_sections(frame: pd.DataFrame) -> list[tuple[Table, str]]:
    """Make the ledger for reading on a page: a table of settings for every claim, and the rule of its verdicts."""
    sections = []
    for (origin, statement, _, rule), group in frame.groupby(["origin", "statement", "source", "rule"], sort=False):
        known = ("published",) if (group["published"] != "").any() else ()
        columns = ("setting", "verdict", "measured", *known)
        rows = tuple(tuple(str(row[column]) or "–" for column in columns) for _, row in group.iterrows())
        sections.append((Table(f"{statement} ({origin})", columns, rows), str(rule)))
    return sections


def ledger_table(frame: pd.DataFrame) -> Table:
    """Make a row of every claim in every setting, with its numbers and rule."""
    columns = ("statement", "setting", "verdict", "published", "measured", "rule")
    rows = tuple(tuple(str(row[column]) or "–" for column in columns) for _, row in frame.iterrows())
    return Table("All claims, setting by setting", ("claim", *columns[1:]), rows)


def write_claims(frame: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.csv`` and ``folder/name.md``."""
    target = Path(folder) / f"{name}.md"
    write_text(target, markdown([summary_table(frame), ledger_table(frame)]))
    return [write_csv(frame, Path(folder) / f"{name}.csv"), target]
