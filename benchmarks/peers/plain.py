"""What anybody can do without a tool: a training step, and a backward pass for every sample."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.peers.study import Rows, losses

PACKAGE = "torch"


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Take a step of AdamW at a learning rate of 0 on each batch, the unit; and each sample's gradient alone."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)

    def step() -> None:
        for batch in rows.batches():
            losses(model, batch).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    def one_by_one() -> None:
        for batch in rows.batches(1):
            torch.autograd.grad(losses(model, batch).sum(), weights)

    return {"training step": step, "autograd, one sample at a time": one_by_one}
