"""Scores by the gradients of a model's upper layers: what lies below is run at every sweep, or once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.models import (
    LLAMA,
    MINILM,
    ROBERTA,
    SMOLLM,
    TINY_LLAMA,
    TINY_ROBERTA,
    Batch,
    Shape,
    adapted,
    batch_of,
)
from benchmarks.gpu.record import Section
from hyperinf import Attributor, LiveSource
from hyperinf.gradients.kept import KeptSource

PLENTY = 2**40


@dataclass(frozen=True)
class Case:
    """What is scored.

    Attributes:
        shape: of the model.
        dtype: of the frozen weights.
        upper: layers whose gradients are taken, the last ones.
        batch: samples at a time.
        tokens: of each.
        batches: that are scored; one more is the target.
    """

    shape: Shape
    dtype: torch.dtype
    upper: int
    batch: int
    tokens: int
    batches: int


SIZES = {
    "tiny": [Case(TINY_ROBERTA, torch.float32, 1, 4, 8, 3), Case(TINY_LLAMA, torch.float32, 1, 4, 8, 3)],
    "cpu": [
        Case(MINILM, torch.float32, 2, 16, 32, 8),
        Case(SMOLLM, torch.float32, 6, 4, 64, 4),
    ],
    "full": [Case(ROBERTA, torch.float32, 6, 32, 128, 4), Case(LLAMA, torch.bfloat16, 8, 16, 128, 3)],
}
RANK = 8
METHODS = {"HyperINF": "hyperinf", "LiSSA": "lissa"}


def measure(section: Section, sizes: str) -> None:
    """Time statistics and scores with nothing kept, with what the frozen part gives, and with the gradients."""
    on_cpu = sizes == "full" and section.device.type == "cpu"
    for case in SIZES["cpu" if on_cpu else sizes]:
        what = {
            "model": case.shape.name,
            "layers": f"{case.upper} of {case.shape.layers}",
            "train": f"{case.batches * case.batch} x {case.tokens} tokens",
            "precision": str(case.dtype).removeprefix("torch."),
        }
        methods = list(METHODS)[:1] if sizes == "tiny" else list(METHODS)
        section.attempt(what, partial(_case, section, case, what, methods))


def _case(section: Section, case: Case, what: dict[str, Any], methods: list[str]) -> None:
    model = adapted(case.shape, case.shape.layers, RANK, case.dtype, section.device)
    names = _upper(model, case)
    made = [
        batch_of(case.shape, case.batch, case.tokens, section.device, seed=seed) for seed in range(case.batches + 1)
    ]
    train, target = _named(made[:-1]), made[-1:]
    outputs, gradients = _bytes(model, train, names)

    scores: dict[int, Any] = {}

    def scored(method: str, memory_bytes: int) -> None:
        attributor = Attributor(model, METHODS[method], layers=names, memory_bytes=memory_bytes)
        scores[memory_bytes] = attributor.fit(train).score(target)["influence"]

    for method in methods:
        row_of = {**what, "method": method}
        if not section.begins(row_of):
            continue
        works: dict[str, Callable[[], Any]] = {
            "all again": partial(scored, method, 0),
            "frozen part kept": partial(scored, method, outputs),
            "gradients kept": partial(scored, method, PLENTY),
        }
        row = section.compare(row_of, works, repeats=3, slow=dict.fromkeys(works, 3))
        difference = float((scores[outputs] - scores[0]).abs().max() / scores[0].abs().max())
        mib = {"outputs, MiB": outputs / 2**20, "gradients, MiB": gradients / 2**20}
        section.note(row, partial(dict, mib, **{"largest difference": difference}))


def _upper(model: nn.Module, case: Case) -> list[str]:
    places = range(case.shape.layers - case.upper, case.shape.layers)
    wanted = tuple(f".{place}." for place in places)
    return [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and any(part in name for part in wanted)
    ]


def _bytes(model: nn.Module, train: list[Any], names: list[str]) -> tuple[int, int]:
    """Count what the frozen part's outputs take, and what the gradients do."""
    live = LiveSource(model, train, layers=names)
    live.keep_frozen(PLENTY)
    kept = KeptSource(LiveSource(model, train, layers=names), PLENTY)
    for _ in range(2):
        for source in (live, kept):
            for block in source:
                del block
    return live.frozen_bytes, kept.held_bytes


def _named(batches: list[Batch]) -> list[tuple[list[str], Batch]]:
    return [([f"{place}-{row}" for row in range(len(batch["labels"]))], batch) for place, batch in enumerate(batches)]
