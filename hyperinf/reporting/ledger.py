"""Print the claims ledger: one line a claim, and every setting of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.artifacts.files import write_text
from hyperinf.reporting.claims import COLUMNS
from hyperinf.reporting.inputs import Schema, read_csv
from hyperinf.reporting.rule import FILE, rule_hash
from hyperinf.reporting.table_writers import Table, markdown, write_csv
from hyperinf.reporting.verdicts import UNDECIDED, VERDICTS

Ledgers = Sequence[tuple[str, pd.DataFrame]]
"""The title of every study with its claims in every setting."""
_MAY_BE_EMPTY = ("source", "published", "measured", "metric", "values", "rule", "needed")
_SCHEMA = Schema(tuple(COLUMNS), (), (), (), optional=_MAY_BE_EMPTY)


def read_ledgers(results: Path, manifests: Sequence[Mapping[str, Any]]) -> Ledgers:
    """Read the claims of every study that has them.

    Args:
        results: the results folder.
        manifests: of ``manifest.read_manifests``.

    Raises:
        InputError: one cannot be read.
    """
    return [
        (str(manifest["title"]), read_csv(results / entry["files"][0], _SCHEMA, may_be_empty=True))
        for manifest in manifests
        for entry in manifest["entries"]
        if entry["kind"] == "claims" and (results / entry["files"][0]).is_file()
    ]


def verdict_text(row: pd.Series) -> str:
    """Give a verdict; of an undecided claim how many seeds would decide it."""
    if row["verdict"] != UNDECIDED or not str(row["needed"]):
        return str(row["verdict"])
    return f"{UNDECIDED} ({row['needed']} {row['unit']}s would)"


def primary_table(primary: pd.DataFrame) -> Table:
    """Make one row per claim: its verdict, and the numbers that it was drawn from."""
    rows = tuple(
        (row["statement"], verdict_text(row), row["measured"], row["origin"], row["source"] or "–")
        for _, row in primary.iterrows()
    )
    note = (
        "Verdicts over all settings of a claim: the mean over settings of every seed, then over seeds; corrected for "
        f"the number of claims (Holm), by {FILE} with SHA-256 {rule_hash()}. Intervals: 95 %, not corrected."
    )
    return Table("Claims and their verdicts", ("claim", "verdict", "measured", "origin", "source"), rows, note)


def summary_table(frame: pd.DataFrame) -> Table:
    """Make one row per claim: in how many settings each verdict fell."""
    rows = []
    for (origin, statement, source), group in frame.groupby(["origin", "statement", "source"], sort=False):
        counts = group["verdict"].value_counts()
        rows.append((statement, *(str(int(counts.get(verdict, 0))) for verdict in VERDICTS), origin, source or "–"))
    headers = ("claim", *VERDICTS, "origin", "source")
    return Table("In how many settings each verdict fell", headers, tuple(rows))


def claim_table(frame: pd.DataFrame) -> Table:
    """Make the table of one claim for reading on a page: a row of every setting."""
    known = ("published",) if (frame["published"] != "").any() else ()
    rows = tuple(
        (row["setting"], verdict_text(row), row["measured"], *(str(row[name]) or "–" for name in known))
        for _, row in frame.iterrows()
    )
    return Table("Setting by setting", ("setting", "verdict", "measured", *known), rows)


def ledger_table(frame: pd.DataFrame) -> Table:
    """Make a row of every claim in every setting, with its numbers and rule."""
    columns = ("published", "measured", "rule")
    rows = tuple(
        (row["statement"], row["setting"], verdict_text(row), *(str(row[column]) or "–" for column in columns))
        for _, row in frame.iterrows()
    )
    return Table("All claims, setting by setting", ("claim", "setting", "verdict", *columns), rows)


def write_ledger(frame: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.csv`` and ``folder/name.md``: claims in every setting."""
    target = Path(folder) / f"{name}.md"
    write_text(target, markdown([summary_table(frame), ledger_table(frame)]))
    return [write_csv(frame, Path(folder) / f"{name}.csv"), target]


def write_primary(primary: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.csv`` and ``folder/name.md``: one verdict a claim."""
    target = Path(folder) / f"{name}.md"
    write_text(target, markdown([primary_table(primary)]))
    return [write_csv(primary, Path(folder) / f"{name}.csv"), target]
