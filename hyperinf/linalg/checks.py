"""Refuse, in one line, what is not a batch of symmetric positive definite matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperinf.linalg.result import ConvergenceError

# Largest entry of |A - A^T| over the largest of |A|: what accumulating A^T A in the dtype leaves behind.
SYMMETRY_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def check_matrices(a: Tensor, name: str = "a") -> None:
    """Raise `ConvergenceError` unless `a` is a float32 or float64 ``Tensor[..., d, d]``, finite and symmetric."""
    if not isinstance(a, Tensor):
        raise ConvergenceError(f"{name} must be a torch.Tensor, got {type(a).__name__}")
    if a.layout is not torch.strided:
        raise ConvergenceError(f"{name} must be a dense tensor, got layout {a.layout}")
    if a.dtype not in SYMMETRY_TOLERANCE:
        raise ConvergenceError(
            f"{name} has dtype {dtype_name(a.dtype)}, expected float32 or float64: others cannot hold an inverse"
        )
    shape = tuple(a.shape)
    if a.ndim < 2 or shape[-1] != shape[-2]:
        raise ConvergenceError(f"{name} must hold square matrices [..., d, d], got shape {shape}")
    if a.numel() == 0:
        raise ConvergenceError(f"{name} is empty: shape {shape}")
    flat = a.detach().reshape(-1, shape[-1], shape[-1])
    _refuse(~torch.isfinite(flat).all(-1).all(-1), f"{name} holds NaN or infinite entries")
    largest = flat.abs().amax((-2, -1))
    # Halved first: the difference of two entries near the largest number would overflow.
    asymmetry = (flat / 2 - flat.mT / 2).abs().amax((-2, -1))
    tolerance = SYMMETRY_TOLERANCE[a.dtype]
    _refuse(
        asymmetry > tolerance / 2 * largest,
        f"{name} is not symmetric to {tolerance:g} of its largest entry; take (a + a.mT) / 2 if it should be",
    )


def diagonal_objection(a: Tensor) -> tuple[Tensor, str]:
    """Find the matrices of ``a[B, d, d]`` whose diagonal no positive definite matrix has.

    Returns:
        A mask ``Tensor[B]`` on the CPU and one line about the first of them, empty if there is none.
    """
    zero = (a.abs().amax((-2, -1)) == 0).cpu()
    smallest = a.diagonal(dim1=-2, dim2=-1).amin(-1).cpu()
    bad = smallest <= 0
    if bool(zero.any()):
        return bad, f"a is the zero matrix, which has no inverse; add damping{element(zero)}"
    if bool(bad.any()):
        least = float(smallest.min())
        return bad, f"a is not positive definite: its smallest diagonal entry is {least:.3g}{element(bad)}"
    return bad, ""


def element(bad: Tensor) -> str:
    """Name the first element of a batch that a mask ``[B]`` marks; nothing for a batch of one."""
    return f" (batch element {int(bad.nonzero()[0, 0])})" if bad.numel() > 1 else ""


def dtype_name(dtype: torch.dtype) -> str:
    """The dtype as a user writes it after ``torch.``."""
    return str(dtype).removeprefix("torch.")


def _refuse(bad: Tensor, message: str) -> None:
    if bool(bad.any()):
        raise ConvergenceError(message + element(bad))
