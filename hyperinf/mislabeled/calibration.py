"""How probable it is that a row is wrong, learned from flips made in thought.

The models that judge a row have not seen its label. What it would score with another label is known without training
anew, for every row and every other label: these are the positives, each weighed by how likely its label is of all that
the row does not bear, and the table as it is holds the unlabelled rows (learning from positive and unlabelled rows).
The probability is the odds of a score among flips against the table, times the share of wrong rows. That share is told
from the top, where hardly a right row is: as many of the table's rows score so high as would flips of this share (a
mixture proportion estimate, as of Blanchard, Lee and Scott 2010). It is too large where right rows score like wrong
ones, and too small where the errors are harder to see than flips.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.mislabeled.combination import margins

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Numbers = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
_TOP = np.linspace(0.05, 0.99, 95)
"""Parts of the flips that score so high as where the share may be told."""
_LEAST_DEEP, _ENOUGH = 0.3, 10
"""The share is told from the top down to this part, or farther, to where as many of the table's rows stand."""
_MOST = 0.95
_BINS, _SMOOTHED = 400, 0.1
"""Bins of the scores from -1 to 1, and the standard deviation of what counts are smoothed by."""


@dataclass(frozen=True)
class Calibration:
    """The probability of being wrong by a score.

    Attributes:
        share: estimated share of wrong rows.
        scores: increasing.
        probabilities: at these scores.
    """

    share: float
    scores: Floats
    probabilities: Floats

    def of(self, scores: Floats) -> Floats:
        """Give the probability of being wrong, ``[n]``."""
        return np.interp(scores, self.scores, self.probabilities).astype(np.float32)


def probabilities_wrong(likely: Floats, labels: Ints, suspected: Bools) -> tuple[Floats, float]:
    """Give the probability of being wrong of each row, ``[n]``, and the share of wrong ones among the suspected.

    Args:
        likely: ``[n, classes]``, by models that have not seen a row's label.
        labels: ``[n]``.
        suspected: rows whose label may be wrong.
    """
    if not suspected.any():
        return np.zeros(len(labels), dtype=np.float32), 0.0
    scores, weights = margins(likely), flips(likely, labels)
    own = scores[np.arange(len(labels)), labels]
    learned = calibrated(own[suspected], scores[weights > 0], weights[weights > 0])
    return learned.of(own), learned.share


def flips(likely: Floats, labels: Ints) -> Floats:
    """Weigh the labels that a row does not bear by how likely they are of them, ``[n, classes]``."""
    weights = np.maximum(likely, 1e-6)
    weights[np.arange(len(labels)), labels] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def calibrated(scores: Floats, of_flips: Floats, weights: Floats) -> Calibration:
    """Learn from the scores of a table and of flips.

    Args:
        scores: ``[n]`` of the table, -1 to 1.
        of_flips: scores of flipped labels.
        weights: of the flips.
    """
    from scipy.ndimage import gaussian_filter1d

    edges = np.linspace(-1, 1, _BINS + 1)
    positive = np.histogram(of_flips, edges, weights=weights)[0] / weights.sum()
    table = np.histogram(scores, edges)[0] / len(scores)
    # How many score so high: from the top bin down, and so increasing.
    so_high = np.interp(_TOP, np.cumsum(positive[::-1]), np.cumsum(table[::-1]))
    deep = np.searchsorted(_TOP, _LEAST_DEEP), np.searchsorted(so_high * len(scores), _ENOUGH)
    told = slice(int(max(deep)) + 1)
    share = float(np.clip(so_high[told].sum() / _TOP[told].sum(), 1 / max(len(scores), 2), 0.5))
    # Of few rows the one that happens to stand a little lower than others is no less wrong.
    positive, table = (gaussian_filter1d(each, _SMOOTHED * _BINS / 2, mode="reflect") for each in (positive, table))
    at, both = (edges[1:] + edges[:-1]) / 2, np.maximum(positive + table, 1e-12)
    rate = _rising(at, positive / both, both)
    probabilities = np.clip(share * rate / np.maximum(1 - rate, 1e-6), 0, _MOST)
    return Calibration(share, at.astype(np.float32), probabilities.astype(np.float32))


def in_order_of(scores: Floats, probabilities: Floats) -> Floats:
    """Make probabilities rise with the scores of another ranking, and add up to the same, ``[n]``."""
    return _rising(scores, probabilities, np.ones(len(scores))).astype(np.float32)


def _rising(at: Numbers, values: Numbers, weights: Numbers) -> Numbers:
    from sklearn.isotonic import IsotonicRegression

    fitted: Numbers = IsotonicRegression().fit_transform(at, values, sample_weight=weights)
    return fitted
