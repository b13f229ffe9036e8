"""The hyperpower iteration itself: a batch of matrices, each stopped when it is done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.linalg.bounds import frobenius_norm, lanczos_extremes
from hyperinf.linalg.polynomial import CORRECTION_MATMULS, HIGHEST_ORDER, correction, predicted_rho, update_coefficients
from hyperinf.linalg.start import Start

CONVERGED, FLOOR, DIVERGED, EXHAUSTED = 1, 2, 3, 4

# Below this rho the shape of an update hardly depends on it, so that a measurement would be wasted above.
_INFORMATIVE_RHO = 0.98
_MEASURING_STEPS = 16
_FLOAT64_UPDATES = 4
_POWER_STEPS = 6
# At rho = 1 the converged eigenvalues would be thrown back to 0; in float32 rounding would take them across.
_LARGEST_RHO = 1 - 1e-4


@dataclass(eq=False)
class Outcome:
    """Where each of B matrices ended: tensors ``[B]`` on the CPU, but for `x`.

    Attributes:
        x: ``Tensor[B, d, d]``.
        residual: ``||I - A X||_F`` of `x`.
        status: 0 (not begun), CONVERGED, FLOOR (rounding stops progress), DIVERGED or EXHAUSTED (all updates spent).
        rayleigh: Where it diverged, the Rayleigh quotient of A in the direction that grew; elsewhere NaN.
        iterations: Updates of each.
        factorised: Whether a factorisation finished it.
        matmuls: Batched products spent.
        matvecs: Matrix-vector products spent.
    """

    x: Tensor
    residual: Tensor
    status: Tensor
    rayleigh: Tensor
    iterations: Tensor
    factorised: Tensor
    matmuls: int
    matvecs: int


def untouched(a: Tensor) -> Outcome:
    """The record before anything is done: ``X = 0``, whose residual is the identity."""
    count, d = a.shape[0], a.shape[-1]
    return Outcome(
        x=torch.zeros_like(a, memory_format=torch.contiguous_format),
        residual=torch.full((count,), d**0.5, dtype=torch.float64),
        status=torch.zeros(count, dtype=torch.long),
        rayleigh=torch.full((count,), torch.nan, dtype=torch.float64),
        iterations=torch.zeros(count, dtype=torch.long),
        factorised=torch.zeros(count, dtype=torch.bool),
        matmuls=0,
        matvecs=0,
    )


def iterate(
    a: Tensor, start: Start, order: int, tol: float, max_iter: int, report: Callable[[int, Tensor], None] | None
) -> Outcome:
    """Run the iteration on ``a[B, d, d]`` until every element has converged or failed.

    Elements that are done leave the batch: they are not touched again, and cost nothing more.

    Args:
        a: ``Tensor[B, d, d]``, symmetric.
        start: The first iterates.
        order: p, from 2 to 7.
        tol: Largest Frobenius norm of the residual to accept.
        max_iter: Largest number of updates.
        report: Called with the number of the update and all iterates ``[B, d, d]`` after every update.

    Returns:
        The last iterates and their record.
    """
    count, d = a.shape[0], a.shape[-1]
    out = untouched(a)
    # No float64 on Apple's devices; in float64 itself there is nothing wider to go to.
    can_polish = a.dtype == torch.float32 and a.device.type != "mps" and tol > 0
    active = torch.arange(count)
    scalar = start.x is None
    if start.x is None:
        x = torch.eye(d, dtype=a.dtype, device=a.device) * _spread(start.scale, a)
        r = identity_minus(a * _spread(start.scale, a))
    else:
        x = start.x
        r = identity_minus(a @ x)
        out.matmuls += 1
    norm = frobenius(r)
    rho, estimate = start.rho.clone(), start.estimate.clone()
    # In exact arithmetic all eigenvalues of R stay below 1 in magnitude when they start there.
    limit = 1.05 * torch.clamp_min(norm, d**0.5)
    # Where the smallest eigenvalue worth waiting for stands: twice as many digits down as the dtype has, because in a
    # diagonal matrix, say, no rounding hides one so small.
    reach = start.scale * start.certain * torch.finfo(a.dtype).eps ** 2
    least = torch.where(torch.isfinite(reach), reach, 0.0)
    symmetric = torch.ones(count, dtype=torch.bool)
    missed = torch.zeros(count, dtype=torch.bool)
    before, x_before = torch.full_like(norm, torch.inf), x
    plain = torch.ones(count, dtype=torch.bool)

    for iteration in itertools.count():
        loose = (norm <= tol) & ~symmetric
        if bool(loose.any()):
            x, norm, products = _settle(a, x, norm, loose, missed, tol)
            out.matmuls += products
        status = _judge(norm, before, plain, limit, least, tol, exhausted=iteration == max_iter)
        asymmetric = loose & (x != x.mT).any(-1).any(-1).cpu()
        stuck = asymmetric | ((status == FLOOR) & (before < 0.9))
        if can_polish and bool(stuck.any()):
            x = torch.where((stuck & (before < norm)).to(a.device)[:, None, None], x_before, x)
            norm = torch.where(stuck, torch.minimum(before, norm), norm)
            x, norm, products = _polish(a, x, norm, stuck, tol)
            out.matmuls += products
            status[norm <= tol] = CONVERGED
        done = status > 0
        if bool(done.any()):
            _finish(out, a, active, status, x, norm, x_before, before, iteration)
            keep = ~done
            if not bool(keep.any()):
                return out
            here = keep.to(a.device)
            a, x, r = a[here], x[here], r[here]
            active, norm, rho, estimate, limit, least = (t[keep] for t in (active, norm, rho, estimate, limit, least))

        last = norm**order <= 0.9 * tol
        used, rho, estimate, spent = _fit(r, norm, rho, estimate, start.scaled, last, order, tol)
        out.matvecs += spent
        c = update_coefficients(order, used)
        if start.scaled and order < HIGHEST_ORDER:
            c, last = _finished_by_one_order_more(c, norm, last, tol)
        plain = last | (used == 0)
        least = 1 - _next_residual(1 - least, c)
        step = correction(r, c)
        del r
        x_before, before = x, norm
        # The first iterate is c I: a product with it is a scaling.
        x = step * _spread(start.scale[active], a) if scalar else x_before @ step
        x = torch.addcmul(x, _spread(c[:, 0], a), x_before)
        out.matmuls += CORRECTION_MATMULS[c.shape[1]] + (0 if scalar else 1)
        scalar = False
        del step
        # Symmetrising feeds rounding back into the iteration, so only an iterate meant to be the last one is.
        hopeless = last & _spoilt_by_symmetry(a, x, tol) if bool(last.any()) else last
        final = _symmetrised(x, last & ~hopeless)
        r = identity_minus(a @ final)
        norm = frobenius(r)
        out.matmuls += 1
        symmetric = last & ~hopeless & (norm <= tol)
        missed = last & ~symmetric
        if bool((missed & ~hopeless).any()):
            again = (missed & ~hopeless).nonzero()[:, 0]
            here = again.to(a.device)
            final = final.index_copy(0, here, x[here])
            r = r.index_copy(0, here, identity_minus(a[here] @ x[here]))
            norm = norm.index_copy(0, again, frobenius(r[here]))
            out.matmuls += 1
        x = final
        del final
        if report is not None:
            everything = out.x.clone()
            everything[active.to(a.device)] = x
            report(iteration + 1, everything)
    raise AssertionError("unreachable: the last update ends the loop")


def _settle(
    a: Tensor, x: Tensor, norm: Tensor, loose: Tensor, missed: Tensor, tol: float
) -> tuple[Tensor, Tensor, int]:
    """Make iterates symmetric that meet the tolerance but are not; leave alone those which that would spoil.

    Rounding leaves ``I - A X`` at ``eps * condition``, but ``I - X A``, and with it the residual of the symmetrised
    iterate, at ``eps * condition^2``.

    Returns:
        The iterates and their residual norms, and the products spent.
    """
    todo = (loose & ~missed).nonzero()[:, 0]
    if len(todo) == 0:
        return x, norm, 0
    here = todo.to(a.device)
    candidate = (x[here] + x[here].mT) / 2
    reached = frobenius(identity_minus(a[here] @ candidate))
    return *_replaced(x, norm, todo, candidate, reached, reached <= tol), 1


def _polish(a: Tensor, x: Tensor, norm: Tensor, stuck: Tensor, tol: float) -> tuple[Tensor, Tensor, int]:
    """Finish float32 iterates in float64 that rounding keeps from the tolerance, or from being symmetric.

    The residual of what is returned, rounded to float32, is computed in float64.

    Returns:
        The iterates and their residual norms, and the products spent.
    """
    todo = stuck.nonzero()[:, 0]
    here = todo.to(a.device)
    wide_a, wide = a[here].double(), x[here].double()
    products = 0
    for _ in range(_FLOAT64_UPDATES):
        r = identity_minus(wide_a @ wide)
        wide = wide + wide @ r
        products += 2
        if bool((frobenius(r) ** 2 <= 1e-4 * tol).all()):
            break
    rounded = ((wide + wide.mT) / 2).to(a.dtype)
    reached = frobenius(identity_minus(wide_a @ rounded.double()))
    return *_replaced(x, norm, todo, rounded, reached, reached <= norm[todo].clamp_min(tol)), products + 1


def _replaced(
    x: Tensor, norm: Tensor, todo: Tensor, candidate: Tensor, reached: Tensor, good: Tensor
) -> tuple[Tensor, Tensor]:
    taken = todo[good]
    return (
        x.index_copy(0, taken.to(x.device), candidate[good.to(x.device)]),
        norm.index_copy(0, taken, reached[good]),
    )


def _judge(
    norm: Tensor, before: Tensor, plain: Tensor, limit: Tensor, least: Tensor, tol: float, exhausted: bool
) -> Tensor:
    status = torch.zeros(norm.shape, dtype=torch.long)
    if exhausted:
        status[:] = EXHAUSTED
    # A plain update at least squares the residual once it is small; short of half of that gain rounding has the upper
    # hand. A fitted one says nothing: it may lift what was resolved while it brings down what was not.
    stalled = plain & (((before < 0.5) & (norm > 0.5 * before)) | ((before < 0.9) & ~(norm < before)))
    left = ~(norm <= limit) | ~torch.isfinite(norm)
    stalled |= (before < 0.9) & left
    stalled |= (least > 0.9) & (norm > 0.9)
    status[stalled] = FLOOR
    status[left & ~(before < 0.9)] = DIVERGED
    status[norm <= tol] = CONVERGED
    return status


def _finished_by_one_order_more(c: Tensor, norm: Tensor, last: Tensor, tol: float) -> tuple[Tensor, Tensor]:
    """Let elements have one order more if that makes this update their last: a product more in place of an update.

    Each element gets what it would get alone; the others' coefficients are padded with 0.
    """
    short = ~last & (norm ** (c.shape[1] + 1) <= 0.9 * tol)
    if not bool(short.any()):
        return c, last
    padded = torch.nn.functional.pad(c, (0, 1))
    return torch.where(short[:, None], 1.0, padded), last | short


def _next_residual(r: Tensor, c: Tensor) -> Tensor:
    """Where an update with coefficients ``c[B, p]`` takes an eigenvalue ``r[B]`` of the residual."""
    powers = torch.arange(c.shape[1], dtype=torch.float64)
    return 1 - (1 - r) * (c * r[:, None] ** powers).sum(1)


def _fit(
    r: Tensor, norm: Tensor, rho: Tensor, estimate: Tensor, scaled: bool, last: Tensor, order: int, tol: float
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Choose the interval of the next update; return it, the belief after it, and the products spent."""
    spent = 0
    if not scaled:
        return torch.zeros_like(rho), rho, estimate, spent
    d = r.shape[-1]
    # More residual than d eigenvalues of magnitude rho could make: the belief was wrong.
    misjudged = norm > 1.05 * d**0.5 * rho
    estimate = estimate | misjudged
    unsure = estimate & (rho < _INFORMATIVE_RHO) & (norm >= 1)
    if bool(unsure.any()):
        spent = min(_MEASURING_STEPS, d)
        least, most, _ = lanczos_extremes(r, spent)
        measured = torch.maximum(least.abs(), most.abs())
        rho = torch.where(unsure, torch.maximum(rho, measured), rho)
    rho = torch.minimum(rho, norm)
    # With a residual below 1 a plain update is sure to help, unless rounding forbids it, and then it shows.
    plain = last | (misjudged & (norm < 1))
    if not bool(plain.all()):
        plain = plain | _plain_is_shorter(norm, rho, order, d, tol)
    used = torch.where(plain, 0.0, rho.clamp_max(_LARGEST_RHO))
    slowest = _next_residual(rho, update_coefficients(order, used)).abs()
    return used, torch.maximum(predicted_rho(order, used), slowest), estimate, spent


