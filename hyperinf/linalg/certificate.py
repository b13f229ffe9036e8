"""Is an iterate the inverse of the matrix that was given, whatever rounding did to the residual it was judged by?

The iteration computes its residual in the dtype of A, where ``eps * condition`` of it is rounding: of a 2 x 2 matrix
all four entries may round to zero. What is returned as converged is symmetric, and its residual, the rounding of that
residual included, is at most the tolerance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperinf.linalg.bounds import entry_scale
from hyperinf.linalg.iteration import CONVERGED, DIVERGED, FLOOR, Outcome, frobenius, identity_minus
from hyperinf.linalg.start import Start

# Below this side a product in float64 costs nothing. From it on vectors are tried first.
_SMALL = 64
_PROBES = 64
# With 64 normal vectors the estimate of a Frobenius norm falls below half of it with a chance under 2e-9, whatever the
# matrix: Chernoff's bound of chi^2_64 <= 16, exp(32 (1 - 1/4 + ln 1/4)), for a residual of rank 1, the worst case.
_PROBE_FACTOR = 2.0
_CORRECTIONS = 3
# Of each product of two entries, in the rounding of a residual.
_ULPS = 4


def certify(a: Tensor, outcome: Outcome, start: Start, tol: float) -> Tensor:
    """Take back what is not certain to have converged, having tried to finish it in wider arithmetic.

    Doubt arises where the residual plus the allowance for its rounding exceeds `tol`: the residual is then computed
    again, in float64 or (for float64) from exact partial products. What does not hold, and what rounding kept from the
    tolerance or from symmetry, is inverted by a factorisation in float64: of float64 matrices, and of float32 ones with
    a side below 64. Of larger ones in float32 the failure is reported, for the caller to turn to float64.

    Args:
        a: ``Tensor[B, d, d]``, symmetric.
        outcome: What the iteration reached; changed in place. Afterwards every `x` is symmetric.
        start: Where it began: a divergence from a start of the caller's own choice is reported, not mended.
        tol: Largest Frobenius norm of the residual.

    Returns:
        Upper bound of ``||X - A^-1||_F``, ``Tensor[B]`` in float64 on the CPU; finite where converged.
    """
    asymmetric = (outcome.x != outcome.x.mT).any(-1).any(-1).cpu()
    reached = outcome.residual + rounding(a, outcome.x)
    believed = outcome.status == CONVERGED
    can_widen = a.device.type != "mps"
    doubtful = believed & ~asymmetric & ~(reached <= tol)
    if can_widen and bool(doubtful.any()):
        here = doubtful.to(a.device)
        norm, reached[doubtful], r = _judge(a[here], outcome.x[here], tol, outcome)
        outcome.residual[doubtful] = outcome.residual[doubtful] if r is None else norm
    bounds = _error_bounds(outcome.x, reached)
    unsure = believed & (asymmetric | ~(reached <= tol) | ~torch.isfinite(bounds))
    if bool((believed & ~unsure).all()):
        return bounds
    stopped = (outcome.status == FLOOR) | ((outcome.status == DIVERGED) & torch.isfinite(start.upper))
    if can_widen and tol > 0 and (a.dtype == torch.float64 or a.shape[-1] < _SMALL):
        _finish(a, outcome, reached, unsure | stopped, tol)
        asymmetric &= ~outcome.factorised
    outcome.status[unsure & ~outcome.factorised] = FLOOR
    _withdraw(outcome, reached)
    _symmetrise(a, outcome, reached, asymmetric)
    bounds = _error_bounds(outcome.x, reached)
    outcome.status[(outcome.status == CONVERGED) & ~torch.isfinite(bounds)] = FLOOR
    return bounds


def rounding(a: Tensor, x: Tensor) -> Tensor:
    """Allowance for the rounding of ``||I - A X||_F`` computed in the dtype of ``a[B, d, d]``; ``Tensor[B]``, float64.

    That of independent errors of four units in the last place in each product ``a_ik x_kj``; the worst case, d times
    that, would make the bound useless in float32.
    """
    return _ULPS * torch.finfo(a.dtype).eps * (1 + _product_size(a, x))


def _error_bounds(x: Tensor, reached: Tensor) -> Tensor:
    """``||X||_F e / (1 - e) >= ||X - A^-1||_F`` for e, `reached` ``[B]``, a bound of ``||I - A X||_F``; float64."""
    scale = entry_scale(x)
    unit = torch.linalg.vector_norm(x / scale[:, None, None], dim=(-2, -1)).double().cpu()
    # In this order only a bound that is itself beyond float64 overflows.
    return torch.where(reached < 1, unit * (reached / (1 - reached)) * scale.double().cpu(), torch.inf)


def exact_residual(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``I - A X`` of float64 matrices ``[B, d, d]`` in 3 products to about 1.4 times the digits of float64.

    A and X are split into leading bits, few enough for their product to be exact, and the rest, whose products are
    smaller by those bits and so are their rounding errors (Ozaki, Ogita, Oishi and Rump, 2012).

    Returns:
        The residual ``[B, d, d]`` and the allowance for its rounding ``[B]``.
    """
    # A X = (A D^-1)(D X): a common size for the entries of a row of A and of a column of X, however graded A is.
    _, exponent = torch.frexp(a.diagonal(dim1=-2, dim2=-1))
    inner = torch.exp2(torch.div(exponent, 2, rounding_mode="floor").to(a.dtype))
    a, x = a / inner[:, None, :], x * inner[:, :, None]
    bits = (53 - math.ceil(math.log2(a.shape[-1]))) // 2
    lead_a, lead_x = _leading(a, -1, bits), _leading(x, -2, bits)
    rest_a, rest_x = a - lead_a, x - lead_x
    r = identity_minus(lead_a @ lead_x)
    size = frobenius(r) + _product_size(lead_a, rest_x) + _product_size(rest_a, x)
    return r - lead_a @ rest_x - rest_a @ x, _ULPS * torch.finfo(a.dtype).eps * size


