"""Inverses of damped matrices: by matrix products, by Cholesky's factorisation and by LU, at a few sizes."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.gpu.models import tf32
from benchmarks.gpu.record import SEED, Section
from hyperinf.linalg import InverseResult, hyperpower_inverse

Method = Literal["chebyshev", "schulz"]
SIZES = {
    "tiny": [(16, 1), (8, 3)],
    "full": [(1024, 1), (2048, 1), (1024, 48), (4096, 1), (8192, 1)],
}
"""``(d, matrices)``."""
CONDITION = 1e4
POWERS = 50


def measure(section: Section, sizes: str) -> None:
    """Time every way at every size, float32 before float64."""
    for dtype in (torch.float32, torch.float64):
        for d, count in SIZES[sizes]:
            what = {"d": d, "matrices": count, "dtype": str(dtype).removeprefix("torch."), "condition": CONDITION}
            if section.begins(what):
                section.attempt(what, partial(_compare, section, what, dtype))


def _compare(section: Section, what: dict[str, Any], dtype: torch.dtype) -> None:
    a = damped(what["d"], what["matrices"], section.device).to(dtype)
    works: dict[str, Callable[[], Tensor]] = {
        "Cholesky": lambda: torch.cholesky_inverse(torch.linalg.cholesky(a)),
        "inv": lambda: torch.linalg.inv(a),
        "ours, Chebyshev": lambda: by_products(a, "chebyshev").inverse,
        "ours, Schulz": lambda: by_products(a, "schulz").inverse,
        "one product": lambda: a @ a,
    }
    row = section.compare(what, works, repeats=5)
    times = row["times"]
    for name in ("Cholesky", "inv"):
        if "median" in times[name]:
            section.note(row, partial(_left, a, name, works[name]))
    ways: dict[str, Method] = {"ours, Chebyshev": "chebyshev", "ours, Schulz": "schulz"}
    for name, method in ways.items():
        if "median" in times[name]:
            section.note(row, partial(_how, a, method, name, times))

    if dtype == torch.float32 and what["matrices"] == 1:
        section.note(row, lambda: {"residual under TF32": _under_tf32(a)})


def _under_tf32(a: Tensor) -> float:
    """The residual where the caller has switched TF32 on: the iteration must not use it."""
    with tf32(True):
        inverse = by_products(a, "chebyshev").inverse
    return residual(a, inverse)


def _left(a: Tensor, name: str, work: Callable[[], Tensor]) -> dict[str, float]:
    return {f"residual, {name}": residual(a, work())}


def _how(a: Tensor, method: Method, name: str, times: dict[str, Any]) -> dict[str, Any]:
    result = by_products(a, method)
    found = {
        f"residual, {name}": residual(a, result.inverse),
        f"products, {name}": result.matmuls,
        f"reason, {name}": result.reason,
    }
    if "median" in times["one product"]:
        spent = result.matmuls * times["one product"]["median"]
        found[f"share of the matmul rate, {name}"] = round(spent / times[name]["median"], 3)
    return found


def by_products(a: Tensor, method: Method) -> InverseResult:
    """As HyperINF asks for it: the smallest eigenvalue is known to be at least 1."""
    return hyperpower_inverse(a, method=method, tol=1e-3, lmin=1.0)


def residual(a: Tensor, inverse: Tensor) -> float:
    """The largest ``|I - A X|_F`` of the batch, computed in float64, one matrix at a time."""
    identity = torch.eye(a.shape[-1], dtype=torch.float64, device=a.device)
    return max(float((identity - each.double() @ x.double()).norm()) for each, x in zip(a, inverse, strict=True))


def damped(d: int, count: int, device: torch.device) -> Tensor:
    """``M / lambda + I`` of M singular, as a GFIM of few samples, with the condition number asked for: float64."""
    generator = torch.Generator(device).manual_seed(SEED)
    result = torch.empty(count, d, d, dtype=torch.float64, device=device)
    for matrix in result:
        rows = torch.randn(d // 2, d, generator=generator, device=device, dtype=torch.float64)
        rows *= torch.arange(1, d + 1, device=device, dtype=torch.float64).rsqrt()
        torch.mm(rows.T, rows, out=matrix)
        x = torch.ones(d, dtype=torch.float64, device=device)
        for _ in range(POWERS):
            x = matrix @ (x / x.norm())
        matrix *= CONDITION / x.norm()
        matrix.copy_((matrix + matrix.T.clone()) / 2)
        matrix.diagonal().add_(1.0)
    return result
