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

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_TOP = np.linspace(0.05, 0.3, 26)
"""Parts of the flips that score so high as where the share is told."""
_MOST = 0.95
_BINS = 401


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


def flips(likely: Floats, labels: Ints) -> Floats:
    """Weigh the labels that a row does not bear by how likely they are of them, ``[n, classes]``."""
    weights = likely.copy()
    weights[np.arange(len(labels)), labels] = 0
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)


def calibrated(scores: Floats, of_flips: Floats, weights: Floats) -> Calibration:
    """Learn from the scores of a table and of flips.

    Args:
        scores: ``[n]`` of the table, -1 to 1.
        of_flips: scores of flipped labels.
        weights: of the flips.
    """
    edges = np.unique(np.concatenate([np.linspace(-1, 1, _BINS), np.quantile(scores, np.linspace(0, 1, _BINS))]))
    positive = np.histogram(of_flips, edges, weights=weights)[0] / max(float(weights.sum()), 1e-12)
    table = np.histogram(scores, edges)[0] / len(scores)
    # How many score so high: from the top bin down, and so increasing.
    share = np.median(np.interp(_TOP, np.cumsum(positive[::-1]), np.cumsum(table[::-1])) / _TOP)
    share = float(np.clip(share, 1 / max(len(scores), 2), 0.5))
    there = positive + table > 0
    at = ((edges[1:] + edges[:-1]) / 2)[there]
    rate = _rising(at, (positive / np.maximum(positive + table, 1e-12))[there], (positive + table)[there])
    probabilities = np.clip(share * rate / np.maximum(1 - rate, 1e-6), 0, _MOST)
    return Calibration(share, at.astype(np.float32), probabilities.astype(np.float32))


def in_order_of(scores: Floats, probabilities: Floats) -> Floats:
    """Make probabilities rise with the scores of another ranking, and add up to the same, ``[n]``."""
    return _rising(scores, probabilities, np.ones(len(scores))).astype(np.float32)


def _rising(at: Floats, values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    from sklearn.isotonic import IsotonicRegression

    fitted: NDArray[np.floating] = IsotonicRegression().fit_transform(at, values, sample_weight=weights)
    return fitted
