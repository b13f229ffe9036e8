"""How far the Fisher matrix of a layer's own gradients is from what the GFIM makes of it."""

import math

import torch
from torch import Tensor


def gfim_distance(gradients: Tensor, fisher_square: float, gfim: Tensor) -> float:
    """Estimate ``||I (x) G / r - F||_F / ||F||_F`` of the matrices that samples without end would have.

    ``I (x) G / r``, the GFIM's stand-in for the Fisher matrix F, is its projection on matrices of that form, so the
    squared distance is ``||F||^2 - ||G||^2 / r``. Of a sample both norms are too large, as each gradient is multiplied
    with itself; without those terms their expectations are those of the limit (U-statistics). Nothing but rounding and
    chance is left for gradients whose rows are independent and alike.

    Args:
        gradients: ``Tensor[n, r, d]``, float64.
        fisher_square: ``||n F||_F^2``, the sum of ``<g_i, g_j>^2`` over all i and j.
        gfim: ``Tensor[d, d]``, ``mean_i g_i^T g_i`` in the same unit.

    Returns:
        The distance, 0 to 1; NaN where it cannot be told: of one sample, or of samples orthogonal to each other.

    Source: ``FIM = I (x) GFIM / r`` is HyperINF's (arXiv 2410.05090); the estimate is this package's.
    """
    n, r, _ = gradients.shape
    own = gradients.flatten(1).square().sum(1).square().sum()
    own_gfim = torch.linalg.matrix_norm(gradients @ gradients.mT).square().sum()
    whole, summed = fisher_square - float(own), float(n**2 * gfim.double().square().sum() - own_gfim)
    if n < 2 or whole <= 0:
        return math.nan
    return math.sqrt(min(max(1 - summed / (r * whole), 0.0), 1.0))
