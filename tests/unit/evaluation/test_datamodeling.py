"""The linear datamodeling score, held against models whose retraining is known and against another implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from hyperinf.evaluation.datamodeling import (
    bootstrapped,
    mean_correlation,
    predicted,
    rank_correlations,
    top_overlap,
)
from hyperinf.evaluation.subsets import draw_subsets

DATTRI = json.loads(Path(__file__).with_name("dattri_lds.json").read_text(encoding="utf-8"))


def scored(subsets, scores, losses):
    return rank_correlations(predicted(subsets, scores), losses)


def test_the_score_is_that_of_another_implementation():
    scores, losses = np.array(DATTRI["scores"]), np.array(DATTRI["losses"])
    subsets = np.zeros((len(losses), len(scores)), dtype=bool)
    for row, indices in zip(subsets, DATTRI["subsets"], strict=True):
        row[indices] = True
    np.testing.assert_allclose(scored(subsets, scores, losses), DATTRI["lds"], rtol=0, atol=1e-12)


def test_scores_that_are_the_change_itself_score_1_and_their_negative_minus_1():
    rng = np.random.default_rng(0)
    subsets = draw_subsets(40, 0.5, 60, seed=1)
    effects = rng.normal(size=(40, 7))
    losses = 3.0 + subsets @ effects  # additive, as of a datamodel
    np.testing.assert_allclose(scored(subsets, effects, losses), 1.0)
    np.testing.assert_allclose(scored(subsets, -effects, losses), -1.0)


def test_influence_of_a_ridge_regression_predicts_retraining_by_closed_form():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(200, 5)), rng.normal(size=200)
    y = x @ rng.normal(size=5) + noise
    queries, answers = rng.normal(size=(20, 5)), rng.normal(size=20) * 5

    def fit(rows):
        return np.linalg.solve(x[rows].T @ x[rows] + np.eye(5), x[rows].T @ y[rows])

    everything = np.arange(200)
    weights = fit(everything)
    hessian = x.T @ x + np.eye(5)
    gradients = (x @ weights - y)[:, None] * x
    targets = (queries @ weights - answers)[:, None] * queries
    influence = -gradients @ np.linalg.solve(hessian, targets.T)
    subsets = draw_subsets(200, 0.5, 80, seed=2)
    losses = np.array([0.5 * (queries @ fit(np.flatnonzero(row)) - answers) ** 2 for row in subsets])
    assert mean_correlation(scored(subsets, influence, losses)) > 0.9
    assert abs(mean_correlation(scored(subsets, rng.normal(size=influence.shape), losses))) < 0.1


def test_columns_are_correlated_as_scipy_does_ties_included():
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 4, (30, 6)).astype(float), rng.integers(0, 9, (30, 6)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(rank_correlations(first, second), expected, rtol=0, atol=1e-12)


def test_a_query_whose_loss_never_changes_is_left_out_of_the_mean():
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(20, 2))
    losses[:, 1] = 0.7
    found = rank_correlations(losses, losses)
    assert np.isnan(found[1])
    assert mean_correlation(found) == pytest.approx(1.0)
    assert np.isnan(mean_correlation(found[1:]))


def test_the_interval_holds_the_score_of_random_predictions_at_0_and_is_the_same_again():
    rng = np.random.default_rng(0)
    predictions = {"noise": rng.normal(size=(50, 40)), "exact": rng.normal(size=(50, 40))}
    spans = bootstrapped(predictions, predictions["exact"], 200, seed=4)
    assert spans["noise"][0] < 0 < spans["noise"][1]
    assert spans["exact"] == (1.0, 1.0)
    assert spans == bootstrapped(predictions, predictions["exact"], 200, seed=4)
    assert bootstrapped({"noise": predictions["noise"]}, predictions["exact"], 200, 4)["noise"] == spans["noise"]


@pytest.mark.parametrize(("samples", "fraction", "size"), [(10, 0.5, 5), (11, 0.5, 6), (3, 0.01, 1), (4, 0.99, 3)])
def test_subsets_are_of_one_size_and_neither_empty_nor_whole(samples, fraction, size):
    assert set(draw_subsets(samples, fraction, 8, seed=0).sum(axis=1)) == {size}


def test_more_subsets_begin_with_the_same_ones_and_other_seeds_draw_others():
    few, many = draw_subsets(30, 0.5, 4, 7), draw_subsets(30, 0.5, 9, 7)
    assert (many[:4] == few).all()
    assert len({row.tobytes() for row in many}) == 9
    assert (draw_subsets(30, 0.5, 4, 8) != few).any()


def test_overlap_of_the_most_helpful_is_1_for_one_ranking_and_counted_by_hand_for_others():
    same = np.repeat(np.arange(6.0)[:, None], 3, axis=1)
    assert top_overlap(same, 2) == 1
    # the two smallest: {0, 1}, {1, 2}, {4, 5}; one pair of three shares one of two
    three = np.array([[0, 9, 9], [1, 0, 9], [9, 1, 9], [9, 9, 9], [9, 9, 0], [9, 9, 1]], dtype=float)
    assert top_overlap(three, 2) == pytest.approx(1 / 6)
    assert np.isnan(top_overlap(same[:, :1], 2))
    assert top_overlap(three, 100) == 1
