"""The hyperpower inverses as solvers: ``x_t = X_t b``."""

from __future__ import annotations

from torch import Tensor

from hyperinf.linalg.hyperpower import attempt_inverse
from hyperinf.linalg.precision import full_precision
from hyperinf.linalg.solvers.result import SolveCallback, SolveResult, check_system, relative_residual


def schulz_paper(
    a: Tensor, b: Tensor, *, iterations: int = 40, tol: float = 0.0, callback: SolveCallback | None = None
) -> SolveResult:
    """Schulz's iteration as published: ``X_0 = 5e-5 I``, ``X <- X (2I - A X)``, result ``X b``.

    Stops before `iterations` where rounding ends its progress, or where it diverges.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most updates.
        tol: Largest ``||I - A X||_F`` at which to stop.
        callback: See `Solver`; iteration t is given ``X_t b``.

    Returns:
        See `SolveResult`; `converged` is that of the inverse.
    """
    return _solve(a, b, "schulz", "paper", iterations, tol, callback)


def schulz(
    a: Tensor, b: Tensor, *, iterations: int = 60, tol: float = 1e-3, callback: SolveCallback | None = None
) -> SolveResult:
    """Schulz's iteration from a start fitted to bounds of the spectrum; see `hyperpower_inverse`.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most updates.
        tol: Largest ``||I - A X||_F`` at which to stop.
        callback: See `Solver`; iteration t is given ``X_t b``.

    Returns:
        See `SolveResult`; `converged` is that of the inverse.
    """
    return _solve(a, b, "schulz", "auto", iterations, tol, callback)


def chebyshev(
    a: Tensor, b: Tensor, *, iterations: int = 60, tol: float = 1e-3, callback: SolveCallback | None = None
) -> SolveResult:
    """Schulz's iteration with Chebyshev scaling; see `hyperpower_inverse`.

    Args:
        a: ``Tensor[d, d]``, symmetric positive definite.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        iterations: Most updates.
        tol: Largest ``||I - A X||_F`` at which to stop.
        callback: See `Solver`; iteration t is given ``X_t b``.

    Returns:
        See `SolveResult`; `converged` is that of the inverse.
    """
    return _solve(a, b, "chebyshev", "auto", iterations, tol, callback)


def _solve(
    a: Tensor, b: Tensor, method: str, init: str, iterations: int, tol: float, callback: SolveCallback | None
) -> SolveResult:
    check_system(a, b, iterations, tol)
    report = None if callback is None else (lambda t, inverse: callback(t, inverse @ b))
    result = attempt_inverse(a, method, 2, init, tol, iterations, callback=report)
    with full_precision(a.device):
        x = result.inverse @ b
        size = relative_residual(a, b, x)
    d, columns = a.shape[0], b.numel() // len(b)
    matvecs = d * result.matmuls + result.matvecs + 2 * columns
    return SolveResult(x, result.iterations, matvecs, size, result.converged, result.reason)
