"""Inverses of symmetric positive definite matrices by matrix products: Schulz's iteration and its family."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from hyperinf.linalg.certificate import certify
from hyperinf.linalg.checks import check_matrices, dtype_name
from hyperinf.linalg.iteration import CONVERGED, DIVERGED, FLOOR, Outcome, iterate, untouched
from hyperinf.linalg.polynomial import HIGHEST_ORDER, LOWEST_ORDER
from hyperinf.linalg.precision import full_precision
from hyperinf.linalg.result import ConvergenceError, ConvergenceWarning, InverseResult
from hyperinf.linalg.start import Start, choose_start

InverseCallback = Callable[[int, Tensor], None]


def hyperpower_inverse(
    a: Tensor,
    method: Literal["chebyshev", "schulz"] = "chebyshev",
    order: int = 2,
    init: Literal["auto", "paper"] | float | Tensor = "auto",
    tol: float = 1e-3,
    max_iter: int = 60,
    lmin: float | Tensor | None = None,
    lmax: float | Tensor | None = None,
    callback: InverseCallback | None = None,
    on_fail: Literal["raise", "warn"] = "raise",
) -> InverseResult:
    """Invert symmetric positive definite matrices by the hyperpower iteration of order p.

    With ``R = I - A X`` an update is ``X <- X q(R)``, where ``1 - (1 - R) q(R)`` is the next residual:

    - ``"schulz"``: ``q(R) = I + R + ... + R^{p-1}``, next residual ``R^p``; for p = 2 that is ``X (2I - A X)``
      (Schulz, 1933; Ben-Israel and Cohen, 1966).
    - ``"chebyshev"``: next residual ``T_p(R / rho) / T_p(1 / rho)`` on the current interval ``[-rho, rho]`` of
      its eigenvalues (for p = 2 the scaling of Pan and Schreiber, 1991); about half the products. Where plain
      updates serve the Frobenius norm better, at the end, it takes those.

    The iteration starts at ``2 / (lmin + lmax) I`` and stops when ``||R||_F <= tol``, with R computed from the
    symmetrised inverse that is returned. ``X - A^-1 = -A^-1 R``, so `tol` bounds the relative error; as a
    Frobenius norm it does not loosen when d grows. The rounding of R is allowed for: where it could hide more than
    `tol`, R is computed again in wider arithmetic.

    At the rounding floor of the dtype, roughly ``eps * condition``, the iteration stops. Where `tol` lies below, or
    symmetry is lost to rounding, the inverse comes from a Cholesky factorisation in float64, for float32 only of
    matrices with d < 64, and `reason` says so. There `tol` bounds the residual of the inverse before it is rounded
    to float32, which moves it by some 1e-7 of its size, whatever its residual then is.

    Args:
        a: ``Tensor[..., d, d]``, float32 or float64, symmetric positive definite. Batch elements are independent.
        method: ``"chebyshev"`` or ``"schulz"``.
        order: p, from 2 to 7. An update of order 2, 3, 4, 5, 6, 7 spends 2, 3, 4, 4, 5, 5 products.
        init: ``"auto"``; ``"paper"``, the published iteration: X_0 = 5e-5 I and plain updates, whatever `method`,
            which diverges when the largest eigenvalue exceeds 4e4 and leaves small matrices a scaled identity; a
            number c > 0 for c I; or a symmetric positive definite ``Tensor[..., d, d]`` near the inverse, which is
            checked by a Cholesky factorisation and improved by plain updates.
        tol: Largest residual to accept, ``||I - A X||_F``, below 1. With 0 the iteration runs to its floor and fails.
        max_iter: Largest number of updates.
        lmin: Lower bound of the smallest eigenvalue (the damping, say), number or ``Tensor[...]``. One that is too
            large, or None, only costs products: the interval is then measured again on the way.
        lmax: Upper bound of the largest eigenvalue. None, or one that turns out too small, means: the smaller of
            norms of A and a Lanczos bound (see `spectrum_bounds`), and norms alone should that one turn out wrong.
        callback: Called as ``callback(iteration, inverse)`` after every update, with a copy of the iterate.
        on_fail: ``"raise"``; or ``"warn"``: warn with `ConvergenceWarning`, return with ``converged=False``. Input
            that is no finite symmetric matrix, and arguments out of range, raise either way.

    Returns:
        The inverse and its record, detached from the graph of `a`.

    Raises:
        ConvergenceError: In one line: what is wrong with the input, or why it stopped and how far from `tol`
            (not positive definite, singular, too ill-conditioned for the dtype, diverged, `max_iter` reached).
    """
    if on_fail not in ("raise", "warn"):
        raise ConvergenceError(f"on_fail must be 'raise' or 'warn', got {on_fail!r}")
    result = attempt_inverse(a, method, order, init, tol, max_iter, lmin, lmax, callback)
    if not result.converged:
        if on_fail == "raise":
            raise ConvergenceError(result.reason, result)
        warnings.warn(result.reason, ConvergenceWarning, stacklevel=2)
    return result


def attempt_inverse(
    a: Tensor,
    method: str,
    order: int,
    init: str | float | Tensor,
    tol: float,
    max_iter: int,
    lmin: float | Tensor | None = None,
    lmax: float | Tensor | None = None,
    callback: InverseCallback | None = None,
) -> InverseResult:
    """`hyperpower_inverse` for a caller that reads `InverseResult.converged`: it neither raises nor warns for that."""
    check_matrices(a)
    if method not in ("chebyshev", "schulz"):
        raise ConvergenceError(f"method must be 'chebyshev' or 'schulz', got {method!r}")
    if isinstance(order, bool) or not isinstance(order, int) or not LOWEST_ORDER <= order <= HIGHEST_ORDER:
        raise ConvergenceError(f"order must be an integer from {LOWEST_ORDER} to {HIGHEST_ORDER}, got {order!r}")
    if not (isinstance(tol, float | int) and not isinstance(tol, bool) and 0 <= tol < 1):
        # From a residual of 1 on nothing follows for the inverse.
        raise ConvergenceError(f"tol: got {tol!r}, expected a number >= 0 and < 1")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
        raise ConvergenceError(f"max_iter must be an integer >= 1, got {max_iter!r}")
    batch, d = a.shape[:-2], a.shape[-1]
    flat = a.detach().reshape(-1, d, d)
    report = None if callback is None else (lambda k, x: callback(k, x.reshape(a.shape)))
    with full_precision(a.device):
        start = choose_start(flat, batch, init, lmin, lmax, scaled=method == "chebyshev")
        outcome = _run(flat, start, order, tol, max_iter, report)
        bounds = certify(flat, outcome, start, tol)
    converged = bool((outcome.status == CONVERGED).all())
    return InverseResult(
        inverse=outcome.x.reshape(a.shape),
        converged=converged,
        iterations=int(outcome.iterations.max()),
        matmuls=outcome.matmuls,
        matvecs=start.matvecs + outcome.matvecs,
        residual=float(outcome.residual.max()),
        error_bound=float(bounds.max()),
        reason=start.objection or _reason(flat, outcome, start, tol),
    )


def _run(a: Tensor, start: Start, order: int, tol: float, max_iter: int, report: InverseCallback | None) -> Outcome:
    outcome = untouched(a)
    _continue(outcome, a, (~start.refused).nonzero()[:, 0], start, order, tol, max_iter, report)
    # Growth along a direction with v'Av at the supposed upper bound: the bound failed, not the matrix.
    misled = (outcome.status == DIVERGED) & (outcome.rayleigh > 0.9 * start.upper) & (start.upper < start.certain)
    _continue(outcome, a, misled.nonzero()[:, 0], start.widened(), order, tol, max_iter, report)
    return outcome


def _continue(
    outcome: Outcome,
    a: Tensor,
    chosen: Tensor,
    start: Start,
    order: int,
    tol: float,
    max_iter: int,
    report: InverseCallback | None,
) -> None:
    """Iterate the chosen elements, in the updates that are left, and enter the results in `outcome`."""
    used = int(outcome.iterations.max())
    if len(chosen) == 0 or used >= max_iter:
        return
    everyone = len(chosen) == len(a)
    where = chosen.to(a.device)

    def report_all(iteration: int, x: Tensor) -> None:
        if report is not None:
            report(used + iteration, x if everyone else outcome.x.index_copy(0, where, x))

    part = iterate(
        a if everyone else a[where],
        start.of(chosen),
        order,
        tol,
        max_iter - used,
        None if report is None else report_all,
    )
    outcome.x[where] = part.x
    for name in ("residual", "status", "rayleigh"):
        getattr(outcome, name)[chosen] = getattr(part, name)
    outcome.iterations[chosen] = used + part.iterations
    outcome.matmuls += part.matmuls
    outcome.matvecs += part.matvecs


def _reason(a: Tensor, outcome: Outcome, start: Start, tol: float) -> str:
    worst = int(torch.where(outcome.status == CONVERGED, -1.0, outcome.residual).argmax())
    if bool((outcome.status == CONVERGED).all()):
        worst = int(outcome.residual.argmax())
    status, residual = int(outcome.status[worst]), float(outcome.residual[worst])
    rayleigh, updates, d = float(outcome.rayleigh[worst]), int(outcome.iterations[worst]), a.shape[-1]
    reached = f"after {updates} updates, ||I - AX||_F = {residual:.3g}, tol = {tol:.3g}"
    kind = dtype_name(a.dtype)
    if status == CONVERGED:
        text = f"converged {reached}"
        if bool(outcome.factorised[worst]):
            text += "; finished by a Cholesky factorisation in float64"
    elif status == FLOOR:
        wider = " or use float64" if a.dtype == torch.float32 else ""
        text = (
            f"stopped at the rounding floor of {kind} {reached}: a is too ill-conditioned for it, or tol too small; "
            f"add damping{wider}"
        )
    elif status == DIVERGED and rayleigh < 0:
        text = f"a is not positive definite: v'Av = {rayleigh:.3g} for a unit vector v; stopped {reached}"
    elif status == DIVERGED:
        scale = float(start.scale[worst])
        if scale > torch.finfo(a.dtype).max / 4:
            hint = f"the inverse lies beyond the range of {kind}"
        elif start.x is not None:
            hint = "init is too far from the inverse"
        elif not math.isfinite(float(start.upper[worst])) and rayleigh * scale > 1.9:
            hint = (
                f"the start {scale:.3g} I converges only below the eigenvalue {2 / scale:.3g}, and a has one of "
                f"{rayleigh:.3g} or more"
            )
        else:
            hint = f"a is singular, not positive definite or too ill-conditioned for {kind}"
        text = f"diverged {reached}: {hint}"
    else:
        left = max(1, round(min(residual, d**0.5) ** 2))
        text = (
            f"not converged {reached}: about {left} of {d} directions are not resolved; "
            "a is nearly singular, or max_iter or init is too small"
        )
    where = f" (batch element {worst})" if status != CONVERGED and a.shape[0] > 1 else ""
    return text + where + (f"; {start.note}" if start.note else "")