def _plain_is_shorter(norm: Tensor, rho: Tensor, order: int, d: int, tol: float) -> Tensor:
    """Whether plain updates from here on reach `tol` sooner than fitted ones followed by plain ones.

    A fitted update shrinks the largest eigenvalue fastest, but spreads all others over the whole new interval; where
    few are left unresolved, the Frobenius norm falls faster without.
    """

    def plain_updates(size: Tensor, radius: Tensor) -> Tensor:
        # ||R^q||_F <= ||R||_F rho^(q-1), with q = p^j after j updates.
        exponent = torch.log(size / max(tol, 1e-16)).clamp_min(0) / -torch.log(radius)
        return torch.log1p(exponent) / math.log(order)

    if not bool((norm < 1).any()):
        return norm < 1
    fewest = torch.full_like(norm, torch.inf)
    radius = rho
    for fitted in range(1, 12):
        radius = predicted_rho(order, radius)
        fewest = torch.minimum(fewest, fitted + plain_updates(d**0.5 * radius, radius))
    return (norm < 1) & (plain_updates(norm, rho) <= fewest)


def _finish(
    out: Outcome,
    a: Tensor,
    active: Tensor,
    status: Tensor,
    x: Tensor,
    norm: Tensor,
    x_before: Tensor,
    before: Tensor,
    iteration: int,
) -> None:
    """Record the elements that are done; of a failure the better of the last two iterates."""
    done = status > 0
    back = done & (status != CONVERGED) & ((before < norm) | ~torch.isfinite(norm))
    for element in (status == DIVERGED).nonzero()[:, 0].tolist():
        out.rayleigh[active[element]] = _growing_rayleigh(a[element], x[element], x_before[element])
        out.matvecs += 3 * _POWER_STEPS + 2
    if bool(back.any()):
        x = torch.where(back.to(a.device)[:, None, None], x_before, x)
        norm = torch.where(back, before, norm)
    out.x[active[done].to(a.device)] = x[done.to(a.device)]
    out.residual[active[done]] = norm[done]
    out.status[active[done]] = status[done]
    out.iterations[active[done]] = iteration


