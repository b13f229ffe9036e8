"""The exact damped empirical Fisher, the oracle that the approximations are measured against."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import Dense
from hyperinf.influence.fisher_distance import gfim_distance
from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.settings.methods import METHODS, MethodOptions

BLOCK = 256


class ExactFisher(InfluenceMethod):
    """``(F + lambda I)^-1 vec(v)`` in float64: by Woodbury where ``n < r d``, else by Cholesky of F.

    An oracle, not a method for large data: it holds one layer's gradients of all samples, and an n x n (or rd x rd)
    matrix.
    """

    spec: ClassVar = METHODS["fim"]

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._distances: dict[str, float] = {}

    @property
    def reads_matrix(self) -> bool:
        """Of the matrices it tells how far the Fisher matrix is from them."""
        return True

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve one layer at a time."""
        result = {}
        for layer, vector in self._in_units(v).items():
            result[layer] = self._solve(layer, vector.flatten()).view_as(vector)
        return self._restored(result, v)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve one layer at a time, all vectors by one factorisation."""
        result = {}
        for layer, stack in self._in_units(vectors).items():
            result[layer] = self._solve(layer, stack.flatten(1).T).T.reshape(stack.shape)
        return self._restored(result, vectors)

    def _solve(self, layer: str, b: Tensor) -> Tensor:
        held = self.source.layer(layer)
        if len(held) != self.statistics.samples:
            raise InputError(f"train: got {len(held)} samples of layer {layer!r}, expected {self.statistics.samples}")
        exponent = self.statistics.exponent(layer)
        gradients = Dense(held).scaled(-exponent).dense().double()
        rows = gradients.flatten(1)
        gram = _lower_gram(rows if len(rows) < rows.shape[1] else rows.T)
        if layer in self.statistics.gfim and layer not in self._distances:
            gfim = torch.ldexp(self.statistics.gfim[layer].double(), torch.tensor(-2 * exponent))
            self._distances[layer] = gfim_distance(gradients, _square(gram), gfim)
        return _fisher_solve(rows, gram, b, self._damping(layer))

    def report(self) -> dict[str, Any]:
        """Say of how many layers Woodbury served and, where the GFIM is known, how far the Fisher matrix is from it."""
        sizes = [r * d for r, d in self.statistics.layers.values()]
        served = {"woodbury_layers": sum(self.statistics.samples < size for size in sizes), "layers": len(sizes)}
        known = {layer: distance for layer, distance in self._distances.items() if math.isfinite(distance)}
        return served | ({"gfim_distance": known} if known else {})


def _fisher_solve(rows: Tensor, gram: Tensor, b: Tensor, damping: float) -> Tensor:
    """Compute ``(J^T J / n + lambda I)^-1 b`` for ``J: Tensor[n, p]`` and ``b: Tensor[p]`` or ``Tensor[p, k]``.

    Args:
        rows: J.
        gram: the lower triangle of ``J J^T`` where that is the smaller, else of ``J^T J``; used up.
        b: one vector, or k.
        damping: lambda.
    """
    samples = len(rows)
    gram.diagonal().add_(samples * damping)
    if samples < rows.shape[1]:
        inner = _cholesky_solve(rows @ b, gram)
        return (b - rows.T @ inner) / damping
    return _cholesky_solve(b, gram) * samples


def _cholesky_solve(b: Tensor, matrix: Tensor) -> Tensor:
    return torch.cholesky_solve(b.reshape(len(b), -1), torch.linalg.cholesky(matrix)).reshape(b.shape)


def _square(lower: Tensor) -> float:
    """The squared Frobenius norm of a symmetric matrix of which the lower triangle is known."""
    return float(2 * lower.tril(-1).square().sum() + lower.diagonal().square().sum())


def _lower_gram(rows: Tensor) -> Tensor:
    """Compute ``R R^T`` on and below the diagonal, all that a Cholesky factorisation reads, for half the work."""
    size = len(rows)
    gram = torch.zeros(size, size, dtype=rows.dtype, device=rows.device)
    for start in range(0, size, BLOCK):
        torch.matmul(rows[start:], rows[start : start + BLOCK].T, out=gram[start:, start : start + BLOCK])
    return gram
