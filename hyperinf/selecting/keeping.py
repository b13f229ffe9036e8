"""Which rows are kept: in turns between targets or queries, within strata, without near duplicates."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperinf.errors import InputError
from hyperinf.pipeline.selection_strategies import quotas

Scores = NDArray[np.floating]


def number_kept(share: str, rows: int) -> int:
    """Count the rows of a share such as ``20%`` or ``0.2``, or of a number.

    Raises:
        InputError: fewer than one row, or more than there are.
    """
    if share.endswith("%"):
        kept = round(float(share[:-1]) / 100 * rows)
    else:
        kept = round(float(share) * rows) if "." in share else int(share)
    if not 1 <= kept <= rows:
        raise InputError(f"keep: got {share}, {kept:,} of {rows:,} rows, expected 1 to {rows:,} rows")
    return kept


def standardised(scores: Scores) -> Scores:
    """Bring the scores of each target to one scale, so that none outweighs the others: ``[n, k]`` by column."""
    spread = scores.std(axis=0)
    return np.asarray((scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def in_turns(scores: Scores, number: int, allowed: NDArray[np.bool_], strata: Sequence[str] | None = None) -> list[int]:
    """Choose rows with the smallest influence, each column choosing the next one in turn.

    Args:
        scores: ``[n, k]``, positive is harmful.
        number: of rows to choose; fewer where fewer are allowed.
        allowed: ``[n]``, the rows to choose from.
        strata: n names; their shares of the allowed rows are kept. None for one stratum.

    Returns:
        The rows in the order in which they were chosen, stratum after stratum.

    Raises:
        InputError: scores that are not finite.
    """
    rows = np.flatnonzero(allowed)
    number = min(number, len(rows))
    if strata is None:
        return _turns(scores, rows, number)
    names = np.asarray(strata, dtype=object)
    chosen: list[int] = []
    for name, quota in quotas([str(each) for each in names[rows]], number).items():
        chosen += _turns(scores, rows[names[rows] == name], quota)
    return chosen


def _turns(scores: Scores, rows: NDArray[np.int64], number: int) -> list[int]:
    columns = scores.shape[1]
    # One that has all its turns first would still find its row among so many.
    most = min(len(rows), number)
    orders = []
    for column in range(columns):
        values = np.asarray(scores[:, column])[rows]
        if not np.isfinite(values).all():
            raise InputError(
                "influence: got scores that are not finite, expected finite ones; take a lower learning rate"
            )
        orders.append(iter(rows[np.argsort(values, kind="stable")[:most]].tolist()))
    taken: dict[int, None] = {}
    while len(taken) < number:
        for order in orders:
            row = next((each for each in order if each not in taken), None)
            if row is not None and len(taken) < number:
                taken[row] = None
    return list(taken)


def best_of_groups(groups: NDArray[np.int64], scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Allow of each group the row with the smallest influence.

    Args:
        groups: ``[n]``.
        scores: ``[n]``.
    """
    order = np.lexsort((np.arange(len(scores)), scores))
    _, first = np.unique(groups[order], return_index=True)
    allowed = np.zeros(len(groups), dtype=bool)
    allowed[order[first]] = True
    return allowed


def quarters(lengths: NDArray[np.int64]) -> list[str]:
    """Name the quarter that each length is in."""
    edges = np.quantile(lengths, [0.25, 0.5, 0.75])
    return [("shortest", "short", "long", "longest")[int(place)] for place in np.searchsorted(edges, lengths)]


def length_bias(scores: NDArray[np.floating], lengths: NDArray[np.int64]) -> float:
    """Compute Spearman's rank correlation of helpfulness and length; 0 where there is none to compute."""
    from scipy import stats

    if len(set(lengths.tolist())) < 2 or np.ptp(scores) == 0:
        return 0.0
    found = float(stats.spearmanr(-scores, lengths).statistic)
    return found if math.isfinite(found) else 0.0
