"""GFIMs as the triangles below their diagonals, in a dtype of choice, and what rounding to it may have moved.

A sum that is kept in few bits is rounded at every block. In bfloat16, whose steps are as large as what a block of many
adds, nearest rounding would lose it: it is rounded up or down at random there, with the exact sum as its mean. The
errors ``E`` of all entries are then independent and of mean zero, and ``||E||_2`` is about
``2 max_i sqrt(sum_j E_ij^2)`` (Bandeira and van Handel 2016, section 1), whose squares are summed on the way.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.gradients.units import exponent_of, largest, shifted

TILE, TILES = 64, 16
"""A tile is that many rows of a triangle, up to the diagonal, at the least; of more rows where they would be more."""
ROOM = 64
"""Powers of two that a sum may outgrow its unit by before it gets another; float32 has 127."""


@dataclass
class _Triangle:
    """``2^exponent`` times what is below the diagonal, the diagonal itself, and the squares of each row's errors."""

    tiles: list[Tensor]
    diagonal: Tensor
    errors: Tensor
    noise: torch.Generator
    exponent: int | None = None

    def places(self) -> Iterator[tuple[int, int, Tensor]]:
        """Give each tile with the numbers of its first row and of the one after its last."""
        stop = 0
        for tile in self.tiles:
            start, stop = stop, stop + len(tile)
            yield start, stop, tile


class PackedMatrices(Mapping[str, Tensor]):
    """Symmetric matrices by name; each is made whole, in float32 or better, whenever it is asked for.

    The diagonal is in float64.

    Args:
        dtype: of what is below the diagonal.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._kept: dict[str, _Triangle] = {}
        self._weight = 1.0

    def add(self, name: str, matrix: Tensor) -> None:
        """Add a symmetric ``Tensor[d, d]`` to the matrix of that name, zero before; only its lower half is read."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = _triangle(name, len(matrix), self.dtype, matrix.device)
        diagonal = matrix.diagonal().double()
        kept.diagonal += diagonal
        size = largest(diagonal)  # no entry of a semi-definite matrix is larger than all of its diagonal
        if size == 0:
            return
        if kept.exponent is None:
            kept.exponent = exponent_of(size)
        elif (more := exponent_of(size) - kept.exponent) > ROOM:
            for tile in kept.tiles:
                tile.copy_(shifted(tile.double(), -more))
            kept.errors = shifted(kept.errors, -2 * more)
            kept.exponent += more
        for start, stop, tile in kept.places():
            part = shifted(matrix[start:stop, :stop].double(), -kept.exponent).tril(start - 1)  # a copy
            total = part.add_(tile)
            _round(total, tile, kept.noise)
            errors = total.sub_(tile).square_()
            kept.errors[start:stop] += errors.sum(dim=1)
            kept.errors[:stop] += errors.sum(dim=0)

    def divide(self, count: int) -> None:
        """Divide all matrices by a number."""
        self._weight /= count

    def rounding(self, name: str) -> float:
        """Estimate how far the rounding of a matrix has moved its eigenvalues at the most; 0 where all is exact."""
        kept = self._kept[name]
        moved = 2 * math.sqrt(float(kept.errors.max())) if len(kept.errors) else 0.0
        return math.ldexp(moved * self._weight, kept.exponent or 0)

    def __getitem__(self, name: str) -> Tensor:
        kept = self._kept[name]
        columns, exponent = len(kept.diagonal), kept.exponent or 0
        wide = torch.float32 if kept.diagonal.device.type == "cuda" and abs(exponent) <= ROOM else torch.float64
        matrix = torch.empty(columns, columns, dtype=wide, device=kept.diagonal.device)
        for start, stop, tile in kept.places():
            part = shifted(tile.double(), exponent).mul_(self._weight).to(wide)
            matrix[start:stop, :stop] = part
            matrix[:start, start:stop] = part[:, :start].T
            matrix[start:stop, start:stop] += part[:, start:].T
        matrix.diagonal().copy_(kept.diagonal * self._weight)
        return matrix

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def packed_bytes(columns: int, dtype: torch.dtype) -> int:
    """Count the bytes of a matrix of so many columns."""
    return 16 * columns + dtype.itemsize * sum((stop - start) * stop for start, stop in _cuts(columns))


def _triangle(name: str, columns: int, dtype: torch.dtype, device: torch.device) -> _Triangle:
    tiles = [torch.zeros(stop - start, stop, dtype=dtype, device=device) for start, stop in _cuts(columns)]
    noise = torch.Generator(device).manual_seed(zlib.crc32(name.encode()))  # the same in every run
    diagonal, errors = (torch.zeros(columns, dtype=torch.float64, device=device) for _ in range(2))
    return _Triangle(tiles, diagonal, errors, noise)


def _cuts(columns: int) -> list[tuple[int, int]]:
    rows = max(TILE, math.ceil(columns / TILES))
    return [(start, min(columns, start + rows)) for start in range(0, columns, rows)]


def _round(total: Tensor, to: Tensor, noise: torch.Generator) -> None:
    """Round numbers in float64 to those in another dtype: to bfloat16 up or down at random, else to the nearest."""
    if to.dtype != torch.bfloat16:
        to.copy_(total)
        return
    bits = total.float().view(torch.int32)
    steps = torch.randint(2**16, bits.shape, generator=noise, dtype=torch.int32, device=bits.device)
    to.copy_(((bits + steps) & -(2**16)).view(torch.float32))
