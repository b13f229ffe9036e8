"""Matrices by name on the disk, each mapped into memory for as long as somebody holds it."""

import math
import os
import tempfile
import weakref
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from mmap import ALLOCATIONGRANULARITY
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hyperinf.errors import InputError


@dataclass(frozen=True)
class _Place:
    """Where a matrix begins in the file, what it is, and the device that it is wanted on."""

    start: int
    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device


class MatrixFile(MutableMapping[str, Tensor]):
    """Matrices in one file without a name: it is gone with this, and with the process, however that ends.

    One for all of them, as a process may open only so many. What is mapped counts as memory until the tensor is let go;
    a matrix that is wanted on a GPU is copied there.

    Args:
        folder: on the disk to use; made where it is missing.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, _Place] = {}
        self._size = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as this
            weakref.finalize(self, self._file.close)  # what is still mapped stays so
        except OSError as error:
            raise InputError(f"{folder}: got {error.strerror}, expected a folder for matrices on the disk") from error

    def make(
        self,
        name: str,
        shape: Sequence[int],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take room for a matrix of zeros.

        Args:
            name: of the matrix; one of that name is forgotten.
            shape: two numbers above 0.
            dtype: of its entries.
            device: where it is wanted.

        Raises:
            InputError: the disk is full.
        """
        rows, columns = shape
        place = _Place(self._size, (rows, columns), dtype, torch.device(device))
        needed = rows * columns * dtype.itemsize
        self._size += math.ceil(needed / ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY
        try:
            self._file.truncate(self._size)
            # Room that is only promised would end the process where the disk is full, and not raise.
            if hasattr(os, "posix_fallocate"):  # there is no such call on every system
                os.posix_fallocate(self._file.fileno(), place.start, self._size - place.start)
        except OSError as error:
            what = f"{error.strerror} for {needed:,} bytes of {name!r}"
            raise InputError(f"{self._folder}: got {what}, expected room on the disk") from error
        self._places[name] = place

    def cut(self, name: str, rows: int) -> None:
        """Leave a matrix no more than its first rows."""
        place = self._places[name]
        self._places[name] = replace(place, shape=(rows, place.shape[1]))

    def mapped(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Map rows of a matrix into memory, ``Tensor[stop - start, columns]`` on the CPU; what is written stays."""
        place = self._places[name]
        rows, columns = place.shape
        count = (rows if stop is None else min(stop, rows)) - start
        offset = place.start + start * columns * place.dtype.itemsize
        kind = torch.empty(0, dtype=place.dtype).numpy().dtype
        return torch.from_numpy(np.memmap(self._file, kind, "r+", offset, (count, columns)))

    def __getitem__(self, name: str) -> Tensor:
        return self.mapped(name).to(self._places[name].device)

    def __setitem__(self, name: str, matrix: Tensor) -> None:
        self.make(name, matrix.shape, matrix.dtype, matrix.device)
        self.mapped(name).copy_(matrix)

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
