"""The polynomials of the hyperpower family, in the residual ``R = I - A X``."""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST_ORDER, HIGHEST_ORDER = 2, 7

# Chebyshev polynomials T_p, coefficients of x^0, x^1, ..., x^p.
_CHEBYSHEV = {
    2: (-1, 0, 2),
    3: (0, -3, 0, 4),
    4: (1, 0, -8, 0, 8),
    5: (0, 5, 0, -20, 0, 16),
    6: (-1, 0, 18, 0, -48, 0, 32),
    7: (0, -7, 0, 56, 0, -112, 0, 64),
}
# Products of two matrices that `correction` spends.
CORRECTION_MATMULS = {2: 0, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3}


def update_coefficients(order: int, rho: Tensor) -> Tensor:
    """Coefficients ``c`` of the update ``X (c_0 I + c_1 R + ... + c_{p-1} R^{p-1})``.

    The new residual is ``T_p(R / rho) / T_p(1 / rho)``, of all polynomials of degree p with value 1 at ``R = 1``
    the smallest on ``[-rho, rho]``. It stays below 1 in magnitude for every eigenvalue of R that is, also those
    outside ``[-rho, rho]``: a rho that is too small costs steps, never convergence. For ``rho = 0`` it is ``R^p``,
    the plain hyperpower iteration.

    Args:
        order: p, from 2 to 7.
        rho: ``Tensor[B]``, float64, in ``[0, 1)``: bound of the residual's eigenvalues.

    Returns:
        ``Tensor[B, p]``, float64.
    """
    powers = torch.arange(order, -1, -1, dtype=torch.float64)
    terms = torch.tensor(_CHEBYSHEV[order], dtype=torch.float64) * rho[:, None] ** powers
    residual = terms / terms.sum(1, keepdim=True)
    # (1 - sum_i t_i R^i) / (1 - R) = sum_j R^j (t_{j+1} + ... + t_p), because the t_i sum to 1.
    return residual[:, 1:].flip(1).cumsum(1).flip(1)


def predicted_rho(order: int, rho: Tensor) -> Tensor:
    """Bound of the next residual's eigenvalues, ``1 / T_p(1 / rho)``; ``Tensor[B]``, float64."""
    powers = torch.arange(order, -1, -1, dtype=torch.float64)
    terms = torch.tensor(_CHEBYSHEV[order], dtype=torch.float64) * rho[:, None] ** powers
    return rho**order / terms.sum(1)


def correction(r: Tensor, coefficients: Tensor) -> Tensor:
    """Evaluate ``c_1 R + ... + c_{p-1} R^{p-1}`` in the fewest products (Paterson and Stockmeyer, 1973).

    The constant is left out: X times it is exact, and the product with what remains shrinks with R.

    Args:
        r: ``Tensor[B, d, d]``.
        coefficients: ``Tensor[B, p]``, of `update_coefficients`.

    Returns:
        ``Tensor[B, d, d]``, `CORRECTION_MATMULS` products later.
    """
    order = coefficients.shape[1]
    c = coefficients.to(r).T[:, :, None, None]
    if order == 2:
        return c[1] * r
    square = r @ r
    if order == 3:
        return torch.addcmul(c[1] * r, c[2], square)
    if order in (4, 5):
        inner = c[3] * r
        if order == 5:
            inner = torch.addcmul(inner, c[4], square)
        return (square @ _plus_identity(inner, c[2])).addcmul_(c[1], r)
    cube = r @ square
    inner = torch.addcmul(c[4] * r, c[5], square)
    if order == 7:
        inner = torch.addcmul(inner, c[6], cube)
    return (cube @ _plus_identity(inner, c[3])).addcmul_(c[1], r).addcmul_(c[2], square)


def _plus_identity(m: Tensor, c: Tensor) -> Tensor:
    m.diagonal(dim1=-2, dim2=-1).add_(c[:, :, 0])
    return m
