"""Draw a verdict from differences, by the rule in ``rule.yaml``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from hyperinf.reporting.intervals import Interval, t_interval
from hyperinf.reporting.rule import rule

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
NO_DIFFERENCE = "no difference that matters"
UNDECIDED = "undecided"
DEGENERATE = "degenerate"
NOT_TESTED = "not tested"
VERDICTS = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE, UNDECIDED, DEGENERATE, NOT_TESTED)
_TINY = 1e-12
"""Differences that rounding makes."""


@dataclass(frozen=True)
class Decision:
    """A verdict on "the differences are positive".

    Attributes:
        verdict: one of ``VERDICTS``.
        interval: of the mean difference.
        p: probability of such differences where there is none, or of such small ones where one matters, whichever is
            smaller; only one of the two can be so, hence the smaller one needs no correction. NaN where not tested.
        needed: seeds that would decide, were mean and spread the same; None where decided or beyond the rule's most.
    """

    verdict: str
    interval: Interval
    p: float = math.nan
    needed: int | None = None


def decide(values: Sequence[float], margin: float, level: float | None = None) -> Decision:
    """Draw the verdict on "the differences are positive".

    The interval of the mean lies within ± margin: no difference that matters. Else above 0: supported; below 0:
    contradicted; else undecided. Differences that are all exactly 0 are degenerate: both sides are the same.

    Args:
        values: one difference a seed.
        margin: the largest difference that does not matter.
        level: the interval covers ``1 - level``; the rule's when None.
    """
    level = rule().level if level is None else level
    if not np.isfinite(values).all():
        return Decision(NOT_TESTED, Interval(math.nan, math.nan, len(values)))
    interval = t_interval(values)
    if len(values) < rule().units:
        return Decision(NOT_TESTED, interval)
    if not np.any(values):
        return Decision(DEGENERATE, interval)
    n, error = len(values), float(stats.sem(values))
    zero, matters = _two_sided(abs(interval.mean), error, n), _two_sided(margin - abs(interval.mean), error, n)
    if matters <= level:
        verdict = NO_DIFFERENCE
    elif zero <= level:
        verdict = SUPPORTED if interval.mean > 0 else CONTRADICTED
    else:
        return Decision(UNDECIDED, interval, min(zero, matters), _needed(interval.mean, error * n**0.5, margin, level))
    return Decision(verdict, interval, min(zero, matters))


def decide_equal(values: Sequence[float], margin: float, level: float | None = None) -> Decision:
    """Draw the verdict on "the differences do not matter", as :func:`decide` does: within the margin supports it."""
    found = decide(values, margin, level)
    drawn = {NO_DIFFERENCE: SUPPORTED, SUPPORTED: CONTRADICTED}
    return replace(found, verdict=drawn.get(found.verdict, found.verdict))


def _two_sided(distance: float, error: float, n: int) -> float:
    """Student's probability of a mean that far beyond a bound; 1 where it is not beyond it."""
    if distance <= _TINY:
        return 1.0
    return 0.0 if error <= _TINY else float(2 * stats.t.sf(distance / error, n - 1))


def _needed(mean: float, spread: float, margin: float, level: float) -> int | None:
    counts = np.arange(rule().units, rule().most + 1)
    half = stats.t.ppf(1 - level / 2, counts - 1) * spread / np.sqrt(counts)
    decided = (half < abs(mean)) | (half < margin - abs(mean))
    return int(counts[decided.argmax()]) if decided.any() else None


def holm_levels(probabilities: Sequence[float]) -> list[float]:
    """Compute the level at which each of several claims is decided, so that one wrong decision has the rule's level.

    Sorted by probability, the k-th of m (from 0) has ``level / (m - k)``; from the first that misses its own on, all
    have the level of that one. NaN (not tested, degenerate) does not count.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    tested = sorted((p, k) for k, p in enumerate(probabilities) if not math.isnan(p))
    levels = [rule().level] * len(probabilities)
    own, missed = rule().level, False
    for k, (p, place) in enumerate(tested):
        if not missed:
            own = rule().level / (len(tested) - k)
            missed = p > own
        levels[place] = own
    return levels


def counted_verdict(held: Sequence[float]) -> str:
    """Draw the verdict on a claim that holds or does not: in each seed supported, in none contradicted.

    Args:
        held: one number a seed: 1 where it holds, 0 where it does not, or the share of settings in which it holds.
    """
    if len(held) < rule().units:
        return NOT_TESTED
    if min(held) > 0.5:
        return SUPPORTED
    return CONTRADICTED if max(held) < 0.5 else UNDECIDED


def distance_verdict(distance: float) -> str:
    """Draw the verdict on "two matrices are near each other" from their relative distance."""
    if not math.isfinite(distance):
        return NOT_TESTED
    near, far = rule().distance
    if distance <= near:
        return SUPPORTED
    return CONTRADICTED if distance > far else UNDECIDED


def mean_by_seed(settings: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Average over settings the numbers of each seed that all of them have."""
    if not settings:
        return {}
    common = sorted(set.intersection(*(set(each) for each in settings)))
    return {seed: float(np.mean([each[seed] for each in settings])) for seed in common}
