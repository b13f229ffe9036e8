"""The model as tools built on ``torch.func`` take it: logits out, and what is frozen a buffer, not a parameter."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.study import Rows

FIELDS = ("input_ids", "token_type_ids", "attention_mask", "labels")


class Logits(nn.Module):
    """A classifier that gives logits.

    Frozen weights become buffers, in the tools' favour: they take gradients of every parameter that there is.
    Attention is computed without fused kernels, and its mask is given as it is added: transformers looks into one of
    zeros and ones, which ``torch.func`` cannot map over samples.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        for module in list(model.modules()):
            for name, weight in list(module.named_parameters(recurse=False)):
                if not weight.requires_grad:
                    delattr(module, name)
                    module.register_buffer(name, weight.data)
        model.set_attn_implementation("eager")
        self.model = model

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the logits."""
        masked = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        return self.model(input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=masked).logits


def tuples(rows: Rows, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Make every batch as a tuple."""
    for batch in rows.batches(size):
        yield tuple(batch[name] for name in FIELDS)
