"""Which rows of questions are run with what they share run once: decided by the number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinf.models.prefixes import Segment, shared_segments, token_count

MOST = 0.85
"""Share of the plain passes' tokens that the passes over segments may come to, and be taken.

There are more of them, of fewer tokens each, and the output layer has as much to do: a few tokens less save no time.
"""


@dataclass(frozen=True)
class Plan:
    """How rows are run with what they share run once.

    Attributes:
        segments: of all rows.
        tried: indices of the rows that are run plainly as well, before the others: a model may not keep a cache.
        tried_segments: of these rows, cut wherever they part.
    """

    segments: list[Segment]
    tried: list[int]
    tried_segments: list[Segment]


def sharing_plan(rows: Sequence[tuple[int, ...]], questions: Sequence[Sequence[int]]) -> Plan | None:
    """Plan to run what rows share once, where that saves enough.

    Tokens are counted: those of all segments, and those of the trial, the questions with the longest and the shortest
    row run plainly and from segments, against those of all rows. Padding is not counted. Where no question has several
    rows, as with choices of one token each, nothing is shared: the passes and their bits stay what they always were.

    Args:
        rows: n rows of one or more tokens, all different.
        questions: indices of each question's rows.

    Returns:
        None where plain passes over all rows are to be taken.
    """
    # The trial has to reach what is shared: rows that differ from the first token on share nothing.
    several = [
        each for each in questions if len({rows[row] for row in each}) > 1 and len({rows[row][0] for row in each}) == 1
    ]
    if not several:
        return None
    longest = max(several, key=lambda each: max(len(rows[row]) for row in each))
    shortest = min(several, key=lambda each: min(len(rows[row]) for row in each))
    tried = sorted({*longest, *shortest})
    plan = Plan(shared_segments(rows), tried, shared_segments(rows, worth=0, among=tried))
    plain = sum(map(len, rows))
    trial = sum(len(rows[row]) for row in tried) + token_count(plan.tried_segments)
    return plan if token_count(plan.segments) + trial <= MOST * plain else None