def _growing_rayleigh(a: Tensor, x: Tensor, x_before: Tensor) -> float:
    """Rayleigh quotient of ``a[d, d]`` along a direction in which a diverging iterate, or its residual, grows.

    Negative: proof that A is not positive definite. Above a supposed upper bound of the spectrum: proof that it was
    none. Either may be too small a part of A for Lanczos to see at the start.
    """
    grown = x if bool(torch.isfinite(x).all()) else x_before
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(a.shape[-1], generator=generator, dtype=torch.float64).to(a)
    # The residual shows a negative eigenvalue that is large, the iterate one that is tiny.
    along_residual, along_iterate = start, start
    for _ in range(_POWER_STEPS):
        along_residual = _unit(along_residual - a @ (grown @ along_residual))
        along_iterate = _unit(grown @ along_iterate)
    quotients = [float(v @ (a @ v)) for v in (along_residual, along_iterate)]
    rounding = 2 * a.shape[-1] ** 0.5 * torch.finfo(a.dtype).eps * float(a.diagonal().amax())
    return min(quotients) if min(quotients) < -rounding else max(quotients)


def _unit(v: Tensor) -> Tensor:
    # Twice, lest the squares overflow.
    v = v / v.abs().amax()
    return v / torch.linalg.vector_norm(v)


def _spoilt_by_symmetry(a: Tensor, x: Tensor, tol: float) -> Tensor:
    """Whether rounding, ``eps * condition^2`` in ``I - X A``, surely lifts the symmetrised iterate above `tol`."""
    condition = frobenius_norm(a) * frobenius_norm(x)
    return torch.finfo(a.dtype).eps * condition**2 > 10 * a.shape[-1] * tol


def _symmetrised(x: Tensor, mask: Tensor) -> Tensor:
    if not bool(mask.any()):
        return x
    half = (x + x.mT) / 2
    return half if bool(mask.all()) else torch.where(mask.to(x.device)[:, None, None], half, x)


def identity_minus(product: Tensor) -> Tensor:
    """``I - product`` for ``product[B, d, d]``, in its place."""
    r = product.neg_()
    r.diagonal(dim1=-2, dim2=-1).add_(1)
    return r


def frobenius(r: Tensor) -> Tensor:
    """Frobenius norms of ``r[B, d, d]``, ``Tensor[B]`` in float64 on the CPU."""
    return torch.linalg.vector_norm(r, dim=(-2, -1)).double().cpu()


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like)[:, None, None]
