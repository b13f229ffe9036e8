"""DataInf: the mean of rank-one inverses in place of the inverse of the mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperinf.linalg.precision import full_precision

_SAMPLES_AT_ONCE = 1024


def datainf_inverse(samples: Tensor, b: Tensor, damping: float) -> Tensor:
    """``1/N sum_i (s_i s_i^T + damping I)^-1 b`` (Kwon et al., 2024, eq. 5), by the Sherman-Morrison formula.

    Each term is ``(b - s_i (s_i . b) / (damping + ||s_i||^2)) / damping``. The samples are streamed, so the memory does
    not grow with N; sums are in float64. The mean of inverses is no estimate of the inverse of the mean: its error
    does not vanish with N.

    Args:
        samples: ``s_i`` as rows, ``Tensor[N, d]``.
        b: ``Tensor[d]`` or ``Tensor[d, k]``.
        damping: > 0.

    Returns:
        Tensor in the shape and dtype of `b`.

    Raises:
        ValueError: When shapes do not fit, an input is not finite, N is 0 or damping is not positive.
    """
    if samples.ndim != 2 or samples.numel() == 0:
        raise ValueError(f"samples must have shape [N, d], got {tuple(samples.shape)}")
    d = samples.shape[1]
    if b.ndim not in (1, 2) or b.shape[0] != d:
        raise ValueError(f"b must have shape [{d}] or [{d}, k], got {tuple(b.shape)}")
    if not (math.isfinite(damping) and damping > 0):
        raise ValueError(f"damping must be a finite number > 0, got {damping!r}")
    if not bool(torch.isfinite(b).all()):
        raise ValueError("b holds NaN or infinite entries")
    with full_precision(samples.device):
        right = b.double().reshape(d, -1)
        removed = torch.zeros_like(right)
        for block in samples.split(_SAMPLES_AT_ONCE):
            s = block.double()
            weights = 1 / (damping + (s * s).sum(1, keepdim=True))
            removed += s.T @ (weights * (s @ right))
        if not bool(torch.isfinite(removed).all()):
            raise ValueError("samples hold NaN or infinite entries")
        return ((right - removed / len(samples)) / damping).reshape(b.shape).to(b.dtype)
