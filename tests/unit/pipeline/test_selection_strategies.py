import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinf.errors import InputError
from hyperinf.pipeline.selection_strategies import keep_least_harmful, keep_random

SCORES = np.array([0.5, -1.0, 0.0, -2.0, 3.0, -0.5, 0.0, 1.0, -3.0, 2.0])


def test_the_samples_with_the_smallest_influence_are_kept_in_their_order():
    assert keep_least_harmful(SCORES, 0.3).tolist() == [1, 3, 8]


def test_of_equal_scores_the_earlier_samples_are_kept():
    assert keep_least_harmful(np.zeros(10), 0.4).tolist() == [0, 1, 2, 3]


def test_within_strata_each_keeps_its_own_share():
    strata = ["yes"] * 8 + ["no"] * 2
    kept = keep_least_harmful(SCORES, 0.5, strata)
    # round(0.5 * 10) = 5, of which 8/10 and 2/10 are 4 and 1.
    assert kept.tolist() == [1, 2, 3, 5, 8]


@given(
    scores=st.lists(st.floats(-5, 5), min_size=4, max_size=40),
    fraction=st.floats(0.3, 1.0),
    classes=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_a_stratified_selection_has_the_asked_size_and_is_off_the_exact_quota_by_less_than_one(
    scores, fraction, classes, seed
):
    strata = [str(label) for label in np.random.default_rng(seed).integers(0, classes, len(scores))]
    kept = keep_least_harmful(np.array(scores), fraction, strata)
    assert len(set(kept.tolist())) == len(kept) == round(fraction * len(scores))
    for name in set(strata):
        quota = len(kept) * strata.count(name) / len(strata)
        assert abs(sum(strata[index] == name for index in kept) - quota) < 1
    for name in set(strata):
        members = [index for index in range(len(scores)) if strata[index] == name]
        inside = [scores[index] for index in members if index in kept]
        outside = [scores[index] for index in members if index not in kept]
        assert all(one <= other for one, other in itertools.product(inside, outside))


def test_a_random_selection_depends_on_its_seed_only_and_takes_every_sample_about_as_often():
    assert keep_random(50, 0.2, 3).tolist() == keep_random(50, 0.2, 3).tolist()
    counts = np.zeros(50)
    for seed in range(400):
        counts[keep_random(50, 0.2, seed)] += 1
    # 400 draws of a fraction of 0.2: 80 on average, with a standard deviation of 8.
    assert counts.sum() == 400 * 10
    assert 48 < counts.min() < counts.max() < 112


@pytest.mark.parametrize(
    ("fraction", "scores", "message"),
    [
        (0.0, SCORES, "^fraction: .*above 0"),
        (1.2, SCORES, "^fraction: .*at most 1"),
        (0.04, SCORES, "^fraction: .*one sample"),
        (0.5, np.array([0.0, np.nan]), "^influence: .*finite"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(fraction, scores, message):
    with pytest.raises(InputError, match=message):
        keep_least_harmful(scores, fraction)
