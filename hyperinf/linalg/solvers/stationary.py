"""Stationary iterations: LiSSA, the Neumann series, successive over-relaxation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hyperinf.linalg.bounds import norm_bound
from hyperinf.linalg.checks import diagonal_objection
from hyperinf.linalg.precision import full_precision
from hyperinf.linalg.solvers.result import SolveCallback, SolveResult, check_system, relative_size

# In units of ||b||; x = 0 has a residual of 1, and no convergent iteration here grows by even 10.
_DIVERGED_ABOVE = 1e8


def lissa(
    a: Tensor,
    b: Tensor,
    *,
    iterations: int = 40,
    tol: float = 1e-6,
    callback: SolveCallback | None = None,
    scale: float | None = None,
) -> SolveResult:
    """LiSSA: ``r_0 = b;  r_{t+1} = b + (I - A/s) r_t;  x_t = r_t / s`` (Agarwal, Bullins and Hazan, 2017, eq. 7).

    The full-batch recursion of the HyperINF study. It converges for ``s > lambda_max / 2``; an eigenvalue l needs
    about ``s / l`` iterations.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most iterations; the published 40.
        tol: Relative residual at which to stop.
        callback: See `Solver`; iteration t is given ``x_t``.
        scale: s; None for the published ``||A||_F + 1``.

    Returns:
        See `SolveResult`.
    """
    check_system(a, b, iterations, tol)
    s = float(torch.linalg.vector_norm(a.double())) + 1 if scale is None else _positive_scale(scale)
    with full_precision(a.device):
        return _richardson(a, b, s, iterations, tol, callback)


def neumann(
    a: Tensor,
    b: Tensor,
    *,
    iterations: int = 40,
    tol: float = 1e-6,
    callback: SolveCallback | None = None,
    scale: float | None = None,
) -> SolveResult:
    """Truncated Neumann series ``x_t = 1/s sum_{j=0}^{t} (I - A/s)^j b``.

    ``A^-1 = 1/s sum_j (I - A/s)^j`` whenever the eigenvalues of A lie below 2s (Golub and Van Loan, Matrix
    Computations, 4th ed., section 2.3.4). The HyperINF code sums it with ``s = 1``, which diverges once an eigenvalue
    reaches 2; pass ``scale=1.0`` for that. The default here is a certain upper bound of the largest eigenvalue
    (`norm_bound`), so it always converges. It is LiSSA's recursion with another s: what differs is speed.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most terms after the first.
        tol: Relative residual at which to stop.
        callback: See `Solver`; iteration t is given ``x_t``.
        scale: s; None for the bound.

    Returns:
        See `SolveResult`.
    """
    check_system(a, b, iterations, tol)
    s = float(norm_bound(a[None])[0]) if scale is None else _positive_scale(scale)
    _require_positive(s > 0)
    with full_precision(a.device):
        return _richardson(a, b, s, iterations, tol, callback)


def sor(
    a: Tensor,
    b: Tensor,
    *,
    iterations: int = 40,
    tol: float = 1e-6,
    callback: SolveCallback | None = None,
    omega: float = 0.5,
) -> SolveResult:
    """Successive over-relaxation: ``(D/omega + L) (x_{t+1} - x_t) = b - A x_t``, with D the diagonal of A, L below it.

    One sweep is a triangular solve. Converges for every positive definite A and ``0 < omega < 2`` (Ostrowski, 1954);
    ``omega < 1``, as in the HyperINF study, is under-relaxation. (The sweep in its public code has the signs of the two
    triangles swapped, and so approximates the inverse of ``2 D - A``; this one does not.) Starts at 0.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most sweeps.
        tol: Relative residual at which to stop.
        callback: See `Solver`.
        omega: Relaxation, strictly between 0 and 2.

    Returns:
        See `SolveResult`; a triangular solve counts as half a product with A, rounded up over the run.
    """
    check_system(a, b, iterations, tol)
    if not 0 < omega < 2:
        raise ValueError(f"omega must lie strictly between 0 and 2, got {omega!r}")
    _require_positive(not diagonal_objection(a[None])[1])
    with full_precision(a.device):
        lower = a.tril(-1) + torch.diag(a.diagonal() / omega)
        columns = b.reshape(len(b), -1)

        def sweep(residual: Tensor) -> Tensor:
            return torch.linalg.solve_triangular(lower, residual.reshape(columns.shape), upper=False).reshape(b.shape)

        return _stationary(a, b, torch.zeros_like(b), sweep, iterations, tol, callback, work=1.5)


def _richardson(
    a: Tensor, b: Tensor, s: float, iterations: int, tol: float, callback: SolveCallback | None
) -> SolveResult:
    return _stationary(a, b, b / s, lambda residual: residual / s, iterations, tol, callback, work=1.0)


def _stationary(
    a: Tensor,
    b: Tensor,
    x: Tensor,
    precondition: Callable[[Tensor], Tensor],
    iterations: int,
    tol: float,
    callback: SolveCallback | None,
    work: float,
) -> SolveResult:
    """``x <- x + M^-1 (b - A x)``; `work` is the cost of one such step in products of A with x."""
    columns = b.numel() // len(b)
    residual = b - a @ x
    size = relative_size(residual, b)
    done = 0
    while done < iterations and size > tol and size <= _DIVERGED_ABOVE:
        x = x + precondition(residual)
        done += 1
        if callback is not None:
            callback(done, x.clone())
        residual = b - a @ x
        size = relative_size(residual, b)
    if not (math.isfinite(size) and size <= _DIVERGED_ABOVE):
        reason = f"diverged after {done} iterations: relative residual {size:.3g}"
    elif size <= tol:
        reason = f"converged after {done} iterations: relative residual {size:.3g} <= tol {tol:.3g}"
    else:
        reason = f"all {done} iterations spent: relative residual {size:.3g} > tol {tol:.3g}"
    # The last residual is a product too.
    matvecs = math.ceil((work * done + 1) * columns)
    return SolveResult(x, done, matvecs, size, bool(size <= tol), reason)


def _positive_scale(scale: float) -> float:
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a finite number > 0, got {scale!r}")
    return float(scale)


def _require_positive(holds: bool) -> None:
    if not holds:
        raise ValueError("a is not positive definite: its diagonal has an entry that is not positive")
