"""Measure how well a score finds the flipped labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def roc_auc(harmfulness: Array, flipped: NDArray[np.bool_]) -> float:
    """Compute the probability that a flipped sample scores higher than a clean one, ties counting half (Mann-Whitney).

    Args:
        harmfulness: ``[n]``, larger is more suspicious.
        flipped: ``[n]``.

    Raises:
        ValueError: all samples flipped, or none: there is nothing to tell apart.
    """
    from sklearn.metrics import auc

    clean, found = _counts(harmfulness, flipped)
    if clean[-1] == 0 or found[-1] == 0:
        raise ValueError(f"flipped: got {found[-1]:.0f} of {len(flipped)} samples, expected some and not all")
    # An area under counts has no rounding; that of roc_auc_score, under rates, has.
    return auc(clean, found) / float(clean[-1] * found[-1])


def roc_auc_within(harmfulness: Array, flipped: NDArray[np.bool_], observed: Sequence[str]) -> float | None:
    """Compute the same probability among samples of one observed answer, over all such pairs.

    A score that only tells answers apart, as one does that is larger for every sample of a class, gains nothing here.

    Args:
        harmfulness: ``[n]``, larger is more suspicious.
        flipped: ``[n]``.
        observed: n answers, as they are in training.

    Returns:
        None where no answer has both flipped and clean samples.
    """
    names = np.asarray(observed, dtype=object)
    pairs = won = 0.0
    for name in dict.fromkeys(observed):
        own = names == name
        count = float(flipped[own].sum()) * float((~flipped[own]).sum())
        if count:
            pairs += count
            won += count * roc_auc(harmfulness[own], flipped[own])
    return won / pairs if pairs else None


def rank_correlation(first: Array, second: Array) -> float:
    """Compute Spearman's rank correlation of two scores ``[n]``, ties sharing their ranks; 0 where one is constant."""
    from scipy.stats import spearmanr

    constant = np.ptp(first) == 0 or np.ptp(second) == 0
    return 0.0 if constant else float(spearmanr(first, second).statistic)


def detection_curve(harmfulness: Array, flipped: NDArray[np.bool_], inspected: Array) -> Array:
    """Compute the fraction of the flipped samples found when the most suspicious fraction of all samples is inspected.

    Within a group of equal scores the expected fraction over all orders is given, so no order of the file can help.

    Args:
        harmfulness: ``[n]``, larger is more suspicious.
        flipped: ``[n]``.
        inspected: fractions in [0, 1].

    Returns:
        Fractions in [0, 1], one for each of ``inspected``.
    """
    clean, found = _counts(harmfulness, flipped)
    # scikit-learn's curves are over thresholds; a fraction inspected may end within a tie, which is a line between two.
    return np.interp(inspected * len(flipped), clean + found, found) / found[-1]


def curve_auc(harmfulness: Array, flipped: NDArray[np.bool_]) -> float:
    """Compute the area under the detection curve over all fractions inspected, in [0, 1]; random order gives 0.5."""
    from sklearn.metrics import auc

    fractions = np.linspace(0.0, 1.0, len(flipped) + 1)
    return auc(fractions, detection_curve(harmfulness, flipped, fractions))


def _counts(harmfulness: Array, flipped: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Count the clean and the flipped samples above each threshold, from none of them to all, tied ones together."""
    from sklearn.metrics import confusion_matrix_at_thresholds

    _, clean, _, found, _ = confusion_matrix_at_thresholds(flipped, harmfulness)
    return np.insert(clean, 0, 0.0), np.insert(found, 0, 0.0)
