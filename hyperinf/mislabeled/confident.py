"""Confident learning (Northcutt, Jiang and Chuang 2021): which rows look clean, by out-of-sample probabilities."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def thresholds(probabilities: Floats, labels: Ints) -> Floats:
    """Give the mean probability of each class over the rows that bear it, ``[classes]``."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    means = np.bincount(labels, weights=own, minlength=classes) / np.maximum(counts, 1)
    return np.where(counts > 0, means, np.inf).astype(np.float32)


def row_weights(probabilities: Floats, labels: Ints) -> Floats:
    """Weigh rows, ``[n]``, 0 to 1: those that are confidently of another class count as much less as they are less it.

    Confident learning takes such rows out; of rare classes that would take them all.
    """
    above = np.where(probabilities >= thresholds(probabilities, labels), probabilities, 0)
    wrong = (above.max(axis=1) > 0) & (above.argmax(axis=1) != labels)
    own = probabilities[np.arange(len(labels)), labels]
    return np.where(wrong, own / probabilities.max(axis=1), 1).astype(np.float32)


def looks_clean(probabilities: Floats, labels: Ints) -> NDArray[np.bool_]:
    """Tell which rows are as probable as rows of their class are, and of no other class more."""
    own = probabilities[np.arange(len(labels)), labels]
    return (probabilities.argmax(axis=1) == labels) & (own >= thresholds(probabilities, labels)[labels])
