"""The parts that rows are judged in."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def assign_folds(labels: Ints, copies: Sequence[Hashable], folds: int, seed: int) -> Ints:
    """Put rows into parts, each class spread evenly; rows that are copies of each other share a part.

    Args:
        labels: ``[n]`` class numbers.
        copies: n values, equal for rows that are copies.
        folds: number of parts.
        seed: of the order within a class.

    Returns:
        ``[n]``, numbers of the parts.
    """
    first: dict[Hashable, int] = {}
    of_row = np.array([first.setdefault(key, number) for number, key in enumerate(copies)])
    heads = np.unique(of_row)
    order = np.random.default_rng(seed).permutation(len(heads))
    order = order[np.argsort(labels[heads[order]], kind="stable")]
    fold = np.zeros(len(labels), dtype=np.int64)
    # Dealt out class after class: no two parts differ by more than one row of a class.
    fold[heads[order]] = np.arange(len(heads)) % folds
    return fold[of_row]
