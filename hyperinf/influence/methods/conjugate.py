"""The damped GFIM and FIM by conjugate gradients, up to a tolerance: few products with a curvature, and no inverse."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.influence.methods.base import InfluenceMethod, SweepingMethod
from hyperinf.influence.sweeps import Steps, Vectors
from hyperinf.linalg import ConvergenceError
from hyperinf.linalg.solvers.krylov import conjugate_gradient
from hyperinf.settings.methods import METHODS, CgOptions, FisherCgOptions, MethodOptions


class GFIMByCG(InfluenceMethod):
    """``hvp = v (G + lambda I)^-1``, all rows of ``v[l]`` at once (Hestenes and Stiefel 1952); no further sweep."""

    spec: ClassVar = METHODS["gfim_cg"]
    options: CgOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.iterations: dict[str, int] = {}
        self.residuals: dict[str, float] = {}

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve one layer after the other.

        Raises:
            ConvergenceError: names the layer; nothing that has not converged is returned.
        """
        return self._restored({layer: self._solve(layer, x) for layer, x in self._in_units(v).items()}, v)

    def _solve(self, layer: str, vector: Tensor) -> Tensor:
        matrix = self._gfim(layer).double().clone()
        matrix.diagonal().add_(self._damping(layer))
        found = conjugate_gradient(matrix, vector.T, iterations=self.options.max_iter, tol=self.options.tol)
        if not found.converged:
            raise ConvergenceError(f"layer {layer!r}: {self.name} {found.reason}; {_REMEDY}")
        self.iterations[layer] = found.iterations
        self.residuals[layer] = found.residual
        return found.x.T

    def report(self) -> dict[str, Any]:
        """Say the most iterations of a layer, and the worst residual."""
        return _reported(self.iterations, self.residuals)


class FisherByCG(SweepingMethod):
    """``hvp = (F + lambda I)^-1 vec(v)``; a sweep over the training gradients for every iteration."""

    spec: ClassVar = METHODS["fim_cg"]
    options: FisherCgOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.iterations: dict[str, int] = {}
        self.residuals: dict[str, float] = {}

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Ask for one sweep an iteration, of the layers that have not converged.

        Raises:
            ConvergenceError: names the layer; nothing that has not converged is returned.
        """
        self.iterations, self.residuals = {}, {}
        right = {layer: x for layer, x in self._in_units(v).items() if bool(x.any())}
        x = {layer: torch.zeros_like(b) for layer, b in right.items()}
        r, p = dict(right), dict(right)
        rr = {layer: float((b * b).sum()) for layer, b in right.items()}
        goal = {layer: self.options.tol**2 * size for layer, size in rr.items()}
        done = 0
        while p:
            if done == self.options.max_iter:
                worst = max(p, key=lambda layer: rr[layer] / goal[layer])
                residual = self.options.tol * (rr[worst] / goal[worst]) ** 0.5
                raise ConvergenceError(
                    f"layer {worst!r}: {self.name} stopped after {done} iterations: relative residual {residual:.3g} >"
                    f" tol {self.options.tol:.3g}; {_REMEDY}"
                )
            curved = yield from self._damped(p)
            done += 1
            for layer, product in curved.items():
                step = rr[layer] / float((p[layer] * product).sum())
                x[layer] = x[layer] + step * p[layer]
                r[layer] = r[layer] - step * product
                before, rr[layer] = rr[layer], float((r[layer] * r[layer]).sum())
                p[layer] = r[layer] + rr[layer] / before * p[layer]
                if rr[layer] <= goal[layer]:
                    self.iterations[layer] = done
                    self.residuals[layer] = self.options.tol * (rr[layer] / goal[layer]) ** 0.5
                    del p[layer]
        return self._restored(x, v)

    def _damped(self, vectors: Vectors) -> Steps:
        products = yield from self._times_fisher(dict(vectors))
        return {layer: product + self._damping(layer) * vectors[layer] for layer, product in products.items()}

    def _take_notes(self, twins: Sequence[Any]) -> None:
        """Take the most iterations and the worst residual of each layer."""
        for layer in self.statistics.layers:
            self.iterations[layer] = max((twin.iterations.get(layer, 0) for twin in twins), default=0)
            self.residuals[layer] = max((twin.residuals.get(layer, 0.0) for twin in twins), default=0.0)

    def report(self) -> dict[str, Any]:
        """Say the sweeps, which are the iterations of the slowest layer, and the worst residual."""
        return {"sweeps": max(self.iterations.values(), default=0), **_reported(self.iterations, self.residuals)}


_REMEDY = "allow more iterations (max_iter), a larger tol or more damping"


def _reported(iterations: Mapping[str, int], residuals: Mapping[str, float]) -> dict[str, Any]:
    return {
        "iterations": max(iterations.values(), default=0),
        "residual": max(residuals.values(), default=0.0),
    }
