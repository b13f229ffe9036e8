"""Compute means with 95 % t-intervals over seeds, and the same for paired differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` seeds and the half-width of its interval; NaN where one value allows no interval."""

    mean: float
    half_width: float
    n: int

    @property
    def low(self) -> float:
        """The interval's lower end, NaN when there is no interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The interval's upper end, NaN when there is no interval."""
        return self.mean + self.half_width

    @property
    def sign(self) -> int | None:
        """+1 or -1 when the interval lies wholly above or below 0, 0 when it holds 0, None when there is none."""
        if not math.isfinite(self.half_width):
            return None
        if abs(self.mean) <= self.half_width + _ROUNDING:
            return 0
        return 1 if self.mean > 0 else -1


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Compute Student's interval of the mean, at 95 % ``mean ± t(0.975, n - 1) * s / sqrt(n)``, ``s`` of the sample.

    Args:
        values: one number per seed; NaN is not skipped.
        confidence: that the interval covers, of 1.

    Returns:
        The interval; half-width NaN for one value, mean NaN as well for none.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, 0)
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, math.nan, 1)
    # Not ttest_1samp's confidence_interval: it warns where all seeds agree, and a half-width made from its two ends
    # loses the digits that they share.
    return Interval(mean, float(stats.t.ppf(0.5 + confidence / 2, n - 1) * stats.sem(values)), n)


def paired_interval(first: Mapping[int, float], second: Mapping[int, float]) -> Interval:
    """Compute the interval of ``first - second`` over the seeds that both have (keys are seeds)."""
    common = sorted(set(first) & set(second))
    return t_interval([first[seed] - second[seed] for seed in common])