def _judge(a: Tensor, x: Tensor, tol: float, outcome: Outcome) -> tuple[Tensor, Tensor, Tensor | None]:
    """Bound ``||I - A X||_F`` by the cheapest of three ways that shows it to be at most `tol`.

    Products with vectors in float64, a product in float64, and for float64 itself one in wider arithmetic. What is
    spent is added to `outcome`.

    Returns:
        The norm, an estimate if vectors sufficed, and its upper bound, ``Tensor[B]``; the residual or, then, None.
    """
    wide_a, wide_x = a.double(), x.double()
    slack = rounding(wide_a, wide_x)
    if a.shape[-1] >= _SMALL:
        generator = torch.Generator().manual_seed(2)
        probes = torch.randn(a.shape[-1], _PROBES, generator=generator, dtype=torch.float64).to(a.device)
        estimate = frobenius(probes - wide_a @ (wide_x @ probes)) / math.sqrt(_PROBES)
        outcome.matvecs += 2 * _PROBES
        bound = _PROBE_FACTOR * estimate + slack
        if bool((bound <= tol).all()):
            return estimate, bound, None
    r = identity_minus(wide_a @ wide_x)
    outcome.matmuls += 1
    if a.dtype == torch.float64 and not bool((frobenius(r) + slack <= tol).all()):
        r, slack = exact_residual(a, x)
        outcome.matmuls += 3
    norm = frobenius(r)
    return norm, norm + slack, r


def _finish(a: Tensor, outcome: Outcome, reached: Tensor, chosen: Tensor, tol: float) -> None:
    """Replace the chosen elements by their inverse from a factorisation, where that meets the tolerance."""
    if not bool(chosen.any()):
        return
    where = chosen.nonzero()[:, 0]
    x, residual, bound = _factorised(a[where.to(a.device)], tol, outcome)
    good = bound <= tol
    taken = where[good]
    outcome.x[taken.to(a.device)] = x[good.to(a.device)]
    outcome.residual[taken], reached[taken] = residual[good], bound[good]
    outcome.status[taken] = CONVERGED
    outcome.factorised[taken] = True


