"""The state of a model while gradients are taken of it, and put back after."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from hyperinf.gradients.weights import AdaptedLayer


@contextmanager
def differentiable(model: nn.Module, layers: Sequence[AdaptedLayer]) -> Iterator[None]:
    """Autograd on whatever surrounds, dropout off, frozen weights that were asked for part of the graph."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(evaluation(model))
        stack.enter_context(_trainable(layers))
        yield


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Dropout off; each module's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _trainable(layers: Sequence[AdaptedLayer]) -> Iterator[None]:
    for layer in layers:
        if layer.weight.is_inference():
            raise ValueError(
                f"layer {layer.name!r}: got a weight made under torch.inference_mode, expected one that autograd knows"
            )
    frozen = [layer.weight for layer in layers if not layer.weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
