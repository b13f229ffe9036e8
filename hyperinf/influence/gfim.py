"""The sum ``sum_i g_i^T g_i`` of every layer over the blocks of a sweep: matrices or rows, in memory or on the disk."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import LayerGradients
from hyperinf.gradients.column import Column
from hyperinf.gradients.units import exponent_needed, largest, shifted
from hyperinf.influence.matrix_file import MatrixFile
from hyperinf.influence.memory import GfimPlan
from hyperinf.influence.packed import PackedMatrices
from hyperinf.influence.rows import rows_of
from hyperinf.runtime.memory import map_large_tensors

# A GFIM is inverted, which enlarges its rounding. On a CPU its products are in float64: half as fast, but scores agree
# to 1e-7 however gradients are kept or sharded, where float32 leaves 2e-6. On a GPU, where float64 can be 64 times
# slower, only layers that need it get it: rounding in float32 moves eigenvalues by some 2e-8 of the largest, which is
# at most the trace, r d lambda / delta: at delta = 0.1 and beyond so many entries it could outweigh the damping and
# leave a matrix that is not definite.
FLOAT32_ENTRIES = 500_000
ROWS = 128
TILE = 256
"""Rows of a matrix on the disk that are in memory at a time while it is summed, up to the diagonal."""


class GfimSums(ABC):
    """Adds up the blocks of a sweep, as was planned.

    Attributes:
        plan: how it is held.
    """

    def __init__(self, plan: GfimPlan) -> None:
        self.plan = plan

    @abstractmethod
    def add(self, layer: str, gradients: LayerGradients, squares: float, device: torch.device) -> None:
        """Add a block's gradients of a layer.

        Args:
            layer: its name.
            gradients: of the block.
            squares: the sum of their squares, finite.
            device: where they are.
        """

    @abstractmethod
    def grams(self) -> Mapping[str, Tensor]:
        """Give ``sum_i g_i^T g_i`` of the layers that are held as matrices, symmetric; once, after the last block."""

    @abstractmethod
    def rows(self) -> Mapping[str, Tensor]:
        """Give the rows of all gradients, ``Tensor[n r, d]``, of the other layers; after the last block."""


def gfim_sums(plan: GfimPlan) -> GfimSums:
    """Begin sums that are held as planned; for those on the disk, large tensors are mapped one by one from here on."""
    if plan.folder is None:
        return _InMemory(plan) if plan.dtype is None else _Packed(plan, plan.dtype)
    map_large_tensors()  # memory is short: what one layer's inversion lets go of would stay with the allocator
    return _OnDisk(plan, plan.folder)


class _InMemory(GfimSums):
    def __init__(self, plan: GfimPlan) -> None:
        super().__init__(plan)
        self._matrices: dict[str, Tensor] = {}
        self._rows = {layer: Column(count) for layer, count in plan.rows.items()}

    def add(self, layer: str, gradients: LayerGradients, squares: float, device: torch.device) -> None:
        if layer in self._rows:
            for few in rows_of(gradients, squares):
                self._rows[layer].extend(few)
            return
        rank, columns = self.plan.layers[layer]
        self._put(layer, _gram(gradients, squares, product_dtype(device, rank * columns)))

    def _put(self, layer: str, product: Tensor) -> None:
        """Add a block's product to a layer's matrix."""
        if layer not in self._matrices:
            self._matrices[layer] = product if product.is_cuda else product.double()
        else:
            total = self._matrices[layer]
            self._matrices[layer] = total.to(torch.promote_types(total.dtype, product.dtype))
            accumulate(self._matrices[layer], product)

    def grams(self) -> Mapping[str, Tensor]:
        for matrix in self._matrices.values():
            matrix += matrix.T.clone()  # rounding leaves products of two different factors not quite symmetric
            matrix /= 2
        return self._matrices

    def rows(self) -> Mapping[str, Tensor]:
        return {layer: column.joined() for layer, column in self._rows.items()}


class _Packed(_InMemory):
    """Keeps triangles in a dtype of choice."""

    def __init__(self, plan: GfimPlan, dtype: torch.dtype) -> None:
        super().__init__(plan)
        self._packed = PackedMatrices(dtype)

    def grams(self) -> Mapping[str, Tensor]:
        return self._packed

    def _put(self, layer: str, product: Tensor) -> None:
        self._packed.add(layer, product)


class _OnDisk(GfimSums):
    """Gathers rows of several blocks, so that a matrix is read and written as often as their buffer is full.

    The disk's part in a sweep grows with the number of rows and not with that of blocks.
    """

    def __init__(self, plan: GfimPlan, folder: Path) -> None:
        super().__init__(plan)
        self._matrices, self._rows = MatrixFile(folder), MatrixFile(folder)
        width = sum(d for layer, (_, d) in plan.layers.items() if layer not in plan.rows)
        self._room = max(1, plan.buffer_bytes // (8 * max(1, width)))
        self._waiting: dict[str, Tensor] = {}
        self._count = dict.fromkeys(plan.layers, 0)
        self._dtypes: dict[str, torch.dtype] = {}

    def add(self, layer: str, gradients: LayerGradients, squares: float, device: torch.device) -> None:
        rank, columns = self.plan.layers[layer]
        self._dtypes[layer] = product_dtype(device, rank * columns) or gradients.dtype
        for few in rows_of(gradients, squares):
            if layer in self.plan.rows:
                self._keep(layer, few)
            else:
                self._wait(layer, few)

    def grams(self) -> Mapping[str, Tensor]:
        for layer in list(self._waiting):
            self._flush(layer)
            del self._waiting[layer]
            _mirror(self._matrices.mapped(layer))
        return self._matrices

    def rows(self) -> Mapping[str, Tensor]:
        for layer in self._rows:
            self._rows.cut(layer, self._count[layer])
        return self._rows

    def _keep(self, layer: str, rows: Tensor) -> None:
        """Write rows behind those that are there."""
        start, most = self._count[layer], self.plan.rows[layer]
        if start + len(rows) > most:
            samples = most // self.plan.layers[layer][0]
            raise InputError(f"train: got more than {samples} samples in a sweep, expected as many as were told before")
        if layer not in self._rows:
            self._rows.make(layer, (most, rows.shape[1]), device=rows.device)
        self._rows.mapped(layer, start, start + len(rows)).copy_(rows)
        self._count[layer] = start + len(rows)

    def _wait(self, layer: str, rows: Tensor) -> None:
        """Put rows to those that wait, and add all of them to the matrix whenever there is no room for more."""
        columns = rows.shape[1]
        if layer not in self._waiting:
            self._matrices.make(layer, (columns, columns), device=rows.device)
            self._waiting[layer] = torch.empty(self._room, columns, dtype=torch.float64, device=rows.device)
        waiting = self._waiting[layer]
        while len(rows):
            start = self._count[layer]
            few, rows = rows[: self._room - start], rows[self._room - start :]
            waiting[start : start + len(few)] = few
            self._count[layer] = start + len(few)
            if self._count[layer] == self._room:
                self._flush(layer)

    def _flush(self, layer: str) -> None:
        """Add the rows that wait to the lower triangle of the matrix, some rows of it after the other."""
        rows = self._waiting[layer][: self._count[layer]]
        self._count[layer] = 0
        if not len(rows):
            return
        exponent = exponent_needed(largest(rows))
        rows = shifted(rows, -exponent).to(self._dtypes[layer])
        columns = rows.shape[1]
        for start in range(0, columns, TILE):
            stop = min(columns, start + TILE)
            tile = self._matrices.mapped(layer, start, stop)[:, :stop]
            if rows.is_cuda:
                tile += shifted((rows[:, start:stop].T @ rows[:, :stop]).double(), 2 * exponent).cpu()
            else:
                tile.addmm_(rows[:, start:stop].T, rows[:, :stop], alpha=2.0 ** (2 * exponent))


def _mirror(matrix: Tensor) -> None:
    """Copy what is below the diagonal of ``Tensor[d, d]`` to above it, in its place, a few rows at a time."""
    columns = len(matrix)
    for start in range(0, columns, TILE):
        stop = min(columns, start + TILE)
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
        square = matrix[start:stop, start:stop]
        square.copy_((square + square.T) / 2)  # its two halves are products of their own


def accumulate(total: Tensor, product: Tensor) -> None:
    """Add to ``total`` a few rows at a time: a whole copy of a large matrix in the wider dtype costs far more."""
    if total.dtype == product.dtype:
        total += product
        return
    for sums, rows in zip(total.split(ROWS), product.split(ROWS), strict=True):
        sums += rows


def product_dtype(device: torch.device, entries: int) -> torch.dtype | None:
    """Give the dtype of a GFIM's products, of gradients with so many entries; None for the gradients' own."""
    return torch.float64 if device.type == "cpu" or entries > FLOAT32_ENTRIES else None


def _gram(gradients: LayerGradients, squares: float, dtype: torch.dtype | None) -> Tensor:
    """Compute the Gram matrix of gradients with this sum of squares; of tiny or huge ones in their unit, in float64."""
    exponent = exponent_needed(math.sqrt(squares)) if squares > 0 else 0
    product = gradients.scaled(-exponent).gram(dtype)
    return shifted(product.double(), 2 * exponent) if exponent else product
