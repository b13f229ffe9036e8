"""Rows that are nearly the same, by MinHash (Broder 1997): the share of common runs of three words."""

import re
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.8
"""Share of common runs of words from which on two rows are nearly the same."""
_HASHES, _ROWS = 64, 4
_RUN = 3
_MODULUS = np.uint64(2**61 - 1)
_WORD = re.compile(r"\w+")
_rng = np.random.default_rng(0)
_SLOPES = _rng.integers(1, 2**31, _HASHES, dtype=np.uint64)
_SHIFTS = _rng.integers(0, 2**31, _HASHES, dtype=np.uint64)


def signature(text: str) -> NDArray[np.uint32]:
    """Hash a text so that the share of equal numbers in two signatures estimates the share of common runs of words."""
    words = _WORD.findall(text.lower()) or [text]
    runs = {" ".join(words[place : place + _RUN]) for place in range(max(1, len(words) - _RUN + 1))}
    hashes = np.fromiter((zlib.crc32(run.encode()) for run in runs), dtype=np.uint64, count=len(runs))
    mixed = (hashes[:, None] * _SLOPES + _SHIFTS) % _MODULUS
    return (mixed.min(axis=0) & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def groups(signatures: NDArray[np.uint32], among: Iterable[int] | None = None) -> NDArray[np.int64]:
    """Put rows that are nearly the same into groups.

    Args:
        signatures: ``[n, 64]``.
        among: the rows that are looked at; all when None.

    Returns:
        ``[n]``, for each row the first row that it is nearly the same as, itself where there is none.
    """
    parent = np.arange(len(signatures))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    rows = np.arange(len(signatures)) if among is None else np.sort(np.fromiter(among, dtype=np.int64))
    for start in range(0, _HASHES, _ROWS):
        first: dict[bytes, int] = {}
        for row in rows.tolist():
            other = first.setdefault(signatures[row, start : start + _ROWS].tobytes(), row)
            # Of many rows with this part in common each is compared with the first alone.
            if other != row and np.mean(signatures[row] == signatures[other]) >= ALIKE:
                one, two = sorted((root(other), root(row)))
                parent[two] = one
    return np.array([root(row) for row in range(len(parent))], dtype=np.int64)
