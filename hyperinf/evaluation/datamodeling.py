"""Measure how well scores predict what retraining on parts of the training set comes to.

The linear datamodeling score (Park et al. 2023, section 3): of subsets ``S_1..S_m``, each trained on alone,
``Spearman_j(sum_{i in S_j} s_i, L(theta_j))``. Scores here are influences on a loss, positive is harmful, so that of a
good method it is positive.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
_QUANTILES = (0.025, 0.975)


def rank_correlations(first: Array, second: Array) -> Array:
    """Compute Spearman's correlation column by column, ties counting half.

    Args:
        first: ``[m, q]``.
        second: ``[m, q]``.

    Returns:
        ``[q]``; NaN where a column has one value only, which no other goes along with.
    """
    return _correlations(_ranks(first), _ranks(second))


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=0), dtype=np.float64)


def _correlations(first: Array, second: Array) -> Array:
    a, b = first - first.mean(axis=0), second - second.mean(axis=0)
    size = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (a * b).sum(axis=0) / size, np.nan)


def predicted(subsets: Bools, scores: Array) -> Array:
    """Sum the scores of the samples of each subset, ``[m, q]``.

    Args:
        subsets: ``[m, n]``, which samples each one holds.
        scores: ``[n, q]``.
    """
    sums: Array = subsets.astype(np.float64) @ scores
    return sums


def mean_correlation(correlations: Array) -> float:
    """Average over queries; those whose loss, or score, is the same for all subsets say nothing and are left out."""
    known = correlations[~np.isnan(correlations)]
    return float(known.mean()) if len(known) else float("nan")


def bootstrapped(
    predictions: Mapping[str, Array], losses: Array, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Find 95 % intervals of mean rank correlations, by drawing the subsets again, with replacement.

    All predictions are judged on the same draws.

    Args:
        predictions: ``{name: [m, q]}``.
        losses: ``[m, q]``.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        ``{name: (low, high)}``; NaN where nothing is known.
    """
    draws = np.random.default_rng([seed, 1]).integers(0, len(losses), (resamples, len(losses)))
    found: dict[str, list[float]] = {name: [] for name in predictions}
    for rows in draws:
        ranked = _ranks(losses[rows])
        for name, values in predictions.items():
            found[name].append(mean_correlation(_correlations(_ranks(values[rows]), ranked)))
    return {name: _interval(np.array(values)) for name, values in found.items()}


def _interval(values: Array) -> tuple[float, float]:
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, _QUANTILES)
    return float(low), float(high)


def top_overlap(scores: Array, k: int) -> float:
    """Measure the mean share of the k most helpful samples that two queries have in common; 1: the same for all.

    Args:
        scores: ``[n, q]``; NaN for one query only.
        k: number of samples, at most n.
    """
    count = scores.shape[1]
    if count < 2:
        return float("nan")
    among = np.zeros(scores.shape)
    np.put_along_axis(among, np.argsort(scores, axis=0, kind="stable")[:k], 1.0, axis=0)
    often = among.sum(axis=1)
    # Each sample is shared by as many pairs as there are pairs of queries that it helps most.
    return float((often * (often - 1)).sum() / (count * (count - 1)) / min(k, len(scores)))
