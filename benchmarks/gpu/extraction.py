"""Per-sample gradients of adapters against a plain training step of the same model on the same batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.models import LLAMA, ROBERTA, TINY_LLAMA, TINY_ROBERTA, Batch, Shape, adapted, batch_of, tf32
from benchmarks.gpu.record import Section
from hyperinf.gradients import LiveSource

PRECISIONS = {"float32": (torch.float32, False), "TF32": (torch.float32, True), "bfloat16": (torch.bfloat16, False)}


@dataclass(frozen=True)
class Case:
    """A model and a batch.

    Attributes:
        shape: of the model.
        layers: of it that are run.
        rank: of the adapters.
        batch: samples.
        tokens: of each.
        precision: of ``PRECISIONS``; of the frozen weights and the activations, adapters are in float32.
    """

    shape: Shape
    layers: int
    rank: int
    batch: int
    tokens: int
    precision: str

    @property
    def what(self) -> dict[str, Any]:
        """As a row is named."""
        of = "" if self.layers == self.shape.layers else f" of {self.shape.layers}"
        return {
            "model": self.shape.name,
            "layers": f"{self.layers}{of}",
            "rank": self.rank,
            "batch": f"{self.batch} x {self.tokens} tokens",
            "precision": self.precision,
        }


# Those that matter most first: what there is no time for is left out from the end.
SIZES = {
    "tiny": [Case(shape, 1, 2, 3, 8, precision) for shape in (TINY_ROBERTA, TINY_LLAMA) for precision in PRECISIONS],
    "full": [
        Case(ROBERTA, 24, 8, 32, 128, "float32"),
        Case(ROBERTA, 24, 8, 32, 128, "TF32"),
        Case(ROBERTA, 24, 8, 32, 128, "bfloat16"),
        Case(LLAMA, 32, 8, 16, 128, "bfloat16"),
        Case(LLAMA, 8, 8, 16, 128, "float32"),
        Case(LLAMA, 8, 8, 16, 128, "TF32"),
        Case(ROBERTA, 24, 16, 32, 128, "TF32"),
        Case(ROBERTA, 24, 16, 32, 128, "bfloat16"),
        Case(ROBERTA, 24, 16, 32, 128, "float32"),
        Case(LLAMA, 32, 16, 16, 128, "bfloat16"),
    ],
}


def measure(section: Section, sizes: str) -> None:
    """Time a step, a sweep that keeps factors, one that forms gradients, and a loop over batches of one."""
    for case in SIZES[sizes]:
        if section.begins(case.what, needs=8.0 if sizes == "full" else 0.0):
            section.attempt(case.what, partial(_compare, section, case))


def _compare(section: Section, case: Case) -> None:
    dtype, in_tf32 = PRECISIONS[case.precision]
    with tf32(in_tf32):
        model = adapted(case.shape, case.layers, case.rank, dtype, section.device)
        batch = batch_of(case.shape, case.batch, case.tokens, section.device)
        source = LiveSource(model, [([str(row) for row in range(case.batch)], batch)])
        works = {
            "training step": lambda: step(model, batch),
            "factors": lambda: factors(source),
            "gradients": lambda: gradients(source),
            "batch-1 loop": lambda: one_by_one(model, batch, case.batch),
        }
        row = section.compare(case.what, works, repeats=10, slow={"batch-1 loop": 2})
        model.zero_grad(set_to_none=True)
        config: Any = model.config
        section.note(row, lambda: {"attention": config._attn_implementation, **_checked(model, batch, source)})


def step(model: nn.Module, batch: Batch) -> None:
    """Forward and backward of the model's own mean loss."""
    model.zero_grad(set_to_none=True)
    model(**batch).loss.backward()


def factors(source: LiveSource) -> list[Mapping[str, Any]]:
    """One sweep; the gradients are held as factors."""
    return [block.gradients for block in source]


def gradients(source: LiveSource) -> list[dict[str, Tensor]]:
    """One sweep; the gradients are formed and held."""
    return [{name: layer.dense() for name, layer in block.gradients.items()} for block in source]


def one_by_one(model: nn.Module, batch: Batch, samples: int) -> dict[str, Tensor]:
    """Autograd on one sample after the other: ``{name: Tensor[samples, *weight]}``."""
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    found = []
    for row in range(samples):
        loss = model(**{key: value[row : row + 1] for key, value in batch.items()}).loss
        found.append(torch.autograd.grad(loss, list(weights.values())))
    return {name: torch.stack(pieces) for name, pieces in zip(weights, zip(*found, strict=True), strict=True)}


def _checked(model: nn.Module, batch: Batch, source: LiveSource) -> dict[str, Any]:
    """How far the gradients of two samples are from autograd's, relative to their size, and how they were taken."""
    [ours] = gradients(source)
    wrong = size = 0.0
    for name, expected in one_by_one(model, batch, 2).items():
        laid_out = expected.transpose(1, 2) if "lora_B" in name else expected
        wrong += float((ours[name][:2].double() - laid_out.double()).square().sum())
        size += float(laid_out.double().square().sum())
    return {"difference from autograd": (wrong / size) ** 0.5, "weights taken one by one": len(source.one_at_a_time)}
