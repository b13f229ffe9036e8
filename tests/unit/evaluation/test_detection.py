import itertools

import numpy as np
import pytest

from hyperinf.evaluation.detection import curve_auc, detection_curve, rank_correlation, roc_auc, roc_auc_within


def test_roc_auc_counts_the_pairs_that_are_in_order_ties_half():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 6, size=15).astype(float)
        flipped = rng.random(15) < 0.4
        if flipped.all() or not flipped.any():
            continue
        pairs = [(p > n) + 0.5 * (p == n) for p in scores[flipped] for n in scores[~flipped]]
        assert roc_auc(scores, flipped) == sum(pairs) / len(pairs)  # to the bit: half-counts have no rounding


def test_the_curve_counts_flipped_samples_from_the_most_suspicious_down():
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    flipped = np.array([False, True, True, False])
    shares = np.array([0, 0.25, 0.5, 0.75, 1.0])
    assert detection_curve(scores, flipped, shares).tolist() == [0, 0.5, 0.5, 1.0, 1.0]


def test_ties_give_the_mean_over_all_orders_of_the_tied_samples():
    scores = np.array([1.0, 0.5, 0.5, 0.5, 0.0])
    flipped = np.array([False, True, False, True, True])
    tied = [1, 2, 3]
    expected = np.zeros(6)
    for order in itertools.permutations(tied):
        found = np.cumsum(flipped[[0, *order, 4]]) / 3
        expected += np.concatenate([[0], found]) / 6
    assert detection_curve(scores, flipped, np.arange(6) / 5) == pytest.approx(expected)


def test_the_file_s_order_cannot_help_a_constant_score():
    flipped = np.arange(100) < 20
    assert roc_auc(np.zeros(100), flipped) == 0.5
    assert curve_auc(np.zeros(100), flipped) == pytest.approx(0.5)
    assert detection_curve(np.zeros(100), flipped, np.array([0.2]))[0] == pytest.approx(0.2)


def test_a_perfect_score_has_the_area_that_the_share_of_flips_allows():
    flipped = np.arange(100) < 20
    assert roc_auc(flipped.astype(float), flipped) == 1.0
    assert curve_auc(flipped.astype(float), flipped) == pytest.approx(0.9)


def test_with_nothing_flipped_there_is_no_roc_auc():
    with pytest.raises(ValueError, match="got 0 of 5 samples"):
        roc_auc(np.arange(5.0), np.zeros(5, dtype=bool))


def test_within_answers_a_score_that_only_tells_answers_apart_is_worth_nothing():
    observed = ["yes"] * 6 + ["no"] * 6
    flipped = np.array([True, True, True, True, False, False] + [True] + [False] * 5)
    offset = np.array([1.0] * 6 + [0.0] * 6)
    assert roc_auc(offset, flipped) > 0.7
    assert roc_auc_within(offset, flipped, observed) == 0.5
    assert roc_auc_within(offset + 0.1 * flipped, flipped, observed) == 1.0


def test_within_answers_pairs_of_one_answer_are_counted():
    rng = np.random.default_rng(3)
    scores, flipped = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    observed = [str(each) for each in rng.integers(0, 3, 40)]
    pairs = [
        (scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n])
        for p in np.flatnonzero(flipped)
        for n in np.flatnonzero(~flipped)
        if observed[p] == observed[n]
    ]
    assert roc_auc_within(scores, flipped, observed) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_within_answers_of_one_sample_each_there_is_nothing_to_tell():
    assert roc_auc_within(np.arange(3.0), np.array([True, False, True]), ["a", "b", "c"]) is None


def test_rank_correlation_is_that_of_ranks():
    first = np.array([0.0, 1.0, 2.0, 10.0])
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.array([1.0, 0.0, 2.0, 3.0])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert rank_correlation(first, np.ones(4)) == 0
