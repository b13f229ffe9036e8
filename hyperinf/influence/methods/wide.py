"""The GFIM of layers too wide for a matrix of d x d numbers: of low rank, or of diagonal blocks alone."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from hyperinf.gradients import GradientBlock
from hyperinf.gradients.contractions import SCRATCH
from hyperinf.influence.methods.base import SweepingMethod, levelled
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.influence.sweeps import Steps, Sweep, Vectors, completed
from hyperinf.settings.methods import METHODS, BlockOptions, LowRankOptions, MethodOptions


class _Wide(SweepingMethod):
    """What both forms share: one sweep for sums that are kept, and a product with each row of a vector."""

    columns_only: ClassVar[bool] = True
    copies: ClassVar[int] = 6

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._keeps = False
        self._sums: Vectors | None = None

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell; sums of others are forgotten."""
        self._sums = None
        return super().fit_statistics(statistics)

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Ask for the sums in one sweep."""
        sums = self._sums
        if sums is None:
            layers = [layer for layer, value in self.statistics.mean_square.items() if value > 0]
            sums = yield Sweep.of(layers, self._term)
        self._sums = sums if self._keeps else None
        means = {layer: total / self._divisor(layer) for layer, total in sums.items()}
        return self._restored({layer: self._solve(layer, means[layer], x) for layer, x in self._in_units(v).items()}, v)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for all vectors at once, by sums that are kept for the next call."""
        self._keeps = True
        level, drops = levelled(vectors)
        rows = {layer: stack.flatten(0, 1) for layer, stack in level.items()}
        products = completed([self.steps(rows)], self.source, self.statistics.sample_ids)[0]
        return self._lowered({layer: products[layer].view_as(stack) for layer, stack in level.items()}, drops)

    def _divisor(self, layer: str) -> int:
        rank = self.statistics.layers[layer][0]
        return self.statistics.samples * (rank if self.options.gfim_scale == "mean" else 1)

    def _rows(self, block: GradientBlock, layer: str) -> Iterator[Tensor]:
        """Give the rows of a block's gradients in float64, ``Tensor[_, d]``, a few at a time."""
        rows = self._gradients(block, layer).dense().flatten(0, 1)
        for few in rows.split(max(1, SCRATCH // rows.shape[1])):
            yield few.double()

    @abstractmethod
    def _term(self, block: GradientBlock, layer: str) -> Tensor:
        """Compute a block's part of a layer's sum."""

    @abstractmethod
    def _solve(self, layer: str, mean: Tensor, x: Tensor) -> Tensor:
        """Multiply ``Tensor[k, d]`` from the right by the damped inverse."""


class LowRankGFIM(_Wide):
    """``G`` by Nystroem's approximation of a rank p, ``G O (O^T G O)^+ O^T G`` for p random columns ``O: [d, p]``.

    Tropp et al. 2017, algorithm 3; its inverse, damped, is a sum over p eigenvectors, and the part of G's trace that
    they leave counts as spread evenly over all other directions. Exact, but for rounding, where there are no more than
    p rows ``n r`` of gradients: what Woodbury's identity on the rows gives. Holds ``d p`` numbers a layer.
    """

    spec: ClassVar = METHODS["gfim_low_rank"]
    options: LowRankOptions

    def _columns(self, layer: str, device: torch.device) -> Tensor:
        rank, columns = self.statistics.layers[layer]
        size = min(self.options.rank, columns, self.statistics.samples * rank)
        generator = torch.Generator().manual_seed(0)
        return torch.linalg.qr(torch.randn(columns, size, generator=generator, dtype=torch.float64))[0].to(device)

    def _term(self, block: GradientBlock, layer: str) -> Tensor:
        """Compute ``sum_i g_i^T (g_i O)``."""
        columns = self._columns(layer, block.gradients[layer].device)
        return reduce(torch.add, (few.T @ (few @ columns) for few in self._rows(block, layer)))

    def _solve(self, layer: str, mean: Tensor, x: Tensor) -> Tensor:
        columns, damping = self._columns(layer, mean.device), self._damping(layer)
        shift = torch.finfo(mean.dtype).eps * float(mean.norm()) * 8
        moved = mean + shift * columns
        inner = columns.T @ moved
        factor = torch.linalg.cholesky((inner + inner.T) / 2)
        half = torch.linalg.solve_triangular(factor, moved.T, upper=False).T
        vectors, singular, _ = torch.linalg.svd(half, full_matrices=False)
        values = (singular.square() - shift).clamp(min=0)
        rank, width = self.statistics.layers[layer]
        trace = self._mean_square(layer) * width * (1 if self.options.gfim_scale == "mean" else rank)
        rest = damping + max(0.0, trace - float(values.sum())) / max(1, width - len(values))
        return ((x @ vectors) * (1 / (values + damping) - 1 / rest)) @ vectors.T + x / rest

    def report(self) -> dict[str, Any]:
        """Say the rank, and of how many layers it is exact."""
        n = self.statistics.samples
        exact = sum(self.options.rank >= min(n * r, d) for r, d in self.statistics.layers.values())
        return {**super().report(), "rank": self.options.rank, "exact_layers": exact}


class BlockGFIM(_Wide):
    """``G`` without what is off its diagonal blocks of ``block`` columns each; holds ``d block`` numbers a layer."""

    spec: ClassVar = METHODS["gfim_blocks"]
    options: BlockOptions

    def _cut(self, rows: Tensor) -> Tensor:
        """Take rows apart, ``Tensor[_, blocks, block]``, the last block filled up with zeros."""
        size = min(self.options.block, rows.shape[1])
        missing = -rows.shape[1] % size
        return torch.nn.functional.pad(rows, (0, missing)).unflatten(1, (-1, size))

    def _term(self, block: GradientBlock, layer: str) -> Tensor:
        """Compute the diagonal blocks of ``sum_i g_i^T g_i``."""
        cut = (self._cut(few).transpose(0, 1) for few in self._rows(block, layer))
        return reduce(torch.add, (few.mT @ few for few in cut))

    def _solve(self, layer: str, mean: Tensor, x: Tensor) -> Tensor:
        matrices = mean.clone()
        matrices.diagonal(dim1=1, dim2=2).add_(self._damping(layer))
        right = self._cut(x).permute(1, 2, 0)
        solved = torch.cholesky_solve(right, torch.linalg.cholesky(matrices))
        return solved.permute(2, 0, 1).flatten(1)[:, : x.shape[1]]

    def report(self) -> dict[str, Any]:
        """Say the size of a block."""
        return {**super().report(), "block": self.options.block}
