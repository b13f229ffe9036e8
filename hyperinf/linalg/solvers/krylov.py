"""Krylov methods: conjugate gradients on all columns at once, and SciPy's GMRES."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hyperinf.linalg.precision import full_precision
from hyperinf.linalg.solvers.result import SolveCallback, SolveResult, check_system, relative_residual, relative_size


def conjugate_gradient(
    a: Tensor,
    b: Tensor,
    *,
    iterations: int = 1000,
    tol: float = 1e-6,
    callback: SolveCallback | None = None,
) -> SolveResult:
    """Conjugate gradients (Hestenes and Stiefel, 1952) on all columns of b at once, each with its own step lengths.

    The columns share the product with A, not their Krylov spaces; one whose residual is zero rests. Starts at 0.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most iterations; in exact arithmetic d suffice.
        tol: Relative residual at which to stop.
        callback: See `Solver`.

    Returns:
        See `SolveResult`. A direction p with ``p'Ap <= 0`` ends the run as diverged: A is not positive definite.
    """
    check_system(a, b, iterations, tol)
    right = b.reshape(len(b), -1)
    columns = right.shape[1]
    matvecs, done = 0, 0
    with full_precision(a.device):
        x = torch.zeros_like(right)
        r = right.clone()
        p = r
        rr = (r * r).sum(0)
        trouble = ""
        while done < iterations and relative_size(r, b) > tol:
            ap = a @ p
            matvecs += columns
            curvature = (p * ap).sum(0)
            moving = rr > 0
            if bool(((curvature <= 0) & moving).any()):
                trouble = f"diverged: a is not positive definite, p'Ap = {float(curvature[moving].min()):.3g}"
                break
            alpha = torch.where(moving, rr / torch.where(moving, curvature, 1), 0)
            x = x + alpha * p
            r = r - alpha * ap
            before, rr = rr, (r * r).sum(0)
            p = r + torch.where(before > 0, rr / torch.where(before > 0, before, 1), 0) * p
            done += 1
            if callback is not None:
                callback(done, x.reshape(b.shape).clone())
        x = x.reshape(b.shape)
        size = relative_residual(a, b, x)
        matvecs += columns
    return _record(x, done, matvecs, size, tol, trouble)


def gmres(
    a: Tensor,
    b: Tensor,
    *,
    iterations: int = 1000,
    tol: float = 1e-6,
    callback: SolveCallback | None = None,
    restart: int = 40,
) -> SolveResult:
    """GMRES (Saad and Schultz, 1986) by ``scipy.sparse.linalg.gmres``, on the CPU, in the dtype of `a`.

    SciPy takes one right-hand side at a time and shows no iterate within a cycle. So that a callback sees every
    ``x_t``, the one with the least residual in the Krylov space of dimension t, iteration t is then a run of its own:
    dear, for studies only. Without a callback the space is restarted after `restart` steps.

    Args:
        a: ``Tensor[d, d]``.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most steps for each column.
        tol: Relative residual at which a column is done.
        callback: See `Solver`.
        restart: Steps between restarts.

    Returns:
        See `SolveResult`: the steps of the column that took most, and the products of the last run alone.
    """
    check_system(a, b, iterations, tol)
    if restart < 1:
        raise ValueError(f"restart must be an integer >= 1, got {restart!r}")
    if callback is None:
        x, steps, matvecs = _scipy_gmres(a, b, iterations, min(restart, iterations, len(b)), tol)
    else:
        for step in range(1, min(iterations, len(b)) + 1):
            x, steps, matvecs = _scipy_gmres(a, b, step, step, tol)
            callback(step, x.clone())
            if steps < step or relative_residual(a, b, x) <= tol:
                break
    with full_precision(a.device):
        size = relative_residual(a, b, x)
    return _record(x, steps, matvecs + b.numel() // len(b), size, tol, "")


def _scipy_gmres(a: Tensor, b: Tensor, iterations: int, restart: int, tol: float) -> tuple[Tensor, int, int]:
    """Solve column by column; return the solution, the largest number of steps and the number of products."""
    from scipy.sparse.linalg import LinearOperator, gmres

    matrix = a.detach().cpu().numpy()
    right = b.detach().cpu().reshape(len(b), -1).numpy()
    products = 0

    def product(v: Any) -> Any:
        nonlocal products
        products += 1
        return matrix @ v

    operator = LinearOperator(matrix.shape, matvec=product, dtype=matrix.dtype)
    solutions, most = [], 0
    for column in right.T:
        norms: list[float] = []
        solution, _ = gmres(
            operator,
            column,
            rtol=tol,
            atol=0.0,
            restart=restart,
            maxiter=max(1, iterations // restart),
            callback=norms.append,
            callback_type="pr_norm",
        )
        solutions.append(torch.from_numpy(solution))
        most = max(most, len(norms))
    return torch.stack(solutions, dim=1).to(a).reshape(b.shape), most, products


def _record(x: Tensor, done: int, matvecs: int, size: float, tol: float, trouble: str) -> SolveResult:
    if trouble or not math.isfinite(size):
        reason = trouble or f"diverged after {done} iterations: the iterate is not finite"
        return SolveResult(x, done, matvecs, size, False, reason)
    if size <= tol:
        reason = f"converged after {done} iterations: relative residual {size:.3g} <= tol {tol:.3g}"
    else:
        reason = f"stopped after {done} iterations: relative residual {size:.3g} > tol {tol:.3g}"
    return SolveResult(x, done, matvecs, size, size <= tol, reason)
