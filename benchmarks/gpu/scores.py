"""Scores from gradients that lie in the device's memory: ours, by hand, and in published loops."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.by_hand import BY_HAND, Gradients
from benchmarks.gpu.loops import LOOPS
from benchmarks.gpu.record import SEED, Section
from hyperinf.gradients import TensorSource
from hyperinf.influence import influence_scores

OURS = {
    "TracIN": ("tracin", "auto"),
    "DataInf": ("datainf", "auto"),
    "LiSSA": ("lissa", "auto"),
    "HyperINF, Cholesky": ("hyperinf", "cholesky"),
    "HyperINF, Schulz": ("hyperinf", "schulz"),
}


@dataclass(frozen=True)
class Sizes:
    """What is scored.

    Attributes:
        samples: n.
        targets: m.
        rank: r.
        columns: each d.
        layers: of each.
        looped: samples of the published loop by method, all where it is not named; times are those of all samples.
    """

    samples: int
    targets: int
    rank: int
    columns: tuple[int, ...]
    layers: int
    looped: dict[str, int]


SIZES = {
    "tiny": Sizes(12, 3, 2, (6, 8), 2, {"LiSSA": 4}),
    "full": Sizes(1000, 32, 8, (384, 1024), 24, {"LiSSA": 50}),
}


def measure(section: Section, sizes: str) -> None:
    """Time every method at every width."""
    size = SIZES[sizes]
    for columns in size.columns:
        what = {"n": size.samples, "r": size.rank, "d": columns, "layers": size.layers}
        section.attempt(what, partial(_all_methods, section, size, columns, what))


def _all_methods(section: Section, size: Sizes, columns: int, what: dict[str, Any]) -> None:
    train = drawn(size, size.samples, columns, section.device, SEED)
    target = drawn(size, size.targets, columns, section.device, SEED + 1)
    for method in OURS:
        if section.begins({**what, "method": method}, needs=3.0 if size.samples >= 1000 else 0.0):
            _compare(section, size, {**what, "method": method}, train, target)


def _compare(section: Section, size: Sizes, what: dict[str, Any], train: Gradients, target: Gradients) -> None:
    method = what["method"]
    works = {
        "by hand": lambda: BY_HAND[method](train, target),
        "ours": lambda: ours(method, train, target),
    }
    slow = {}
    looped = size.looped.get(method, size.samples)
    if method in LOOPS:
        some = {layer: g[:looped] for layer, g in train.items()}
        works["published loop"] = lambda: LOOPS[method](some, target)
        slow["published loop"] = 2
    row = section.compare(what, works, repeats=10, slow=slow)
    if method in LOOPS and looped < size.samples and "median" in row["times"]["published loop"]:
        for key in ("median", "low", "high"):
            row["times"]["published loop"][key] *= size.samples / looped
        row["notes"]["loop measured on samples"] = looped
    section.note(row, lambda: agreement(works["ours"]().cpu(), works["by hand"]().cpu()))


def ours(method: str, train: Gradients, target: Gradients) -> Tensor:
    """The library's scores, from sources that are made anew."""
    name, solver = OURS[method]
    return influence_scores(TensorSource(train), TensorSource(target), name, solver=solver)


def agreement(a: Tensor, b: Tensor) -> dict[str, float]:
    """Of two lists of scores: the largest difference relative to the largest score, and the rank correlation."""
    a, b = a.double(), b.double()
    ranks = torch.stack([a.argsort().argsort(), b.argsort().argsort()]).double()
    return {
        "largest difference": float((a - b).abs().max() / b.abs().max()),
        "rank correlation": float(torch.corrcoef(ranks)[0, 1]),
    }


def drawn(size: Sizes, samples: int, columns: int, device: torch.device, seed: int) -> dict[str, Tensor]:
    """Random gradients whose columns fall off, so that the GFIM has large and small eigenvalues."""
    generator = torch.Generator(device).manual_seed(seed)
    fall = torch.arange(1, columns + 1, device=device, dtype=torch.float32).rsqrt()
    return {
        f"layer.{index}": torch.randn(samples, size.rank, columns, generator=generator, device=device) * fall
        for index in range(size.layers)
    }
