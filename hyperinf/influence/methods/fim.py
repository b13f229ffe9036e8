"""The exact damped empirical Fisher, the oracle that the approximations are measured against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.gradients import collect_layer
from hyperinf.influence.methods.base import InfluenceMethod, register

BLOCK = 256


@register
@dataclass
class ExactFisher(InfluenceMethod):
    """``(F + lambda I)^-1 vec(v)`` in float64: by Woodbury where ``n < r d``, else by Cholesky of F.

    An oracle, not a method for large data: it holds one layer's gradients of all samples, and an n x n (or rd x rd)
    matrix.
    """

    name: ClassVar[str] = "fim"
    needs_source: ClassVar[bool] = True

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One layer at a time."""
        result = {}
        for layer, vector in self._in_units(v).items():
            exponent = self.statistics.exponent(layer)
            gradients = collect_layer(self.source, layer, self.statistics.sample_ids, -exponent).flatten(1).double()
            result[layer] = _fisher_solve(gradients, vector.flatten(), self._damping(layer)).view_as(vector)
        return self._restored(result, v)

    def report(self) -> dict[str, Any]:
        """Whether Woodbury served."""
        sizes = [r * d for r, d in self.statistics.layers.values()]
        return {"woodbury_layers": sum(self.statistics.samples < size for size in sizes), "layers": len(sizes)}


def _fisher_solve(gradients: Tensor, b: Tensor, damping: float) -> Tensor:
    """``(J^T J / n + lambda I)^-1 b`` for ``J: Tensor[n, p]``."""
    samples, size = gradients.shape
    if samples < size:
        gram = _lower_gram(gradients)
        gram.diagonal().add_(samples * damping)
        inner = torch.cholesky_solve((gradients @ b).unsqueeze(1), torch.linalg.cholesky(gram)).squeeze(1)
        return (b - gradients.T @ inner) / damping
    fisher = _lower_gram(gradients.T) / samples
    fisher.diagonal().add_(damping)
    return torch.cholesky_solve(b.unsqueeze(1), torch.linalg.cholesky(fisher)).squeeze(1)


def _lower_gram(rows: Tensor) -> Tensor:
    """``R R^T`` on and below the diagonal, which is all that a Cholesky factorisation reads, for half the work."""
    size = len(rows)
    gram = torch.zeros(size, size, dtype=rows.dtype, device=rows.device)
    for start in range(0, size, BLOCK):
        torch.matmul(rows[start:], rows[start : start + BLOCK].T, out=gram[start:, start : start + BLOCK])
    return gram
