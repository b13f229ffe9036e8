"""DataInf: swap the order of averaging and inverting, one rank-one inverse a sample."""

from collections.abc import Mapping
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from hyperinf.gradients import GradientBlock
from hyperinf.gradients.alike import Alike
from hyperinf.gradients.contractions import SCRATCH
from hyperinf.influence.methods.base import SweepingMethod
from hyperinf.influence.sweeps import Steps, Sweep
from hyperinf.settings.methods import METHODS


class DataInf(SweepingMethod):
    """``hvp = 1/(n lambda) sum_i (v - <v, g_i> / (lambda + |g_i|^2) g_i)`` (Kwon et al. 2024, equation 5)."""

    spec: ClassVar = METHODS["datainf"]
    copies: ClassVar[int] = 6
    takes_stacks: ClassVar[bool] = True

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Ask for one sweep over the training gradients; nothing is kept but the sum."""
        vectors = self._in_units(v)
        sums = yield Sweep.weighted(vectors, self._weighing(self._weights))
        return self._restored(_averaged(self, vectors, sums), v)

    def _weights(self, few: Alike, dots: Tensor) -> Tensor:
        """Divide by ``lambda + |g_i|^2``."""
        damping = [[self._damping(layer)] for layer in few.layers]
        dampings = torch.tensor(damping, dtype=torch.float64, device=few.device)
        return dots / (dampings + few.squares())[..., None]


class DataInfGFIM(SweepingMethod):
    """DataInf on the GFIM: ``hvp = 1/n sum_i v (g_i^T g_i + lambda I)^-1``, each inverse by an r x r Woodbury."""

    spec: ClassVar = METHODS["datainf_gfim"]
    copies: ClassVar[int] = 8
    columns_only: ClassVar[bool] = True

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Ask for one sweep; ``v (g^T g + l I)^-1 = (v - v g^T (l I + g g^T)^-1 g) / l``."""

        def term(block: GradientBlock, layer: str) -> Tensor:
            rank = self.statistics.layers[layer][0]
            gradients = self._gradients(block, layer).dense()
            # So few samples at a time that what is solved for, of many vectors, is a small scratch.
            pieces = gradients.split(max(1, SCRATCH // max(1, rank * len(vectors[layer]))))
            return reduce(torch.add, (summed(piece, layer) for piece in pieces))

        def summed(gradient: Tensor, layer: str) -> Tensor:
            gradient = gradient.double()
            if self.options.gfim_scale == "mean":
                gradient = gradient / gradient.shape[1] ** 0.5
            small = gradient @ gradient.transpose(1, 2)
            small += self._damping(layer) * torch.eye(len(small[0]), dtype=small.dtype, device=small.device)
            projected = torch.linalg.solve(small, gradient @ vectors[layer].T)
            return torch.einsum("bkr,bkd->rd", projected, gradient)

        vectors = self._in_units(v)
        sums = yield Sweep.of(vectors, term)
        return self._restored(_averaged(self, vectors, sums), v)


def _averaged(method: SweepingMethod, v: Mapping[str, Tensor], sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compute ``(v - sum / n) / lambda``, in the place of the sums."""
    found = [sums[layer] for layer in v]
    torch._foreach_div_(found, -method.statistics.samples)
    torch._foreach_add_(found, list(v.values()))
    torch._foreach_div_(found, [method._damping(layer) for layer in v])
    return dict(zip(v, found, strict=True))
