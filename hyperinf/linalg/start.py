"""Where the hyperpower iteration starts, and what is known of the spectrum there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperinf.linalg.bounds import MARGIN, column_bound, norm_bound, spectrum_bounds
from hyperinf.linalg.checks import check_matrices, diagonal_objection, element
from hyperinf.linalg.result import ConvergenceError

PUBLISHED_START = 5e-5


@dataclass(frozen=True, eq=False)
class Start:
    """First iterate of a batch of B matrices. All but `x` are float64 (or bool) tensors ``[B]`` on the CPU.

    Attributes:
        scale: c of the first iterate c I; unused when `x` is given.
        x: First iterates ``[B, d, d]``, or None.
        rho: Believed bound of the eigenvalues' magnitude of the first residual; 0 where nothing is believed.
        scaled: Whether updates are fitted to the spectrum (Chebyshev) or plain.
        estimate: Whether rho rests on an estimate from one side only and should be measured again on the way.
        upper: Upper bound of the largest eigenvalue that `scale` was computed from; infinite if it was given.
        certain: Upper bound of the largest eigenvalue from norms.
        matvecs: Matrix-vector products spent on the bounds.
        note: What was not believed of the caller's bounds, or an empty string.
        refused: Which matrices are known not to be positive definite, before any iteration.
        objection: One line about the first of these, or an empty string.
    """

    scale: Tensor
    x: Tensor | None
    rho: Tensor
    scaled: bool
    estimate: Tensor
    upper: Tensor
    certain: Tensor
    refused: Tensor
    objection: str = ""
    matvecs: int = 0
    note: str = ""

    def of(self, elements: Tensor) -> Start:
        """The start of some elements of the batch, by their indices."""
        return replace(
            self,
            x=None if self.x is None else self.x[elements.to(self.x.device)],
            **{
                name: getattr(self, name)[elements]
                for name in ("scale", "rho", "estimate", "upper", "certain", "refused")
            },
        )

    def widened(self) -> Start:
        """The same start from the bound on the spectrum that is certain."""
        upper = self.certain
        # Half as far as optimal for an unknown smallest eigenvalue: nothing may touch the limit this time.
        return replace(
            self,
            scale=1 / upper,
            rho=torch.full_like(upper, 1 - 1e-3),
            estimate=torch.ones_like(upper, dtype=torch.bool),
            upper=upper,
        )


def choose_start(
    a: Tensor,
    batch: torch.Size,
    init: str | float | Tensor,
    lmin: float | Tensor | None,
    lmax: float | Tensor | None,
    scaled: bool,
) -> Start:
    """Choose the first iterate.

    Args:
        a: ``Tensor[B, d, d]``, symmetric.
        batch: Batch shape of the caller's tensor, B elements.
        init: ``"auto"``, ``"paper"``, a positive number or a ``Tensor[..., d, d]``.
        lmin: The caller's lower bound of the smallest eigenvalue.
        lmax: The caller's upper bound of the largest eigenvalue.
        scaled: Whether Chebyshev updates are wanted.

    Returns:
        The start; `refused` marks the matrices known not to be positive definite.

    Raises:
        ConvergenceError: For an init, lmin or lmax that cannot be used.
    """
    low = _bound("lmin", lmin, batch)
    high = _bound("lmax", lmax, batch)
    if low is not None and high is not None and bool((low > high).any()):
        raise ConvergenceError(f"lmin must not exceed lmax, got lmin={lmin} and lmax={lmax}")
    count = a.shape[0]
    unknown = torch.full((count,), torch.inf, dtype=torch.float64)
    refused, objection = diagonal_objection(a)
    plain = Start(
        scale=torch.full((count,), PUBLISHED_START, dtype=torch.float64),
        x=None,
        rho=torch.zeros(count, dtype=torch.float64),
        scaled=False,
        estimate=torch.zeros(count, dtype=torch.bool),
        upper=unknown,
        certain=unknown,
        refused=refused,
        objection=objection,
    )
    if isinstance(init, Tensor) and init.ndim > 0:
        return replace(plain, x=_given_iterates(init, a, batch))
    if isinstance(init, str):
        if init not in ("auto", "paper"):
            raise ConvergenceError(f"init must be 'auto', 'paper', a number > 0 or a tensor [..., d, d], got {init!r}")
    else:
        plain = replace(plain, scale=torch.full((count,), _positive("init", init), dtype=torch.float64))
    if init == "paper" or (init != "auto" and not scaled):
        return plain
    return _informed(a, plain, init == "auto", low, high, scaled)


def _informed(a: Tensor, plain: Start, auto: bool, low: Tensor | None, high: Tensor | None, scaled: bool) -> Start:
    certain = norm_bound(a)
    note = ""
    if high is not None:
        high = MARGIN * high
        disproved = column_bound(a) > high
        if bool(disproved.any()):
            note = f"lmax={float(high[disproved][0]) / MARGIN:.3g} lies below the largest eigenvalue and was not used"
            high = None
    estimate = torch.ones(a.shape[0], dtype=torch.bool)
    matvecs = 0
    refused, objection = plain.refused, plain.objection
    if low is None or high is None:
        seen = spectrum_bounds(a)
        matvecs = seen.matvecs
        rounding = 20 * a.shape[-1] ** 0.5 * torch.finfo(a.dtype).eps * seen.upper
        negative = ~refused & (seen.smallest < -rounding)
        if bool(negative.any()) and not objection:
            least = float(seen.smallest[negative].min())
            objection = f"a is not positive definite: it has an eigenvalue of {least:.3g} or less{element(negative)}"
        refused = refused | negative
        high = seen.upper if high is None else high
        # A Rayleigh quotient is never below the smallest eigenvalue: a lower bound above it is none.
        floor = torch.finfo(a.dtype).eps * high
        # The margin keeps an eigenvalue that was computed, not bounded, inside the interval.
        smallest = torch.maximum(seen.smallest / MARGIN, floor)
        estimate = ~seen.exact if low is None else low > seen.smallest
        low = smallest if low is None else torch.minimum(low, smallest)
    else:
        estimate = torch.zeros_like(estimate)
    # Of a matrix that is refused the bounds mean nothing.
    low, high = torch.where(refused, 1.0, low), torch.where(refused, 1.0, torch.minimum(high, certain))
    if bool((low > high).any()):
        raise ConvergenceError(
            f"lmin={float(low.max()):.3g} is above the largest eigenvalue, which is at most {float(high.min()):.3g}"
        )
    scale = 2 / (low + high) if auto else plain.scale
    rho = torch.maximum((1 - scale * low).abs(), (1 - scale * high).abs())
    return replace(
        plain,
        scale=scale,
        # A given start that does not contract is left to plain updates, which show it.
        rho=torch.where(rho < 1, rho, 0.0),
        scaled=scaled,
        estimate=estimate,
        upper=high if auto else plain.upper,
        certain=certain if auto else plain.certain,
        matvecs=matvecs,
        note=note,
        refused=refused,
        objection=objection,
    )


def _given_iterates(init: Tensor, a: Tensor, batch: torch.Size) -> Tensor:
    d = a.shape[-1]
    if init.ndim < 2 or init.shape[-2:] != (d, d):
        raise ConvergenceError(f"init must have shape [..., {d}, {d}], got {tuple(init.shape)}")
    check_matrices(init, "init")
    try:
        x = init.detach().to(a).expand(*batch, d, d).reshape(-1, d, d)
    except RuntimeError:
        raise ConvergenceError(f"init of shape {tuple(init.shape)} does not fit a batch {tuple(batch)}") from None
    # From a start that is indefinite the iteration may converge to the inverse of an indefinite matrix.
    _, info = torch.linalg.cholesky_ex(x)
    if bool((info != 0).any()):
        raise ConvergenceError(f"init is not positive definite{element(info != 0)}")
    return (x + x.mT) / 2


def _bound(name: str, value: float | Tensor | None, batch: torch.Size) -> Tensor | None:
    if value is None:
        return None
    if not isinstance(value, Tensor):
        return torch.full((batch.numel(),), _positive(name, value), dtype=torch.float64)
    try:
        flat = value.detach().to("cpu", torch.float64).expand(batch).reshape(-1)
    except RuntimeError:
        raise ConvergenceError(
            f"{name} of shape {tuple(value.shape)} does not fit a batch of shape {tuple(batch)}"
        ) from None
    if not bool((torch.isfinite(flat) & (flat > 0)).all()):
        raise ConvergenceError(f"{name} must be finite and > 0, got {flat.tolist()[:4]}")
    return flat


def _positive(name: str, value: object) -> float:
    number = math.nan
    if not isinstance(value, bool | str):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ConvergenceError(f"{name} must be a finite number > 0, got {value!r}")
    return number
