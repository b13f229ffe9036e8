"""How well a score finds the flipped labels."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def roc_auc(harmfulness: Array, flipped: NDArray[np.bool_]) -> float:
    """Probability that a flipped sample scores higher than a clean one, ties counting half (Mann-Whitney).

    Args:
        harmfulness: ``[n]``, larger is more suspicious.
        flipped: ``[n]``.

    Raises:
        ValueError: all samples flipped, or none: there is nothing to tell apart.
    """
    from scipy.stats import rankdata

    positives = int(flipped.sum())
    negatives = len(flipped) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"flipped: expected both flipped and clean samples, got {positives} and {negatives}")
    rank_sum = float(rankdata(harmfulness)[flipped].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def detection_curve(harmfulness: Array, flipped: NDArray[np.bool_], inspected: Array) -> Array:
    """Share of the flipped samples found when the most suspicious share of all samples is inspected.

    Within a group of equal scores the expected share over all orders is given, so no order of the file can help.

    Args:
        harmfulness: ``[n]``, larger is more suspicious.
        flipped: ``[n]``.
        inspected: shares in [0, 1].

    Returns:
        Shares in [0, 1], one for each of ``inspected``.
    """
    order = np.argsort(-harmfulness, kind="stable")
    found = np.concatenate([[0], np.cumsum(flipped[order])]).astype(np.float64)
    ordered = harmfulness[order]
    boundary = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    positions = np.flatnonzero(boundary)
    return np.interp(inspected * len(flipped), positions, found[positions]) / flipped.sum()


def curve_auc(harmfulness: Array, flipped: NDArray[np.bool_]) -> float:
    """Area under the detection curve over all shares inspected, in [0, 1]; random order gives 0.5."""
    shares = np.linspace(0.0, 1.0, len(flipped) + 1)
    return float(np.trapezoid(detection_curve(harmfulness, flipped, shares), shares))
