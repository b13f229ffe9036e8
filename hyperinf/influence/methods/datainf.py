"""DataInf: swap the order of averaging and inverting, one rank-one inverse a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.influence.methods.base import InfluenceMethod, register


@register
@dataclass
class DataInf(InfluenceMethod):
    """``hvp = 1/(n lambda) sum_i (v - <v, g_i> / (lambda + |g_i|^2) g_i)`` (Kwon et al. 2024, equation 5)."""

    name: ClassVar[str] = "datainf"

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One sweep over the training gradients, nothing kept but the sum."""
        sums = {layer: torch.zeros_like(vector) for layer, vector in v.items()}
        for block in self.source:
            for layer, vector in v.items():
                gradients = block.contractions(layer)
                scale = self.lambdas[layer] + gradients.squares()
                weights = torch.where(scale > 0, gradients.dots(vector[None])[:, 0] / scale, 0.0)
                sums[layer] += gradients.weighted_sum(weights)
            del block, gradients
        return _averaged(v, sums, self.statistics.samples, self.lambdas)

    def report(self) -> dict[str, Any]:
        """Sweeps of its own."""
        return {"sweeps": 1}


@register
@dataclass
class DataInfGFIM(InfluenceMethod):
    """DataInf on the GFIM: ``hvp = 1/n sum_i v (g_i^T g_i + lambda I)^-1``, each inverse by an r x r Woodbury."""

    name: ClassVar[str] = "datainf_gfim"

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One sweep; ``v (g^T g + l I)^-1 = (v - v g^T (l I + g g^T)^-1 g) / l``."""
        sums = {layer: torch.zeros_like(vector) for layer, vector in v.items()}
        for block in self.source:
            for layer, vector in v.items():
                if self.lambdas[layer] == 0:
                    continue
                rank = self.statistics.layers[layer][0]
                gradient = block.gradients[layer].double()
                if self.gfim_scale == "mean":
                    gradient = gradient / rank**0.5
                small = gradient @ gradient.transpose(1, 2)
                small += self.lambdas[layer] * torch.eye(rank, dtype=small.dtype, device=small.device)
                projected = torch.linalg.solve(small, gradient @ vector.T)
                sums[layer] += torch.einsum("bkr,bkd->rd", projected, gradient)
            del block
        return _averaged(v, sums, self.statistics.samples, self.lambdas)

    def report(self) -> dict[str, Any]:
        """Sweeps of its own."""
        return {"sweeps": 1}


def _averaged(
    v: Mapping[str, Tensor], sums: Mapping[str, Tensor], samples: int, lambdas: Mapping[str, float]
) -> dict[str, Tensor]:
    """``(v - sum / n) / lambda``, and zero where lambda is."""
    return {
        layer: (vector - sums[layer] / samples) / lambdas[layer] if lambdas[layer] > 0 else torch.zeros_like(vector)
        for layer, vector in v.items()
    }
