"""Peak memory of extraction and curvature against the number of samples, which streams, and against the rank."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.models import ROBERTA, TINY_ROBERTA, Batch, Shape, adapted, batch_of
from benchmarks.gpu.record import Section
from hyperinf.gradients import LiveSource
from hyperinf.influence import gradient_statistics


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        shape: of the model.
        samples: numbers of samples at rank 8.
        ranks: of adapters, over ``few`` samples.
        few: samples.
        batch: samples at a time.
        tokens: of a sample.
    """

    shape: Shape
    samples: tuple[int, ...]
    ranks: tuple[int, ...]
    few: int
    batch: int
    tokens: int


SIZES = {
    "tiny": Sizes(TINY_ROBERTA, (4, 8), (1, 4), 4, 2, 8),
    "full": Sizes(ROBERTA, (64, 128, 256, 512, 1024), (1, 2, 4, 8, 16, 32, 64), 64, 32, 128),
}
RANK = 8


def measure(section: Section, sizes: str) -> None:
    """Take the statistics, GFIM included, of ever more samples, and of adapters of ever larger rank."""
    size = SIZES[sizes]
    section.attempt({"model": size.shape.name}, lambda: _by_samples(section, size))
    for rank in size.ranks:
        what = _what(size, rank, size.few)
        if section.begins(what):
            section.attempt(what, partial(_by_rank, section, size, rank))


def _by_samples(section: Section, size: Sizes) -> None:
    model = adapted(size.shape, size.shape.layers, RANK, torch.float32, section.device)
    gradient_statistics(LiveSource(model, batches(size, size.batch)))  # warms up, and checks what is checked once
    for samples in size.samples:
        what = _what(size, RANK, samples)
        if section.begins(what):
            source = LiveSource(model, batches(size, samples))
            row = section.once(what, "extraction and curvature", partial(gradient_statistics, source))
            _per_sample(row, samples)


def _by_rank(section: Section, size: Sizes, rank: int) -> None:
    model = adapted(size.shape, size.shape.layers, rank, torch.float32, section.device)
    gradient_statistics(LiveSource(model, batches(size, size.batch)))
    source = LiveSource(model, batches(size, size.few))
    row = section.once(_what(size, rank, size.few), "extraction and curvature", lambda: gradient_statistics(source))
    _per_sample(row, size.few)


def _what(size: Sizes, rank: int, samples: int) -> dict[str, Any]:
    return {"model": size.shape.name, "batch": f"{size.batch} x {size.tokens} tokens", "rank": rank, "samples": samples}


def _per_sample(row: dict[str, Any], samples: int) -> None:
    times = row["times"]["extraction and curvature"]
    if "median" in times:
        row["notes"]["ms a sample"] = round(times["median"] / samples * 1e3, 3)


def batches(size: Sizes, samples: int) -> list[tuple[list[str], Batch]]:
    """On the CPU, as a loader has them."""
    return [
        (
            [str(start + row) for row in range(size.batch)],
            batch_of(size.shape, size.batch, size.tokens, torch.device("cpu"), seed=start),
        )
        for start in range(0, samples, size.batch)
    ]
