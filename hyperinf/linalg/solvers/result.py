"""What every solver takes and returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SolveCallback = Callable[[int, Tensor], None]


@dataclass(frozen=True, eq=False)
class SolveResult:
    """An approximate solution of ``A x = b`` and how it was reached.

    Attributes:
        x: Shape of b.
        iterations: Iterations done; 0 for a direct method.
        matvecs: Products of A (or of a d x d matrix as costly) with one vector, so a product with ``Tensor[d, k]``
            counts k and one of two d x d matrices d; 0 for a factorisation, whose work is of another kind.
        residual: ``||b - A x||_F / ||b||_F``, computed from `x`; in float64 where `x` is float64. Zero when b is.
        converged: Whether ``residual <= tol``. Of a direct method, whether its result is finite.
        reason: One line: why it stopped; begins with ``diverged`` when the iterates left all bounds.
    """

    x: Tensor
    iterations: int
    matvecs: int
    residual: float
    converged: bool
    reason: str


class Solver(Protocol):
    """A function in `SOLVERS`."""

    def __call__(
        self,
        a: Tensor,
        b: Tensor,
        *,
        iterations: int = ...,
        tol: float = ...,
        callback: SolveCallback | None = ...,
    ) -> SolveResult:
        """Approximate ``A^-1 b``.

        Args:
            a: ``Tensor[d, d]``, symmetric positive definite, float32 or float64.
            b: ``Tensor[d]`` or ``Tensor[d, k]``, dtype and device of `a`.
            iterations: Most iterations; direct methods have none.
            tol: Relative residual at which to stop; 0 for all `iterations`.
            callback: Called as ``callback(iteration, x)`` after every iteration, from 1 on, with the current estimate
                of ``A^-1 b`` in the shape of `b`; direct methods call it once, with iteration 0.

        Returns:
            The last iterate and its record; never NaN with ``converged`` true.

        Raises:
            ValueError: When `a`, `b` or an argument cannot be used.
        """
        ...


def check_system(a: Tensor, b: Tensor, iterations: int, tol: float) -> None:
    """Raise a one-line `ValueError` unless ``A x = b`` is a system that a solver can take."""
    if a.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"a has dtype {a.dtype}, expected float32 or float64")
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape[0] == 0:
        raise ValueError(f"a must be a square matrix [d, d], got shape {tuple(a.shape)}")
    if b.ndim not in (1, 2) or b.shape[0] != a.shape[0] or b.numel() == 0:
        raise ValueError(f"b must have shape [{a.shape[0]}] or [{a.shape[0]}, k], got {tuple(b.shape)}")
    if b.dtype != a.dtype or b.device != a.device:
        raise ValueError(f"a and b must agree, got {a.dtype} on {a.device} and {b.dtype} on {b.device}")
    for name, tensor in (("a", a), ("b", b)):
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds NaN or infinite entries")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations must be an integer >= 1, got {iterations!r}")
    if not (math.isfinite(tol) and tol >= 0):
        raise ValueError(f"tol must be a finite number >= 0, got {tol!r}")


def relative_residual(a: Tensor, b: Tensor, x: Tensor) -> float:
    """``||b - A x||_F / ||b||_F``, and 0 for b = x = 0; NaN when `x` is not finite."""
    return relative_size(b - a @ x, b)


def relative_size(residual: Tensor, b: Tensor) -> float:
    """``||residual||_F / ||b||_F``; the norm itself when b is zero."""
    size = float(torch.linalg.vector_norm(b.double()))
    return float(torch.linalg.vector_norm(residual.double())) / (size if size > 0 else 1.0)
