"""Which rows of questions are run with what they share run once: decided by the number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinf.models.prefixes import Segment, shared_segments, token_count

MOST = 0.85
"""Share of the plain passes' tokens that the passes over segments may come to, and be taken.

There are more of them, of fewer tokens each, and the output layer has as much to do: a few tokens less save no time.
"""
MOST_OF_SINGLE = 0.5
"""The same where every question is one row."""


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

    Tokens are counted: those of all segments, and those of the trial, two questions run plainly and from segments,
    against those of all rows. Padding is not counted. Where no question has several rows, as with choices of one token
    each, half of the tokens have to be saved, as by examples before every question: what a short instruction saves is
    not worth other bits than passes have always had.

    Args:
        rows: n rows of one or more tokens, all different.
        questions: indices of each question's rows.

    Returns:
        None where plain passes over all rows are to be taken.
    """
    segments = shared_segments(rows)
    several = [each for each in questions if len({rows[row] for row in each}) > 1]
    tried = _tried(rows, several) if several else _tried_together(rows, segments)
    if not tried:
        return None
    plan = Plan(segments, tried, shared_segments(rows, worth=0, among=tried))
    plain = sum(map(len, rows))
    trial = sum(len(rows[row]) for row in tried) + token_count(plan.tried_segments)
    return plan if token_count(plan.segments) + trial <= (MOST if several else MOST_OF_SINGLE) * plain else None


def _tried(rows: Sequence[tuple[int, ...]], several: Sequence[Sequence[int]]) -> list[int]:
    """The questions with the longest and the shortest row, of those whose rows begin alike, as others share nothing."""
    alike = [each for each in several if len({rows[row][0] for row in each}) == 1]
    if not alike:
        return []
    longest = max(alike, key=lambda each: max(len(rows[row]) for row in each))
    shortest = min(alike, key=lambda each: min(len(rows[row]) for row in each))
    return sorted({*longest, *shortest})


def _tried_together(rows: Sequence[tuple[int, ...]], segments: Sequence[Segment]) -> list[int]:
    """The longest and the shortest row of those that most rows share their beginning with."""
    shared = [segment for segment in segments if segment.after]
    if not shared:
        return []
    order = sorted(max(shared, key=lambda each: len(each.rows)).rows, key=lambda row: len(rows[row]))
    return sorted({order[0], order[-1]})
