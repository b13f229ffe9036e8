"""Scores of every training sample on each of many queries: from gradients in memory, and of a live model.

By hand is float32 in torch, a layer at a time and all queries at once; ``lambda = 0.1 mean(g^2)`` of each layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.by_hand import DAMPING, POWERS, STEPS, Gradients
from benchmarks.gpu.extraction import step
from benchmarks.gpu.models import ROBERTA, TINY_ROBERTA, Batch, Shape, adapted, batch_of
from benchmarks.gpu.record import SEED, Section
from benchmarks.gpu.scores import Sizes as Drawn
from benchmarks.gpu.scores import agreement, drawn
from hyperinf import Attributor
from hyperinf.gradients import TensorSource


@dataclass(frozen=True)
class Sizes:
    """What is scored.

    Attributes:
        stored: gradients in memory; its targets are the queries.
        shape: of the live model.
        rank: of its adapters.
        batch: samples at a time.
        tokens: of each.
        train: batches that are scored.
        queries: batches that ask.
    """

    stored: Drawn
    shape: Shape
    rank: int
    batch: int
    tokens: int
    train: int
    queries: int


SIZES = {
    "tiny": Sizes(Drawn(12, 3, 2, (6,), 2, {}), TINY_ROBERTA, 2, 2, 8, 2, 1),
    "full": Sizes(Drawn(1000, 256, 8, (384, 1024), 24, {}), ROBERTA, 8, 32, 128, 8, 4),
}
LIVE = {"TracIN": "tracin", "DataInf": "datainf", "LiSSA": "lissa", "HyperINF": "hyperinf", "EK-FAC": "ekfac"}


def measure(section: Section, sizes: str) -> None:
    """Time each method on stored gradients against by hand, and on a model against training steps of its samples."""
    size = SIZES[sizes]
    for columns in size.stored.columns:
        what: dict[str, Any] = {
            "n": size.stored.samples,
            "queries": size.stored.targets,
            "r": size.stored.rank,
            "d": columns,
            "layers": size.stored.layers,
        }
        section.attempt(what, partial(_stored, section, size.stored, columns, what))
    what = {
        "model": size.shape.name,
        "rank": size.rank,
        "train": f"{size.train * size.batch} x {size.tokens} tokens",
        "queries": size.queries * size.batch,
    }
    section.attempt(what, lambda: _live(section, size, what))


def _stored(section: Section, size: Drawn, columns: int, what: dict[str, Any]) -> None:
    train = drawn(size, size.samples, columns, section.device, SEED)
    queries = drawn(size, size.targets, columns, section.device, SEED + 1)
    for method, by_hand in BY_HAND.items():
        row_of = {**what, "method": method}
        if section.begins(row_of):
            works = {
                "by hand": partial(summed, train, queries, by_hand),
                "ours": partial(ours, method, train, queries),
            }
            row = section.compare(row_of, works, repeats=5)
            section.note(row, partial(_agreed, works))


def _agreed(works: Mapping[str, Callable[[], Tensor]]) -> dict[str, float]:
    return agreement(*(work().cpu().flatten() for work in works.values()))


def ours(method: str, train: Gradients, queries: Gradients) -> Tensor:
    """The library's scores, statistics and all, ``Tensor[n, m]``."""
    options: dict[str, Any] = {"solver": "cholesky"} if method == "HyperINF" else {}
    fitted = Attributor(None, LIVE[method], **options).fit(TensorSource(train))
    return torch.tensor(fitted.score_each(TensorSource(queries)).to_numpy())


def summed(train: Gradients, queries: Gradients, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Score by ``product(g, v) -> hvp`` of ``Tensor[n, r, d]`` and ``Tensor[m, r, d]``: ``Tensor[n, m]``."""
    total = torch.zeros((), device=next(iter(train.values())).device)
    for layer, g in train.items():
        total = total - g.flatten(1) @ product(g, queries[layer]).flatten(1).T
    return total


def tracin(g: Tensor, v: Tensor) -> Tensor:
    """``hvp = v``."""
    return v


def datainf(g: Tensor, v: Tensor) -> Tensor:
    """``hvp = 1/(n lambda) sum_i (v - <v, g_i> / (lambda + |g_i|^2) g_i)``."""
    flat, damping = g.flatten(1), DAMPING * g.square().mean()
    weights = (v.flatten(1) @ flat.T) / (damping + flat.square().sum(1))
    return (v.flatten(1) - weights @ flat / len(g)) / damping


def lissa(g: Tensor, v: Tensor) -> Tensor:
    """``r <- v + r - (F + lambda I) r / s`` ten times, ``hvp = r / s``; s by five power iterations and a tenth more."""
    flat, damping = g.flatten(1), DAMPING * g.square().mean()

    def curved(x: Tensor) -> Tensor:
        return (x @ flat.T) @ flat / len(g) + damping * x

    x = torch.ones_like(flat[:1])
    for _ in range(POWERS):
        x = curved(x / x.norm())
    scale = 1.1 * x.norm()
    v = v.flatten(1)
    r = v
    for _ in range(STEPS):
        r = v + r - curved(r) / scale
    return r / scale


def hyperinf(g: Tensor, v: Tensor) -> Tensor:
    """``hvp = v (G + lambda I)^-1`` by a Cholesky factorisation."""
    rows = g.flatten(0, 1)
    matrix = rows.T @ rows / len(g)
    matrix.diagonal().add_(DAMPING * g.square().mean())
    return torch.cholesky_solve(v.flatten(0, 1).T, torch.linalg.cholesky(matrix)).T.unflatten(0, v.shape[:2])


BY_HAND = {"TracIN": tracin, "DataInf": datainf, "LiSSA": lissa, "HyperINF": hyperinf}


def _live(section: Section, size: Sizes, what: dict[str, Any]) -> None:
    """All methods in one row, after the steps: forward and backward of each batch, of both kinds, once."""
    model = adapted(size.shape, size.shape.layers, size.rank, torch.float32, section.device)
    batches = [
        batch_of(size.shape, size.batch, size.tokens, section.device, seed=number)
        for number in range(size.train + size.queries)
    ]
    train, queries = _named(batches[: size.train], "train"), _named(batches[size.train :], "query")

    def steps() -> None:
        for batch in batches:
            step(model, batch)

    def scored(method: str) -> Any:
        return Attributor(model, method).fit(train).score_each(queries)

    works: dict[str, Callable[[], Any]] = {"training steps": steps}
    works |= {name: partial(scored, method) for name, method in LIVE.items()}
    section.compare(what, works, repeats=2, slow=dict.fromkeys(works, 2))


def _named(batches: list[Batch], kind: str) -> list[tuple[list[str], Batch]]:
    size = len(batches[0]["labels"])
    return [([f"{kind}-{place}-{row}" for row in range(size)], batch) for place, batch in enumerate(batches)]
