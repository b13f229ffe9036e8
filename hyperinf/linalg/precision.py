"""Full float32 and float64 arithmetic, whatever the caller has switched on around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute products in the dtype of their operands: no TF32, no bfloat16 passes, no autocast, no gradients.

    A product in TF32 has a relative error of about 5e-4, more than the default tolerance of an inverse.
    All settings are put back on leaving, also when the body raises. They are global to the process, so
    other threads that multiply at the same time are slowed, never made less exact.

    Args:
        device: Where the products run; autocast is switched off for this kind of device.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(_ieee_products())
        yield


@contextmanager
def _ieee_products() -> Iterator[None]:
    backends: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    newer = all(hasattr(backend, "fp32_precision") for backend in backends)
    legacy = _legacy_precision()
    before = [backend.fp32_precision for backend in backends] if newer else []
    try:
        # Both kinds of switch: one that says other than the other raises wherever it is read.
        if legacy is not None:
            torch.set_float32_matmul_precision("highest")
        for backend in backends if newer else ():
            backend.fp32_precision = "ieee"
        yield
    finally:
        if legacy is not None:
            torch.set_float32_matmul_precision(legacy)
        for backend, value in zip(backends if newer else (), before, strict=True):
            backend.fp32_precision = value


def _legacy_precision() -> str | None:
    """Read the older switch; None where the caller has used a newer one, which it contradicts."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
