"""How probable it is that a row is wrong, learned from flips made on purpose in a copy of the labels.

The flips are the positives, the table as it is the unlabelled rows (learning from positive and unlabelled rows): the
odds of a score among flips against the table, times the share of wrong rows. That share is told from the top, where
hardly a right row is: as many of the table's rows score so high as would flips of this share (a mixture proportion
estimate, as of Blanchard, Lee and Scott 2010). It is too large where right rows score like wrong ones, and too small
where the errors are harder to see than flips.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FLIPPED = 0.1
_TOP = (0.05, 0.2)
"""Parts of the flips that score so high as where the share is told."""
_MOST = 0.95


def flipped_labels(likely: Floats, labels: Ints, allowed: Bools, seed: int) -> tuple[Ints, Bools]:
    """Flip a tenth of the labels: every other one to the most likely other class, the rest to any.

    Args:
        likely: ``[n, classes]`` out-of-sample probabilities.
        labels: ``[n]``.
        allowed: rows whose label may be flipped.
        seed: of the draw.

    Returns:
        Labels, and which of them were flipped.
    """
    draw = np.random.default_rng(seed)
    rows = np.flatnonzero(allowed)
    chosen = draw.choice(rows, max(1, round(FLIPPED * len(rows))), replace=False)
    flipped, classes = labels.copy(), likely.shape[1]
    others = likely.copy()
    others[np.arange(len(labels)), labels] = -1
    flipped[chosen] = (labels[chosen] + draw.integers(1, classes, len(chosen))) % classes
    near = chosen[::2]
    flipped[near] = others[near].argmax(axis=1)
    return flipped, flipped != labels


@dataclass(frozen=True)
class Calibration:
    """The probability of being wrong by the score of a signal.

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


def calibrated(scores: Floats, flipped: Bools, allowed: Bools) -> Calibration:
    """Learn from the scores of a table with flips made on purpose.

    Args:
        scores: ``[n]``.
        flipped: which labels were flipped.
        allowed: which could have been.
    """
    from sklearn.isotonic import IsotonicRegression

    positive, others = scores[flipped], scores[~flipped & allowed]
    cuts = np.unique(positive)
    of_flips = _shares(positive, cuts)
    of_table = _shares(others, cuts)
    top = (of_flips >= _TOP[0]) & (of_flips <= _TOP[1])
    if not top.any():  # few flips, or few different scores
        top = of_flips == of_flips.min()
    share = float(np.clip(np.median(of_table[top] / of_flips[top]), 1 / max(len(others), 2), 0.5))
    pooled = np.concatenate([positive, others])
    marks = np.concatenate([np.ones(len(positive)), np.zeros(len(others))])
    fitted = IsotonicRegression(y_min=0.0, y_max=1 - 1 / (len(positive) + 2)).fit(pooled, marks)
    at = np.unique(np.quantile(pooled, np.linspace(0, 1, 201)))
    rate = fitted.predict(at)
    ratio = rate / (1 - rate) * len(others) / len(positive)
    return Calibration(share, at.astype(np.float32), np.clip(share * ratio, 0, _MOST).astype(np.float32))


def _shares(values: Floats, cuts: Floats) -> NDArray[np.float64]:
    """Give the share of values that are at least as large as each cut."""
    return 1 - np.searchsorted(np.sort(values), cuts, side="left") / max(len(values), 1)
