"""Direct solvers, and the float64 reference that errors are measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperinf.linalg.precision import full_precision
from hyperinf.linalg.solvers.result import SolveCallback, SolveResult, check_system, relative_residual


def cholesky(
    a: Tensor, b: Tensor, *, iterations: int = 1, tol: float = 0.0, callback: SolveCallback | None = None
) -> SolveResult:
    """Cholesky factorisation in the dtype of `a` and two triangular solves.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Accepted for the common interface, without effect.
        tol: The same.
        callback: Called once, with iteration 0.

    Returns:
        See `SolveResult`.

    Raises:
        ValueError: When `a` is not positive definite in its dtype.
    """
    check_system(a, b, iterations, tol)
    with full_precision(a.device):
        x = torch.cholesky_solve(b.reshape(len(b), -1), _factor(a)).reshape(b.shape)
        return _direct(a, b, x, callback, "Cholesky factorisation")


def lu_inverse(
    a: Tensor, b: Tensor, *, iterations: int = 1, tol: float = 0.0, callback: SolveCallback | None = None
) -> SolveResult:
    """``torch.linalg.inv(a) @ b``: the inverse by LU factorisation, as the published study measures errors against.

    Args:
        a: ``Tensor[d, d]``, not singular.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Accepted for the common interface, without effect.
        tol: The same.
        callback: Called once, with iteration 0.

    Returns:
        See `SolveResult`.

    Raises:
        ValueError: When `a` is singular.
    """
    check_system(a, b, iterations, tol)
    with full_precision(a.device):
        inverse, info = torch.linalg.inv_ex(a)
        if int(info) != 0:
            raise ValueError("a is singular: LU factorisation met a zero pivot")
        return _direct(a, b, inverse @ b, callback, "LU inverse")


def solve_reference(a: Tensor, b: Tensor) -> Tensor:
    """``A^-1 b`` in float64: Cholesky and one step of iterative refinement.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.

    Returns:
        Float64, in the shape of `b`, with a relative error of about 1e-16 times the condition number.

    Raises:
        ValueError: When `a` is not positive definite.
    """
    check_system(a, b, 1, 0.0)
    with full_precision(a.device):
        matrix, right = a.double(), b.double().reshape(len(b), -1)
        factor = _factor(matrix)
        x = torch.cholesky_solve(right, factor)
        x = x + torch.cholesky_solve(right - matrix @ x, factor)
        return x.reshape(b.shape)


def refine_solution(a: Tensor, inverse: Tensor, b: Tensor, steps: int = 1) -> Tensor:
    """Improve ``x = X b`` by residuals in float64: ``x <- x + X (b - A x)``, ``||I - X A||`` times the error each step.

    An inverse from float32 with a relative error of 1e-4 gives 1e-8 after one step, for d^2 work per column.

    Args:
        a: ``Tensor[..., d, d]``.
        inverse: X, ``Tensor[..., d, d]``, near ``A^-1``, of `hyperpower_inverse` say.
        b: ``Tensor[d]``, or ``Tensor[..., d, k]`` with the batch shape of `a`.
        steps: Corrections; 0 for X b itself.

    Returns:
        x in float64, in the shape of `b`.

    Raises:
        ValueError: When shapes do not fit or `steps` is negative.
    """
    if a.shape != inverse.shape or a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(
            f"a and inverse must have one shape [..., d, d], got {tuple(a.shape)} and {tuple(inverse.shape)}"
        )
    if b.shape[-1 if b.ndim == 1 else -2] != a.shape[-1]:
        raise ValueError(f"b must have shape [{a.shape[-1]}] or [..., {a.shape[-1]}, k], got {tuple(b.shape)}")
    if steps < 0:
        raise ValueError(f"steps must be >= 0, got {steps}")
    with full_precision(a.device):
        matrix, x_inverse, right = a.double(), inverse.double(), b.double()
        x = x_inverse @ right
        for _ in range(steps):
            x = x + x_inverse @ (right - matrix @ x)
        return x


def _factor(a: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(a)
    if int(info) != 0:
        raise ValueError(f"a is not positive definite in {a.dtype}: its leading minor of order {int(info)} is not")
    return factor


def _direct(a: Tensor, b: Tensor, x: Tensor, callback: SolveCallback | None, name: str) -> SolveResult:
    if callback is not None:
        callback(0, x.clone())
    finite = bool(torch.isfinite(x).all())
    reason = name if finite else f"{name}: the result is not finite"
    return SolveResult(x, 0, 0, relative_residual(a, b, x), finite, reason)
