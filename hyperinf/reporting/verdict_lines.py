"""Say the verdicts in a few aligned lines, for the terminal at the end of a run."""

from pathlib import Path

import pandas as pd

from hyperinf.reporting.claims import PUBLISHED_CLAIM, primary_frame
from hyperinf.reporting.forest import SIGNS, Lines, forest
from hyperinf.reporting.ledger import read_ledgers
from hyperinf.reporting.manifest import read_manifests
from hyperinf.reporting.verdicts import CONTRADICTED, NO_DIFFERENCE, SUPPORTED, UNDECIDED, VERDICTS

LINES = 18
_DECIDED = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE)
_COLOURS = {SUPPORTED: 34, CONTRADICTED: 31, UNDECIDED: 33}
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
    said = ["  ".join(["published claims".ljust(first), *heads])]
    for group in groups:
        counts = {each["verdict"]: str(each["count"]) for each in group["tally"]}
        numbers = (counts.get(name, "").rjust(len(head)) for name, head in zip(fell, heads, strict=True))
        said.append("  ".join([group["title"].ljust(first), *numbers]).rstrip())
    told = [line for group in groups for panel in group["panels"] for line in panel["lines"]]
    decided = [line for name in _DECIDED for line in told if line["verdict"] == name]
    room = LINES - len(said)
    shown = decided if len(decided) <= room else decided[: room - 1]
    said += _claims(shown, width, colour)
    if len(shown) < len(decided):
        said.append(f"… and {len(decided) - len(shown)} more that were decided")
    return said


def _claims(lines: Lines, width: int, colour: bool) -> list[str]:
    numbers = max((len(line["measured"]) for line in lines), default=0)
    longest = max((len(line["label"]) for line in lines), default=0)
    room = max(20, min(longest, width - numbers - 5))
    said = []
    for line in lines:
        label = line["label"] if len(line["label"]) <= room else f"{line['label'][: room - 1]}…"
        code = _COLOURS.get(line["verdict"])
        sign = f"\x1b[{code}m{line['sign']}\x1b[0m" if colour and code else line["sign"]
        said.append(f"{sign} {label.ljust(room)}  {line['measured']}".rstrip())
    return said
