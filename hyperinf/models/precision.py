"""Weights that are trained stay in float32 at least, whatever the frozen ones are in, as PEFT has it of adapters.

In bfloat16 an update of less than a 256th of a weight is lost, and AdamW's mean of squares, of which a step changes a
thousandth, stands still.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class _Wide:
    """A linear layer whose weights are of a wider dtype than what comes in and goes out."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute in the weights' dtype, and give the result in that of the inputs."""
        wide: Tensor = super().forward(inputs.to(self.weight.dtype))  # type: ignore[misc, attr-defined]
        return wide.to(inputs.dtype)


class WideLinear(_Wide, nn.Linear):
    """As :class:`torch.nn.Linear`."""


def widen_trained(model: Any) -> bool:
    """Take linear layers of which anything is trained to float32, where they are in less; tell whether there are any.

    Args:
        model: whose parameters with ``requires_grad`` are trained.
    """
    from transformers.pytorch_utils import Conv1D

    class WideConv1D(_Wide, Conv1D):
        """As transformers' linear layer with its weight transposed."""

    wide = {nn.Linear: WideLinear, Conv1D: WideConv1D}
    found = False
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if type(module) in wide and any(weight.requires_grad and _is_narrow(weight) for weight in own):
            module.to(torch.float32)
            module.__class__ = wide[type(module)]
            found = True
    return found


def load_wide(model: Any, adapter: Path) -> Any:
    """Take what an adapter's file has trained to float32, with the digits that a narrower dtype had no room for.

    Args:
        model: with the adapter, which can be trained.
        adapter: its folder, in PEFT's layout.

    Returns:
        The model.
    """
    if widen_trained(model):
        from peft import set_peft_model_state_dict
        from peft.utils import load_peft_weights

        set_peft_model_state_dict(model, load_peft_weights(str(adapter), device="cpu"))
    return model


def _is_narrow(weight: Tensor) -> bool:
    return weight.is_floating_point() and weight.dtype.itemsize < torch.float32.itemsize
