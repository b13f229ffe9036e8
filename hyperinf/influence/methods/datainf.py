"""DataInf: swap the order of averaging and inverting, one rank-one inverse a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.gradients import GradientBlock
from hyperinf.influence.methods.base import SweepingMethod, register
from hyperinf.influence.sweeps import Steps, Sweep


@register
@dataclass
class DataInf(SweepingMethod):
    """``hvp = 1/(n lambda) sum_i (v - <v, g_i> / (lambda + |g_i|^2) g_i)`` (Kwon et al. 2024, equation 5)."""

    name: ClassVar[str] = "datainf"
    sweeps: ClassVar[int] = 1

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """One sweep over the training gradients, nothing kept but the sum."""

        def term(block: GradientBlock, layer: str) -> Tensor:
            gradients = block.contractions(layer)
            scale = self.lambdas[layer] + gradients.squares()
            return gradients.weighted_sum(gradients.dots(v[layer][None])[:, 0] / scale)

        sums = yield Sweep(_active(v, self.lambdas), term)
        return _averaged(v, sums, self.statistics.samples, self.lambdas)

    def report(self) -> dict[str, Any]:
        """Sweeps of its own."""
        return {"sweeps": self.sweeps}


@register
@dataclass
class DataInfGFIM(SweepingMethod):
    """DataInf on the GFIM: ``hvp = 1/n sum_i v (g_i^T g_i + lambda I)^-1``, each inverse by an r x r Woodbury."""

    name: ClassVar[str] = "datainf_gfim"
    sweeps: ClassVar[int] = 1

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """One sweep; ``v (g^T g + l I)^-1 = (v - v g^T (l I + g g^T)^-1 g) / l``."""

        def term(block: GradientBlock, layer: str) -> Tensor:
            rank = self.statistics.layers[layer][0]
            gradient = block.gradients[layer].double()
            if self.gfim_scale == "mean":
                gradient = gradient / rank**0.5
            small = gradient @ gradient.transpose(1, 2)
            small += self.lambdas[layer] * torch.eye(rank, dtype=small.dtype, device=small.device)
            projected = torch.linalg.solve(small, gradient @ v[layer].T)
            return torch.einsum("bkr,bkd->rd", projected, gradient)

        sums = yield Sweep(_active(v, self.lambdas), term)
        return _averaged(v, sums, self.statistics.samples, self.lambdas)

    def report(self) -> dict[str, Any]:
        """Sweeps of its own."""
        return {"sweeps": self.sweeps}


def _active(v: Mapping[str, Tensor], lambdas: Mapping[str, float]) -> tuple[str, ...]:
    """The layers that are not silent."""
    return tuple(layer for layer in v if lambdas[layer] > 0)


def _averaged(
    v: Mapping[str, Tensor], sums: Mapping[str, Tensor], samples: int, lambdas: Mapping[str, float]
) -> dict[str, Tensor]:
    """``(v - sum / n) / lambda``, and zero where lambda is."""
    return {
        layer: (vector - sums[layer] / samples) / lambdas[layer] if lambdas[layer] > 0 else torch.zeros_like(vector)
        for layer, vector in v.items()
    }
