"""The rows of a layer's gradients in place of the matrix that they make: what products with it take of them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hyperinf.gradients.contractions import SCRATCH, Factors, LayerGradients
from hyperinf.gradients.scratch import GRAM_NUMBERS, NUMBERS_ON_GPU, symmetric_product, takes_many
from hyperinf.gradients.units import exponent_of, shifted

ROOM = 64
"""Of the powers of two that float32 has, those that leave room for entries far smaller than the largest."""


def rows_of(gradients: LayerGradients, squares: float) -> Iterator[Tensor]:
    """Give the rows of gradients, ``Tensor[_, d]``, some samples after the other; those that are held as views.

    Rows that factors make are in the factors' dtype; in float64 where float32 may not have them.

    Args:
        gradients: of one layer.
        squares: the sum of their squares.
    """
    if not isinstance(gradients, Factors):
        yield gradients.dense().flatten(0, 1)
        return
    _, r, d = gradients.shape
    few = max(1, SCRATCH // (r * d))
    exponent = exponent_of(math.sqrt(squares))
    for left, right in zip(gradients.left.split(few), gradients.right.split(few), strict=True):
        piece = Factors(left, right)
        if abs(exponent) <= ROOM:
            yield piece.dense().flatten(0, 1)
        else:
            yield shifted(piece.scaled(-exponent).dense().double(), exponent).flatten(0, 1)


class Rows:
    """``R: [m, d]``, whose products are taken a few columns at a time in a wider dtype, and never a copy of it all.

    Args:
        held: R in any floating dtype.
        exponent: of a power of two that R is multiplied by.
    """

    def __init__(self, held: Tensor, exponent: int = 0) -> None:
        self._held = held
        self._exponent = exponent

    def gram(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Compute ``R R^T``, ``Tensor[m, m]`` in float64, of products in ``dtype``: ``m^2 d / 2`` of them on a CPU."""
        count = len(self._held)
        total = torch.zeros(count, count, dtype=torch.float64, device=self._held.device)
        for _, few in self._columns(dtype):
            total += symmetric_product(few.T)
        return total

    def matrix(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Compute ``R^T R``, ``Tensor[d, d]`` in float64, of products in ``dtype``."""
        columns = self._held.shape[1]
        total = torch.zeros(columns, columns, dtype=torch.float64, device=self._held.device)
        for rows in self._held.split(max(1, self._numbers // columns)):
            total += symmetric_product(shifted(rows.to(dtype), self._exponent))
        return total

    def times(self, x: Tensor) -> Tensor:
        """Compute ``x R^T`` of ``Tensor[k, d]`` in float64, ``Tensor[k, m]``."""
        total = x.new_zeros(len(x), len(self._held))
        for columns, few in self._columns(torch.float64):
            total.addmm_(x[:, columns], few.T)
        return total

    def subtract(self, weights: Tensor, x: Tensor) -> None:
        """Take ``w R`` of ``Tensor[k, m]`` from ``x: [k, d]``, in its place, in float64."""
        for columns, few in self._columns(torch.float64):
            x[:, columns].addmm_(weights, few, alpha=-1)

    @property
    def _numbers(self) -> int:
        return NUMBERS_ON_GPU if takes_many(self._held.device) else GRAM_NUMBERS

    def _columns(self, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
        width = self._held.shape[1]
        step = max(1, self._numbers // max(1, len(self._held)))
        for start in range(0, width, step):
            columns = slice(start, min(width, start + step))
            yield columns, shifted(self._held[:, columns].to(dtype), self._exponent)