def _factorised(a: Tensor, tol: float, outcome: Outcome) -> tuple[Tensor, Tensor, Tensor]:
    """Invert by Cholesky's factorisation in float64 and correct the inverse by residuals in wider arithmetic.

    Products alone cannot: rounding leaves ``I - A X`` at ``eps * condition`` only until X is made symmetric, which
    lifts it to ``eps * condition^2``. For float32 the inverse is judged before it is rounded, which alone can lift the
    residual of the right inverse above any tolerance: what rounding moves it by is added to the bound.

    Returns:
        The inverses in the dtype of `a`, the residual norms of what was rounded to them, and a bound of both together,
        infinite where there is no factorisation: ``Tensor[B, d, d]``, ``[B]``, ``[B]``. What is spent is added to
        `outcome`.
    """
    wide = a.double()
    factor, info = torch.linalg.cholesky_ex(_symmetric_part(wide))
    # What is left of a factorisation that failed may be singular, which raises.
    broken = (info != 0)[:, None, None]
    factor = torch.where(broken, torch.eye(a.shape[-1], dtype=factor.dtype, device=a.device), factor)
    x = _symmetric_part(torch.cholesky_inverse(factor))
    for correction in range(_CORRECTIONS + 1):
        residual, bound, r = _judge(wide, x, tol, outcome)
        # From a residual below 1 a positive definite X leads to no inverse that is not: A is then positive definite.
        again = (bound > tol) & (residual < 0.5)
        if r is None or correction == _CORRECTIONS or not bool(again.any()):
            break
        corrected = _symmetric_part(x + x @ r)
        outcome.matmuls += 1
        x = torch.where(again.to(a.device)[:, None, None], corrected, x)
    rounded = x.to(a.dtype)
    scale = entry_scale(x)[:, None, None]
    moved = (frobenius((rounded.double() - x) / scale) / frobenius(x / scale)).nan_to_num(nan=torch.inf)
    whole = ~broken[:, 0, 0].cpu() & _finite(rounded)
    return rounded, residual, torch.where(whole, bound + moved, torch.inf)


def _withdraw(outcome: Outcome, reached: Tensor) -> None:
    """Return nothing, ``X = 0``, of an iteration that has left nothing but NaN and infinities."""
    lost = ~_finite(outcome.x)
    outcome.x[lost.to(outcome.x.device)] = 0
    outcome.residual[lost] = reached[lost] = outcome.x.shape[-1] ** 0.5


def _product_size(a: Tensor, x: Tensor) -> Tensor:
    """Root of the sum of the squares of all products ``a_ik x_kj``, ``Tensor[B]`` in float64 on the CPU."""
    scale_a, scale_x = entry_scale(a), entry_scale(x)
    columns = torch.linalg.vector_norm(a / scale_a[:, None, None], dim=-2).double().cpu()
    rows = torch.linalg.vector_norm(x / scale_x[:, None, None], dim=-1).double().cpu()
    unit = scale_a.double().cpu() * scale_x.double().cpu()
    return unit * torch.linalg.vector_norm(columns * rows, dim=-1)


def _symmetrise(a: Tensor, outcome: Outcome, reached: Tensor, asymmetric: Tensor) -> None:
    """Make iterates that failed symmetric, which brings them no farther from the inverse, and record their residual."""
    if not bool(asymmetric.any()):
        return
    here = asymmetric.to(a.device)
    x = _symmetric_part(outcome.x[here])
    outcome.x[here] = x
    outcome.residual[asymmetric] = frobenius(identity_minus(a[here] @ x))
    outcome.matmuls += 1
    reached[asymmetric] = outcome.residual[asymmetric] + rounding(a[here], x)


def _finite(x: Tensor) -> Tensor:
    return torch.isfinite(x).all(-1).all(-1).cpu()


def _symmetric_part(m: Tensor) -> Tensor:
    # Halved first: the sum of two entries near the largest number would overflow.
    return m / 2 + m.mT / 2


def _leading(m: Tensor, dim: int, bits: int) -> Tensor:
    """Round ``m[B, d, d]`` to `bits` bits below the largest entry of each of its rows (-1) or columns (-2)."""
    _, exponent = torch.frexp(m.abs().amax(dim, keepdim=True))
    grid = torch.exp2((exponent - bits).clamp_min(-1021).to(m.dtype))
    return torch.round(m / grid) * grid
