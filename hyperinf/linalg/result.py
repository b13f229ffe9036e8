"""What an iterative inverse says of itself, and the error it raises."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class InverseResult:
    """An inverse and the record of how it was reached.

    For a batch every number describes the worst element; the work is that of the whole batch, one batched
    product counting as one.

    Attributes:
        inverse: ``Tensor[..., d, d]``, symmetric, in the dtype and on the device of the input. When `converged` is
            false, the iterate with the smallest residual, made symmetric; zeros where no finite one was reached.
        converged: Whether ``||I - A X||_F <= tol`` for every matrix of the batch, rounding allowed for.
        iterations: Updates of the iterate.
        matmuls: Products of two ``d x d`` matrices, those of the final check included.
        matvecs: Products of a ``d x d`` matrix with one vector, spent on bounding the spectrum.
        residual: ``||I - A X||_F`` of the returned `inverse` X, computed from it and not predicted; from d = 64 on an
            estimate by 64 random vectors, rounding included, where `reason` tells of a factorisation; for float32 then
            that of the float64 inverse which `inverse` is rounded from.
        error_bound: Upper bound of ``||X - A^-1||_F``: ``||X||_F e / (1 - e)`` with ``e`` the residual plus
            an allowance for the rounding of the residual itself; infinite when ``e >= 1``, never when `converged`.
        reason: One line: why the iteration stopped.
    """

    inverse: Tensor
    converged: bool
    iterations: int
    matmuls: int
    matvecs: int
    residual: float
    error_bound: float
    reason: str


class ConvergenceError(ValueError):
    """No trustworthy inverse could be delivered.

    Attributes:
        result: How far the iteration got, or None when the input was refused before it began.
    """

    def __init__(self, message: str, result: InverseResult | None = None) -> None:
        super().__init__(message)
        self.result = result


class ConvergenceWarning(RuntimeWarning):
    """An inverse is returned that did not reach its tolerance (``on_fail="warn"``)."""
