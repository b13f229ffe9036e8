"""What the labels of the nearest rows in the adapted space say."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.views import in_parts, sampled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
NEAREST = 10
_MOST = 20_000
"""Of more rows than these a sample is looked among: every row with every row would take hours."""
_SHARPNESS = 8.0


def label_shares(
    space: Callable[[Ints], Floats], train: Ints, judged: Ints, labels: Ints, classes: int, seed: int
) -> Floats:
    """Weigh the labels of the ten nearest training rows of each judged row by closeness, ``[b, classes]``.

    Args:
        space: gives the places of some rows, ``[b, d]``.
        train: rows to look among.
        judged: rows to look for.
        labels: ``[n]``.
        classes: number of classes.
        seed: of the sample of rows to look among, where they are many.
    """
    train = sampled(train, _MOST, seed)
    among, most = _unit(space(train)), min(NEAREST, len(train))
    shares = np.zeros((len(judged), classes), dtype=np.float32)
    for part in in_parts(len(judged), 256):
        closeness = _unit(space(judged[part])) @ among.T
        nearest = np.argpartition(-closeness, most - 1, axis=1)[:, :most]
        weights = np.maximum(np.take_along_axis(closeness, nearest, axis=1), 1e-3) ** _SHARPNESS
        part_shares = np.zeros((len(nearest), classes), dtype=np.float32)
        for place in range(most):
            np.add.at(part_shares, (np.arange(len(nearest)), labels[train[nearest[:, place]]]), weights[:, place])
        shares[part] = part_shares / part_shares.sum(axis=1, keepdims=True)
    # Ten rows never say that a class cannot be.
    return ((shares * most + 1 / classes) / (most + 1)).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
