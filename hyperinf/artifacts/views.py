"""What is seen of the rows, as numbers: in a file, of which only the rows that are asked for are held."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class View(Protocol):
    """Numbers of n rows; an array is one, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Give n and d."""
        ...

    def __getitem__(self, rows: Ints, /) -> Floats:
        """Give the numbers of some rows, ``[b, d]``."""
        ...


class StoredView:
    """Rows of an ``.npy`` file of float32, read where they are asked for.

    The file is mapped anew for every few thousand rows: a mapping that stays grows by whatever is read.

    Args:
        path: of the file.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            np.lib.format.read_magic(stream)
            self.shape, _, _ = np.lib.format.read_array_header_1_0(stream)
            self._path, self._offset = path, stream.tell()
        size = self._offset + 4 * self.shape[0] * self.shape[1]
        if path.stat().st_size != size:
            raise ValueError(f"{path}: got {path.stat().st_size:,} bytes, expected {size:,}")

    def __getitem__(self, rows: Ints) -> Floats:
        """Read some rows."""
        found = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        for part in in_parts(len(rows) if found.size else 0):
            found[part] = np.memmap(self._path, np.float32, "r", self._offset, self.shape)[rows[part]]
        return found


class Beside:
    """Views side by side, ``[n, sum of d]``.

    Args:
        views: of the same n rows.
        scales: factors of some of them, by name.
    """

    def __init__(self, views: Mapping[str, View], scales: Mapping[str, float]) -> None:
        self._views = [(view, np.float32(scales.get(name, 1))) for name, view in views.items()]
        self.shape = self._views[0][0].shape[0], sum(view.shape[1] for view, _ in self._views)

    def __getitem__(self, rows: Ints) -> Floats:
        """Put some rows together."""
        return np.hstack([view[rows] * scale for view, scale in self._views])


def write_view(path: Path, rows: int, parts: Iterable[Floats]) -> None:
    """Write parts one below the other.

    Args:
        path: an ``.npy`` file.
        rows: of all parts together.
        parts: of the same width.
    """
    with path.open("wb") as stream:
        for number, part in enumerate(parts):
            if not number:
                header = {"descr": "<f4", "fortran_order": False, "shape": (rows, part.shape[1])}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(np.ascontiguousarray(part, dtype="<f4").tobytes())


def in_parts(rows: int, size: int = 4096) -> list[slice]:
    """Cut rows into parts that are computed at a time."""
    return [slice(start, start + size) for start in range(0, rows, size)]


def sampled(rows: Ints, most: int, seed: int) -> Ints:
    """Draw as many rows, where there are more, and leave them in their order."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
