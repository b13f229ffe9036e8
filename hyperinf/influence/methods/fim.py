"""The exact damped empirical Fisher, the oracle that the approximations are measured against."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import Dense
from hyperinf.influence.methods.base import InfluenceMethod, levelled
from hyperinf.settings.methods import METHODS

BLOCK = 256


class ExactFisher(InfluenceMethod):
    """``(F + lambda I)^-1 vec(v)`` in float64: by Woodbury where ``n < r d``, else by Cholesky of F.

    An oracle, not a method for large data: it holds one layer's gradients of all samples, and an n x n (or rd x rd)
    matrix.
    """

    spec: ClassVar = METHODS["fim"]

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve one layer at a time."""
        result = {}
        for layer, vector in self._in_units(v).items():
            result[layer] = self._solve(layer, vector.flatten()).view_as(vector)
        return self._restored(result, v)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve one layer at a time, all vectors by one factorisation."""
        level, drops = levelled(vectors)
        result = {}
        for layer, stack in self._in_units(level).items():
            result[layer] = self._solve(layer, stack.flatten(1).T).T.reshape(stack.shape)
        return self._lowered(self._restored(result, level), drops)

    def _solve(self, layer: str, b: Tensor) -> Tensor:
        held = self.source.layer(layer)
        if len(held) != self.statistics.samples:
            raise InputError(f"train: got {len(held)} samples of layer {layer!r}, expected {self.statistics.samples}")
        gradients = Dense(held).scaled(-self.statistics.exponent(layer)).dense().flatten(1).double()
        return _fisher_solve(gradients, b, self._damping(layer))

    def report(self) -> dict[str, Any]:
        """Say of how many layers Woodbury served."""
        sizes = [r * d for r, d in self.statistics.layers.values()]
        return {"woodbury_layers": sum(self.statistics.samples < size for size in sizes), "layers": len(sizes)}


def _fisher_solve(gradients: Tensor, b: Tensor, damping: float) -> Tensor:
    """Compute ``(J^T J / n + lambda I)^-1 b`` for ``J: Tensor[n, p]`` and ``b: Tensor[p]`` or ``Tensor[p, k]``."""
    samples, size = gradients.shape
    if samples < size:
        gram = _lower_gram(gradients)
        gram.diagonal().add_(samples * damping)
        inner = _cholesky_solve(gradients @ b, gram)
        return (b - gradients.T @ inner) / damping
    fisher = _lower_gram(gradients.T) / samples
    fisher.diagonal().add_(damping)
    return _cholesky_solve(b, fisher)


def _cholesky_solve(b: Tensor, matrix: Tensor) -> Tensor:
    return torch.cholesky_solve(b.reshape(len(b), -1), torch.linalg.cholesky(matrix)).reshape(b.shape)


def _lower_gram(rows: Tensor) -> Tensor:
    """Compute ``R R^T`` on and below the diagonal, all that a Cholesky factorisation reads, for half the work."""
    size = len(rows)
    gram = torch.zeros(size, size, dtype=rows.dtype, device=rows.device)
    for start in range(0, size, BLOCK):
        torch.matmul(rows[start:], rows[start : start + BLOCK].T, out=gram[start:, start : start + BLOCK])
    return gram
