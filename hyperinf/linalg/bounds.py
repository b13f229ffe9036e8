"""Bounds on the eigenvalues of symmetric positive definite matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Norms are exact bounds only in exact arithmetic; one per cent covers their rounding in float32.
MARGIN = 1.01
LANCZOS_STEPS = 40
# Chance, over the random start, that the Lanczos bound lies below the largest eigenvalue.
FAILURE_PROBABILITY = 1e-9


@dataclass(frozen=True, eq=False)
class SpectrumBounds:
    """Eigenvalue bounds of a batch of matrices, as float64 tensors ``[B]`` on the CPU.

    Attributes:
        upper: Upper bound of the largest eigenvalue: the smaller of `norm` and the Lanczos bound.
        norm: Upper bound of the largest eigenvalue from norms alone, certain.
        smallest: Estimate of the smallest eigenvalue from above (a Rayleigh quotient): at least the true one.
        exact: Whether the Krylov space was exhausted, so that the extremes are exact up to rounding.
        matvecs: Matrix-vector products spent.
    """

    upper: Tensor
    norm: Tensor
    smallest: Tensor
    exact: Tensor
    matvecs: int


def norm_bound(a: Tensor) -> Tensor:
    """Certain upper bound of the largest eigenvalue: ``1.01 * min(||A||_inf, ||A||_F, tr A)``.

    Args:
        a: ``Tensor[B, d, d]``, symmetric positive definite. The trace bounds only because no eigenvalue is negative.

    Returns:
        ``Tensor[B]`` in float64 on the CPU.
    """
    scale = entry_scale(a)
    unit = a / scale[:, None, None]
    bounds = torch.stack(
        [
            unit.abs().sum(-1).amax(-1),
            torch.linalg.vector_norm(unit, dim=(-2, -1)),
            unit.diagonal(dim1=-2, dim2=-1).sum(-1),
        ]
    )
    return MARGIN * bounds.amin(0).double().cpu() * scale.double().cpu()


def column_bound(a: Tensor) -> Tensor:
    """Certain lower bound of the largest eigenvalue: the largest 2-norm of a column, ``Tensor[B]`` in float64."""
    scale = entry_scale(a)
    columns = torch.linalg.vector_norm(a / scale[:, None, None], dim=-2).amax(-1)
    return columns.double().cpu() * scale.double().cpu()


def frobenius_norm(a: Tensor) -> Tensor:
    """``||A||_F`` of ``a[B, d, d]``, its squares kept in range; ``Tensor[B]`` in float64 on the CPU."""
    scale = entry_scale(a)
    unit = torch.linalg.vector_norm(a / scale[:, None, None], dim=(-2, -1))
    return unit.double().cpu() * scale.double().cpu()


def spectrum_bounds(a: Tensor, steps: int = LANCZOS_STEPS) -> SpectrumBounds:
    """Bound the spectrum by norms and by `steps` of Lanczos from a fixed random start.

    Kuczynski and Wozniakowski (1992, theorem 3.2): after k steps from a uniformly random start the largest Ritz
    value ``t`` of a positive definite matrix misses the largest eigenvalue by a relative ``e`` with a probability
    of at most ``1.648 sqrt(d) exp(-(2k-1) sqrt(e))``. The bound ``t / (1 - e)`` uses the ``e`` that makes this
    `FAILURE_PROBABILITY`. A caller that needs certainty uses `norm_bound`, or notices a failure and falls back on it.

    Args:
        a: ``Tensor[B, d, d]``, symmetric positive definite.
        steps: Matrix-vector products to spend.

    Returns:
        The bounds, in the units of `a`.
    """
    d = a.shape[-1]
    steps = min(steps, d)
    smallest, largest, exact = lanczos_extremes(a, steps)
    root = math.log(1.648 * math.sqrt(d) / FAILURE_PROBABILITY) / (2 * steps - 1)
    slack = 1 - root**2 if root < 1 else 0.0
    probable = torch.where(exact, largest, largest / slack if slack > 0 else torch.inf)
    certain = norm_bound(a)
    return SpectrumBounds(
        upper=torch.minimum(MARGIN * probable, certain), norm=certain, smallest=smallest, exact=exact, matvecs=steps
    )


def lanczos_extremes(a: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Extreme Ritz values of symmetric matrices after `steps` of Lanczos with full reorthogonalisation.

    Every matrix starts from the same vector, drawn from a private generator: results do not depend on the batch
    nor on the caller's random state.

    Args:
        a: ``Tensor[B, d, d]``, symmetric.
        steps: At least 1, at most d.

    Returns:
        Smallest and largest Ritz value and whether the Krylov space was exhausted, ``Tensor[B]`` on the CPU. The
        Ritz values (float64) lie within the spectrum.
    """
    count, d = a.shape[0], a.shape[-1]
    scale = entry_scale(a)
    # Applied on both sides of the product, so that neither 1e-38 nor 1e+38 leaves the range of the dtype.
    root = scale.rsqrt()[:, None]
    start = torch.randn(d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    v = (start / start.norm()).to(a).expand(count, d)
    basis = torch.zeros(count, steps, d, dtype=a.dtype, device=a.device)
    diagonal = torch.zeros(count, steps, dtype=a.dtype, device=a.device)
    off = torch.zeros(count, steps, dtype=a.dtype, device=a.device)
    alive = torch.ones(count, dtype=torch.bool, device=a.device)
    floor = 10 * d**0.5 * torch.finfo(a.dtype).eps
    for j in range(steps):
        basis[:, j] = v
        w = (a @ (v * root)[:, :, None])[:, :, 0] * root
        # A Krylov space that ended early is padded with copies of its first Rayleigh quotient, which lies inside
        # the spectrum; zeros would pose as an eigenvalue.
        diagonal[:, j] = torch.where(alive, (v * w).sum(-1), diagonal[:, 0])
        for _ in range(2):
            seen = basis[:, : j + 1]
            w = w - (seen.mT @ (seen @ w[:, :, None]))[:, :, 0]
        length = torch.linalg.vector_norm(w, dim=-1)
        alive = alive & (length > floor)
        off[:, j] = torch.where(alive, length, 0)
        v = torch.where(alive[:, None], w / length.clamp_min(floor)[:, None], 0)
    host = diagonal.double().cpu()
    links = off.double().cpu()[:, : steps - 1]
    tridiagonal = torch.diag_embed(host) + torch.diag_embed(links, 1) + torch.diag_embed(links, -1)
    ritz = torch.linalg.eigvalsh(tridiagonal) * scale.double().cpu()[:, None]
    exhausted = ~alive.cpu() if steps < d else torch.ones(count, dtype=torch.bool)
    return ritz[:, 0], ritz[:, -1], exhausted


def entry_scale(a: Tensor) -> Tensor:
    """Power of four at or below the largest entry of each matrix: divides out without rounding, has an exact root."""
    _, exponent = torch.frexp(a.abs().amax((-2, -1)))
    limits = torch.finfo(a.dtype)
    lowest, highest = math.frexp(limits.tiny)[1] // 2, math.frexp(limits.max)[1] // 2 - 1
    half = torch.div(exponent, 2, rounding_mode="floor").clamp(lowest, highest)
    return torch.exp2((2 * half).to(a.dtype))
