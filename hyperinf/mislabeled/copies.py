"""Texts that stand there again: with the label of a row, or with another."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


_NAMED = 20


@dataclass(frozen=True)
class Copies:
    """Rows that are copies of each other.

    Attributes:
        groups: rows of one text each.
        group: ``[n]``, the group of each row.
        contradictory: ``[n]``, whether the text stands there with another label, too.
    """

    groups: tuple[tuple[int, ...], ...]
    group: Ints
    contradictory: NDArray[np.bool_]

    @classmethod
    def found(cls, keys: Sequence[Hashable], labels: Ints) -> "Copies":
        """Find them by what makes texts equal."""
        groups: dict[Hashable, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        number = {key: place for place, key in enumerate(groups)}
        group = np.array([number[key] for key in keys], dtype=np.int64)
        differ = np.array([len(set(labels[rows].tolist())) > 1 for rows in groups.values()], dtype=bool)
        return cls(tuple(map(tuple, groups.values())), group, differ[group])

    def others(self, row: int, labels: Ints) -> list[int]:
        """Name up to 20 copies of a row, those with another label first."""
        others = [each for each in self.groups[self.group[row]] if each != row]
        return sorted(others, key=lambda each: bool(labels[each] == labels[row]))[:_NAMED]

    def shares(self, labels: Ints, classes: int) -> Floats:
        """Give the shares of labels among a row's copies, ``[n, classes]``; even where there are none that differ."""
        shares = np.full((len(labels), classes), 1 / classes, dtype=np.float32)
        for place in np.unique(self.group[self.contradictory]):
            rows = np.array(self.groups[place])
            counts = np.tile(np.bincount(labels[rows], minlength=classes) + 0.5 / classes, (len(rows), 1))
            counts[np.arange(len(rows)), labels[rows]] -= 1
            shares[rows] = counts / counts.sum(axis=1, keepdims=True)
        return shares
