import math

import pytest
from scipy import stats

from hyperinf.reporting.intervals import paired_interval, t_interval


def test_interval_of_three_values_is_the_hand_calculation():
    interval = t_interval([1.0, 2.0, 3.0])
    # s = 1, t(0.975, 2) = 4.302653
    assert (interval.mean, interval.n) == (2.0, 3)
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("values", [[0.3, 0.9], [0.7, 0.71, 0.74, 0.8, 0.9], list(range(30))])
def test_interval_agrees_with_scipy(values):
    interval = t_interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=interval.mean, scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)


def test_one_seed_has_a_mean_but_no_interval_and_no_sign():
    interval = t_interval([0.7])
    assert interval.mean == 0.7
    assert math.isnan(interval.half_width)
    assert interval.sign is None


def test_no_seed_has_neither():
    assert math.isnan(t_interval([]).mean)
    assert t_interval([]).n == 0


def test_pairing_uses_the_common_seeds_only():
    interval = paired_interval({11: 0.9, 12: 0.8, 13: 0.7}, {12: 0.5, 13: 0.6, 14: 0.1})
    assert interval.n == 2
    assert interval.mean == pytest.approx(0.2)
    assert interval.half_width == pytest.approx(12.7062047 * (0.1 * math.sqrt(2)) / math.sqrt(2), rel=1e-6)


def test_pairing_sees_a_difference_that_the_spread_over_seeds_hides():
    ours, theirs = {1: 0.50, 2: 0.70, 3: 0.90}, {1: 0.49, 2: 0.692, 3: 0.889}
    assert t_interval(list(ours.values())).half_width > 0.4
    assert paired_interval(ours, theirs).sign == 1
    assert paired_interval(theirs, ours).sign == -1


def test_an_interval_that_holds_zero_has_sign_zero():
    assert t_interval([-0.1, 0.3, 0.1]).sign == 0
    assert t_interval([0.0, 0.0]).sign == 0
