"""Dot products of per-sample gradients with m queries, from the factors that extraction keeps."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.record import SEED, Section
from hyperinf.gradients.alike import together
from hyperinf.gradients.contractions import Factors

Pairs = list[tuple[Tensor, Tensor]]
"""Of each layer ``L: [b, t, r]`` and ``R: [b, t, d]``."""


@dataclass(frozen=True)
class Sizes:
    """What is multiplied.

    Attributes:
        samples: b.
        tokens: t.
        rank: r.
        columns: d.
        layers: number of weights.
        queries: each m.
    """

    samples: int
    tokens: int
    rank: int
    columns: int
    layers: int
    queries: tuple[int, ...]


SIZES = {
    "tiny": Sizes(3, 5, 2, 8, 2, (1, 8)),
    "full": Sizes(32, 128, 8, 1024, 48, (1, 8, 32, 256)),
}


def measure(section: Section, sizes: str) -> None:
    """Time ours against gradients that are formed, and against products with the factors."""
    size = SIZES[sizes]
    for dtype in (torch.float32, torch.bfloat16):
        for queries in size.queries:
            what = {
                "samples": f"{size.samples} x {size.tokens} tokens",
                "r": size.rank,
                "d": size.columns,
                "layers": size.layers,
                "factors": str(dtype).removeprefix("torch."),
                "queries": queries,
            }
            if section.begins(what):
                section.attempt(what, partial(_compare, section, size, what, dtype))


def _compare(section: Section, size: Sizes, what: dict[str, Any], dtype: torch.dtype) -> None:
    generator = torch.Generator(section.device).manual_seed(SEED)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=section.device)

    pairs = [
        (
            normal(size.samples, size.tokens, size.rank).to(dtype),
            normal(size.samples, size.tokens, size.columns).to(dtype),
        )
        for _ in range(size.layers)
    ]
    vectors = [normal(what["queries"], size.rank, size.columns) for _ in range(size.layers)]
    works = {
        "formed by hand": lambda: formed(pairs, vectors),
        "factors by hand": lambda: from_factors(pairs, vectors),
        "ours": lambda: ours(pairs, vectors),
    }
    row = section.compare(what, works, repeats=10)
    section.note(row, lambda: {"largest difference": _difference(ours(pairs, vectors), formed(pairs, vectors))})


def formed(pairs: Pairs, vectors: list[Tensor]) -> Tensor:
    """Every gradient is formed, and multiplied with all queries at once: ``Tensor[b, m]``."""
    total: Any = 0.0
    for (left, right), v in zip(pairs, vectors, strict=True):
        total = total + torch.bmm(left.float().mT, right.float()).flatten(1) @ v.flatten(1).T
    return total


def from_factors(pairs: Pairs, vectors: list[Tensor]) -> Tensor:
    """No gradient is formed: ``sum_t <L_t, v R_t>``."""
    total: Any = 0.0
    for (left, right), v in zip(pairs, vectors, strict=True):
        projected = (right.float() @ v.flatten(0, 1).T).unflatten(2, v.shape[:2])
        total = total + torch.einsum("btmr,btr->bm", projected, left.float())
    return total


def ours(pairs: Pairs, vectors: list[Tensor]) -> Tensor:
    """The library's, in the form that it takes of itself."""
    total: Any = 0.0
    queries = {str(layer): v for layer, v in enumerate(vectors)}
    for few in together({str(layer): Factors(*pair) for layer, pair in enumerate(pairs)}):
        total = total + few.dots(queries).sum(0)
    return total


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())
