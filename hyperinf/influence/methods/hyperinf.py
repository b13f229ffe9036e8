"""HyperINF: the damped GFIM, inverted by Schulz's iteration; and the same by Cholesky, its oracle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from hyperinf.influence.methods.base import InfluenceMethod, register
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.linalg import ConvergenceError, hyperpower_inverse

SOLVERS = ("schulz", "cholesky", "auto")


@register
@dataclass
class HyperINF(InfluenceMethod):
    """``hvp = v (G + lambda I)^-1``, the inverse by Schulz's hyperpower iteration (HyperINF, algorithm 1).

    The iteration runs on ``G / lambda + I``, whose smallest eigenvalue is known to be at least 1 and whose size does
    not depend on how small the gradients are; one residual step in float64 then removes what its tolerance left.

    Attributes:
        solver: ``"schulz"``; ``"cholesky"``, the same matrix factorised in float64; ``"auto"`` is ``"cholesky"``,
            which is faster wherever we have measured both.
        tol: the Frobenius norm of ``I - A X`` at which the iteration stops.
        max_iter: the most iterations before it is a failure.
    """

    name: ClassVar[str] = "hyperinf"
    needs_gfim: ClassVar[bool] = True
    columns_only: ClassVar[bool] = True

    solver: str = "schulz"
    tol: float = 1e-3
    max_iter: int = 60
    matmuls: dict[str, int] = field(init=False, default_factory=dict)
    residuals: dict[str, float] = field(init=False, default_factory=dict)
    kept: dict[str, Tensor] | None = field(init=False, default=None, repr=False)
    """Inverses or factors ``Tensor[d, d]`` by layer, once vectors are asked for a few at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in SOLVERS:
            raise ValueError(f"solver: expected one of {', '.join(SOLVERS)}, got {self.solver!r}")

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell; inverses of others are forgotten."""
        self.kept = None
        return super().fit_statistics(statistics)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All at once, by inverses (or factors) that are kept for the next call.

        Raises:
            ConvergenceError: as in :meth:`precondition`.
        """
        self.kept = {} if self.kept is None else self.kept
        return super().precondition_each(vectors)

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One inverse (or factorisation) a layer.

        Raises:
            ConvergenceError: names the layer; nothing that has not converged is returned.
        """
        solve = self._schulz if self.solver == "schulz" else self._cholesky
        return self._restored({layer: solve(layer, vector) for layer, vector in self._in_units(v).items()}, v)

    def report(self) -> dict[str, Any]:
        """Matrix products and the worst residual over the layers."""
        if not self.matmuls:
            return {"solver": self.solver}
        return {
            "solver": self.solver,
            "matmuls": sum(self.matmuls.values()),
            "residual": max(self.residuals.values()),
        }

    def _relative(self, layer: str) -> Tensor:
        matrix = self._gfim(layer) / self._damping(layer)
        matrix.diagonal().add_(1.0)
        return matrix

    def _schulz(self, layer: str, vector: Tensor) -> Tensor:
        matrix = self._relative(layer)
        inverse, matrix = self._once(layer, lambda: self._inverse(layer, matrix)).double(), matrix.double()
        x = vector @ inverse
        x = x + (vector - x @ matrix) @ inverse
        return x / self._damping(layer)

    def _inverse(self, layer: str, matrix: Tensor) -> Tensor:
        try:
            result = hyperpower_inverse(matrix.float(), tol=self.tol, max_iter=self.max_iter, lmin=1.0)
        except ConvergenceError:
            # Beyond float32's reach: the same iteration in double precision, which says so if it fails as well.
            try:
                result = hyperpower_inverse(matrix.double(), tol=self.tol, max_iter=self.max_iter, lmin=1.0)
            except ConvergenceError as error:
                raise ConvergenceError(f"layer {layer!r}: {error}") from None
        self.matmuls[layer] = int(result.matmuls)
        self.residuals[layer] = float(result.residual)
        return result.inverse

    def _cholesky(self, layer: str, vector: Tensor) -> Tensor:
        factor = self._once(layer, lambda: torch.linalg.cholesky(self._relative(layer).double()))
        return torch.cholesky_solve(vector.T, factor).T / self._damping(layer)

    def _once(self, layer: str, make: Callable[[], Tensor]) -> Tensor:
        """What was kept of a layer; else what ``make`` gives, which is kept if anything is."""
        if self.kept is None:
            return make()
        if layer not in self.kept:
            self.kept[layer] = make()
        return self.kept[layer]


@register
@dataclass
class GFIM(HyperINF):
    """The oracle of :class:`HyperINF`: the same matrix by Cholesky in float64."""

    name: ClassVar[str] = "gfim"

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One factorisation a layer."""
        return self._restored({layer: self._cholesky(layer, vector) for layer, vector in self._in_units(v).items()}, v)

    def report(self) -> dict[str, Any]:
        """How it was solved."""
        return {"solver": "cholesky"}
