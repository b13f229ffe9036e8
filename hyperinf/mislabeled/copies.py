"""Texts that stand there again: with the label of a row, or with another."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Rows that are copies of each other.

    Attributes:
        of: for each row, the other rows of the same text.
        contradictory: ``[n]``, whether the text stands there with another label, too.
    """

    of: tuple[tuple[int, ...], ...]
    contradictory: NDArray[np.bool_]

    @classmethod
    def found(cls, keys: Sequence[Hashable], labels: Ints) -> "Copies":
        """Find them by what makes texts equal."""
        groups: dict[Hashable, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        of = tuple(tuple(other for other in groups[key] if other != row) for row, key in enumerate(keys))
        differ = np.array([any(labels[other] != labels[row] for other in of[row]) for row in range(len(keys))], bool)
        return cls(of, differ)

    def shares(self, labels: Ints, classes: int) -> Floats:
        """Give the shares of labels among a row's copies, ``[n, classes]``; even where there are none that differ."""
        shares = np.full((len(self.of), classes), 1 / classes, dtype=np.float32)
        for row in np.flatnonzero(self.contradictory):
            counts = Counter(int(labels[other]) for other in self.of[row])
            shares[row] = 0.5 / classes
            for label, count in counts.items():
                shares[row, label] += count
            shares[row] /= shares[row].sum()
        return shares
