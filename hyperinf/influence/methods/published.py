"""HyperINF and LiSSA as their published codes have them, scale of the gradients and all: what the publication measured.

Both depend on how large the gradients are, which no other method here does.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.influence.methods.lissa import LiSSA
from hyperinf.influence.sweeps import Steps
from hyperinf.linalg import ConvergenceError
from hyperinf.settings.methods import METHODS, PublishedHyperInfOptions, PublishedLissaOptions

START = 5e-5
"""Schulz's iteration begins at this multiple of the identity."""
MORE_DAMPING = 1e-3
"""What HyperINF's damping is larger by than that of the others."""


class PublishedHyperINF(InfluenceMethod):
    """``hvp = v X_T``, ``X_0 = 5e-5 I``, ``X <- X (2 I - A X)``, ``A = G + (lambda + 1e-3) I``, for a fixed T.

    After T steps no eigenvalue of X is above ``5e-5 * 2^T``, so that of small gradients' matrices it is hardly more
    than a multiple of the identity; above an eigenvalue of 4e4 of A the iteration diverges.
    """

    spec: ClassVar = METHODS["hyperinf_published"]
    columns_only: ClassVar[bool] = True
    options: PublishedHyperInfOptions

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the steps, in float64.

        Raises:
            ConvergenceError: the iteration of a layer diverges.
        """
        result = {}
        for layer, vector in v.items():
            mean_square = self.statistics.mean_square[layer]
            if mean_square == 0:
                result[layer] = torch.zeros_like(vector)
                continue
            rank, columns = self.statistics.layers[layer]
            matrix = self.statistics.gfim[layer].double() / (rank if self.options.gfim_scale == "mean" else 1)
            matrix.diagonal().add_(self.options.damping * mean_square + MORE_DAMPING)
            inverse = START * torch.eye(columns, dtype=matrix.dtype, device=matrix.device)
            for _ in range(self.options.iterations):
                inverse = 2 * inverse - inverse @ (matrix @ inverse)
            result[layer] = _finite(vector @ inverse, layer, self.name)
        return result

    def report(self) -> dict[str, Any]:
        """Say the steps."""
        return {"solver": "schulz", "start": START, "iterations": self.options.iterations}


class PublishedLiSSA(LiSSA):
    """``r_0 = v; r_{t+1} = v + r_t - (F - lambda I) r_t; hvp = r_T``: no scaling, and lambda with the other sign."""

    spec: ClassVar = METHODS["lissa_published"]
    options: PublishedLissaOptions  # type: ignore[assignment]

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Take one product with the curvature for every step.

        Raises:
            ConvergenceError: the series of a layer diverges beyond what float64 holds.
        """
        active = {layer: vector for layer, vector in v.items() if self.statistics.mean_square[layer] > 0}
        self.residuals, self.products = [], 0
        r = dict(active)
        for _ in range(self.options.iterations if active else 0):
            self.products += 1
            curved = yield from self._multiply(r)
            damping = {layer: self.options.damping * self.statistics.mean_square[layer] for layer in r}
            r = {layer: active[layer] + r[layer] - (curved[layer] - damping[layer] * r[layer]) for layer in r}
        found = {layer: _finite(vector, layer, self.name) for layer, vector in r.items()}
        return {layer: found.get(layer, torch.zeros_like(vector)) for layer, vector in v.items()}

    def _unit(self, layer: str) -> int:
        """Take gradients as they are."""
        return 0

    def report(self) -> dict[str, Any]:
        """Say the steps."""
        return {"sweeps": self.products, "iterations": self.options.iterations, "scale": 1}


def _finite(product: Tensor, layer: str, name: str) -> Tensor:
    if not bool(torch.isfinite(product).all()):
        raise ConvergenceError(
            f"layer {layer!r}: {name} diverges, as it does where gradients are large; expected smaller"
        )
    return product
