"""Opacus: per-sample gradients by its hooks; it has no scores."""

from collections.abc import Callable
from typing import Any

from opacus import GradSampleModule

from benchmarks.peers.study import Rows, losses

PACKAGE = "opacus"
SETTINGS = "GradSampleModule, sums of losses, strict off as position ids are a buffer"


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Take each batch's gradients as ``grad_sample``; its hooks want a model that trains."""
    wrapped = GradSampleModule(model.train(), loss_reduction="sum", strict=False)

    def sweep() -> None:
        for batch in rows.batches():
            losses(wrapped, batch).sum().backward()
            for weight in wrapped.parameters():
                if weight.requires_grad:
                    assert weight.grad_sample is not None
            wrapped.zero_grad()

    return {"Opacus": sweep}
