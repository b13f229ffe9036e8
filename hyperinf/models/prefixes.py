"""Rows of tokens as segments that rows with the same beginning share, and how many tokens these are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

WORTH = 8
"""Tokens that a shared segment saves for each segment after it, at least.

A segment of its own is a forward pass more, and its keys and values are copied for what comes after it. On one core
that takes as long as two tokens, and four save a tenth of the time; where passes are short, as on a GPU, it is more.
"""


@dataclass(frozen=True)
class Segment:
    """Tokens that rows have in common at the same places, after the same tokens.

    Attributes:
        start: place of the first token in the rows.
        tokens: one or more ids.
        rows: indices of the rows that it is part of, and of those that end in it or before.
        after: the segments that these rows go on with; none where they end.
    """

    start: int
    tokens: tuple[int, ...]
    rows: tuple[int, ...]
    after: tuple["Segment", ...]

    @property
    def end(self) -> int:
        """Place after the last token."""
        return self.start + len(self.tokens)


def shared_segments(
    rows: Sequence[tuple[int, ...]], worth: int = WORTH, among: Sequence[int] | None = None
) -> list[Segment]:
    """Cut rows into segments, so that what many of them begin with stands there once.

    Rows are cut wherever they part, to any depth: an instruction for all questions, a context for some, a question,
    its choices. A segment after which k others come saves its tokens k - 1 times. Where that is less than ``worth`` for
    each of the k, it is put in front of each of them instead.

    Args:
        rows: n rows of one or more tokens, all different.
        worth: tokens.
        among: indices of the rows that are cut; all when None.

    Returns:
        The segments that rows begin with. A row that another one begins with has no segment of its own.
    """
    # A row stands before those that it begins, so that neighbours tell which rows lie within others.
    lines: list[list[int]] = []
    for index in sorted(range(len(rows)) if among is None else among, key=rows.__getitem__):
        before = rows[lines[-1][-1]] if lines else None
        if before is not None and rows[index][: len(before)] == before:
            lines[-1].append(index)
        else:
            lines.append([index])
    return _within(rows, lines, 0, worth) if lines else []


def token_count(segments: Sequence[Segment]) -> int:
    """Count the tokens of segments and of all that come after them."""
    return sum(len(segment.tokens) + token_count(segment.after) for segment in segments)


def _within(rows: Sequence[tuple[int, ...]], lines: list[list[int]], start: int, worth: int) -> list[Segment]:
    """The segments of sorted lines of rows, the last of a line its longest, that are alike before ``start``."""
    first, last = rows[lines[0][-1]], rows[lines[-1][-1]]
    members = tuple(chain.from_iterable(lines))
    if len(lines) == 1:
        return [Segment(start, first[start:], members, ())]
    # What the first and the last of sorted rows have in common, all have.
    end = next(place for place in range(start, len(first)) if first[place] != last[place])
    parts = (list(part) for _, part in groupby(lines, key=lambda line: rows[line[-1]][end]))
    after = [segment for part in parts for segment in _within(rows, part, end, worth)]
    shared = first[start:end]
    if shared and len(shared) * (len(after) - 1) >= worth * len(after):
        return [Segment(start, shared, members, tuple(after))]
    return [replace(segment, start=start, tokens=shared + segment.tokens) for segment in after]
