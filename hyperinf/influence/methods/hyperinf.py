"""HyperINF: the damped GFIM, inverted by Schulz's iteration; and the same by Cholesky, its oracle."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from hyperinf.influence.memory import free_bytes
from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.linalg import ConvergenceError, InverseResult, hyperpower_inverse
from hyperinf.settings.methods import METHODS, HyperInfOptions, MethodOptions

MOST = 64
"""Matrices that are inverted at once: more of them no longer shorten the time of each."""
MATRICES = 20
"""Of the size of one that its iteration holds, and its matrix in float64."""


class GFIM(InfluenceMethod):
    """``hvp = v (G + lambda I)^-1`` by Cholesky in float64: the oracle of :class:`HyperINF`."""

    spec: ClassVar = METHODS["gfim"]
    columns_only: ClassVar[bool] = True

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._kept: dict[str, Tensor] | None = None
        """Inverses or factors ``Tensor[d, d]`` by layer, once vectors are asked for a few at a time."""

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell; inverses of others are forgotten."""
        self._kept = None
        return super().fit_statistics(statistics)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for all vectors at once, by inverses or factors that are kept for the next call.

        Raises:
            ConvergenceError: as in :meth:`precondition`.
        """
        self._kept = {} if self._kept is None else self._kept
        return super().precondition_each(vectors)

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve by one factorisation, or of :class:`HyperINF` one inverse, a layer.

        Raises:
            ConvergenceError: names the layer; nothing that has not converged is returned.
        """
        vectors = self._in_units(v)
        result = {}
        for layers in self._together(list(vectors)):
            self._prepare(layers)
            result.update({layer: self._solve(layer, vectors[layer]) for layer in layers})
        return self._restored(result, v)

    def _together(self, layers: list[str]) -> list[list[str]]:
        """Take the layers apart into those that are prepared together."""
        return [[layer] for layer in layers]

    def _prepare(self, layers: list[str]) -> None:
        """Do what is done of several layers at once."""

    def report(self) -> dict[str, Any]:
        """Say how it was solved."""
        return {"solver": "cholesky"}

    def _relative(self, layer: str) -> Tensor:
        matrix = self._gfim(layer) / self._damping(layer)
        matrix.diagonal().add_(1.0)
        return matrix

    def _solve(self, layer: str, vector: Tensor) -> Tensor:
        factor = self._once(layer, lambda: torch.linalg.cholesky(self._relative(layer).double()))
        return torch.cholesky_solve(vector.T, factor).T / self._damping(layer)

    def _once(self, layer: str, make: Callable[[], Tensor]) -> Tensor:
        """Give what was kept of a layer; else what ``make`` gives, which is kept if anything is."""
        if self._kept is None:
            return make()
        if layer not in self._kept:
            self._kept[layer] = make()
        return self._kept[layer]


class HyperINF(GFIM):
    """``hvp = v (G + lambda I)^-1``, the inverse by Schulz's hyperpower iteration (HyperINF, algorithm 1).

    The iteration runs on ``G / lambda + I``, whose smallest eigenvalue is known to be at least 1 and whose size does
    not depend on how small the gradients are; one residual step in float64 then removes what its tolerance left. The
    option ``solver`` may name Cholesky's factorisation instead; ``auto`` is that, too, as it is faster wherever we have
    measured both.
    """

    spec: ClassVar = METHODS["hyperinf"]
    options: HyperInfOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.matmuls: dict[str, int] = {}
        self.residuals: dict[str, float] = {}
        self._ready: dict[str, Tensor] = {}
        """Inverses of the layers that are being solved, where several were inverted at once."""

    def _together(self, layers: list[str]) -> list[list[str]]:
        """Put layers of one shape together whose matrices a GPU inverts at once, as many as fit into half its memory.

        A CPU is busy with one; and there each layer's digits are its own, whatever the others are.
        """
        if self.options.solver != "schulz":
            return super()._together(layers)
        alike: dict[tuple[int, torch.device], list[str]] = {}
        for layer in layers:
            matrix = self.statistics.gfim[layer]
            alike.setdefault((len(matrix), matrix.device), []).append(layer)
        if not any(takes_many(device) for _, device in alike):
            return super()._together(layers)
        sizes = {place: _matrices_at_once(*place) for place in alike}
        return [
            named[start : start + sizes[place]]
            for place, named in alike.items()
            for start in range(0, len(named), sizes[place])
        ]

    def _prepare(self, layers: list[str]) -> None:
        kept = self._kept or {}
        wanted = [layer for layer in layers if layer not in kept]
        self._ready = {}
        if len(wanted) > 1:
            matrices = torch.stack([self._relative(layer).float() for layer in wanted])
            try:
                result = self._by_products(matrices)
            except ConvergenceError:
                return  # one at a time, which tells the layer
            self._ready = dict(zip(wanted, result.inverse, strict=True))
            self.matmuls.update(dict.fromkeys(wanted, int(result.matmuls)))
            self.residuals.update(dict.fromkeys(wanted, float(result.residual)))

    def report(self) -> dict[str, Any]:
        """Say the solver, its matrix products and the worst residual over the layers."""
        if not self.matmuls:
            return {"solver": self.options.solver}
        return {
            "solver": self.options.solver,
            "matmuls": sum(self.matmuls.values()),
            "residual": max(self.residuals.values()),
        }

    def _solve(self, layer: str, vector: Tensor) -> Tensor:
        if self.options.solver != "schulz":
            return super()._solve(layer, vector)
        matrix = self._relative(layer)
        inverse, matrix = self._once(layer, lambda: self._inverse(layer, matrix)).double(), matrix.double()
        x = vector @ inverse
        x = x + (vector - x @ matrix) @ inverse
        return x / self._damping(layer)

    def _inverse(self, layer: str, matrix: Tensor) -> Tensor:
        if layer in self._ready:
            return self._ready[layer]
        try:
            result = self._by_products(matrix.float())
        except ConvergenceError:
            # Beyond float32's reach: the same iteration in double precision, which says so if it fails as well.
            try:
                result = self._by_products(matrix.double())
            except ConvergenceError as error:
                raise ConvergenceError(f"layer {layer!r}: {error}") from None
        self.matmuls[layer] = int(result.matmuls)
        self.residuals[layer] = float(result.residual)
        return result.inverse

    def _by_products(self, matrices: Tensor) -> InverseResult:
        return hyperpower_inverse(matrices, tol=self.options.tol, max_iter=self.options.max_iter, lmin=1.0)


def takes_many(device: torch.device) -> bool:
    """Tell whether a device has room for more products than those of one matrix."""
    return device.type == "cuda"


def _matrices_at_once(columns: int, device: torch.device) -> int:
    """Count the float32 matrices whose inversion takes half the memory that is free on a device, at least 1."""
    free = free_bytes(device)
    return MOST if free is None else min(MOST, max(1, free // 2 // (MATRICES * 4 * columns**2)))
