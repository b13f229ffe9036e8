"""Say the verdicts in a few aligned lines, for the terminal at the end of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.reporting.claims import PUBLISHED_CLAIM, primary_frame
from hyperinf.reporting.forest import SIGNS, Lines, forest
from hyperinf.reporting.ledger import read_ledgers
from hyperinf.reporting.manifest import read_manifests
from hyperinf.reporting.verdicts import CONTRADICTED, NO_DIFFERENCE, SUPPORTED, VERDICTS

LINES = 18
_DECIDED = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE)
_COLOURS = {SUPPORTED: 34, CONTRADICTED: 31}
_SHORTER = {NO_DIFFERENCE: "no difference"}


def verdict_lines(results: Path, studies: tuple[str, ...], width: int, colour: bool = False) -> list[str]:
    """Count the verdicts on the published claims by study, and name the claims that were decided.

    Args:
        results: the results folder.
        studies: whose; of all that are there without any.
        width: of the terminal, characters; longer claims are cut.
        colour: paint the signs.

    Returns:
        At most ``LINES`` lines; none where no published claim was judged.
    """
    manifests = read_manifests(results, studies)
    ledgers = read_ledgers(results, manifests)
    if not ledgers:
        return []
    primary = primary_frame(pd.concat([frame for _, frame in ledgers], ignore_index=True))
    groups = forest(primary, ledgers, PUBLISHED_CLAIM)
    if not groups:
        return []
    fell = [name for name in VERDICTS if any(each["verdict"] == name for group in groups for each in group["tally"])]
    heads = [f"{SIGNS[name]} {_SHORTER.get(name, name)}" for name in fell]
    first = max(len(group["title"]) for group in groups)
    decided = [line for group in groups for line in _lines(group) if line["verdict"] in _DECIDED]
    room = LINES - 1 - len(groups)
    shown = decided if len(decided) <= room else decided[: room - 1]
    longest, numbers = (max((len(line[name]) for line in shown), default=0) for name in ("label", "measured"))
    claim = max(20, min(longest, width - numbers - 6))
    said = ["  ".join(["published claims".ljust(first), *heads])]
    for group in groups:
        counts = {each["verdict"]: str(each["count"]) for each in group["tally"]}
        cells = (counts.get(name, "").rjust(len(head)) for name, head in zip(fell, heads, strict=True))
        said.append("  ".join([group["title"].ljust(first), *cells]).rstrip())
        said += [_claim(line, claim, colour) for line in _lines(group) if any(line is each for each in shown)]
    if len(shown) < len(decided):
        said.append(f"… and {len(decided) - len(shown)} more that were decided")
    return said


def _lines(group: Mapping[str, Any]) -> Lines:
    return [line for panel in group["panels"] for line in panel["lines"]]


def _claim(line: Mapping[str, Any], width: int, colour: bool) -> str:
    label = line["label"] if len(line["label"]) <= width else f"{line['label'][: width - 1]}…"
    code = _COLOURS.get(line["verdict"])
    sign = f"\x1b[{code}m{line['sign']}\x1b[0m" if colour and code else line["sign"]
    return f"  {sign} {label.ljust(width)}  {line['measured']}".rstrip()
