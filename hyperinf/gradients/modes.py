"""The state of a model while gradients are taken of it, and put back after."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from hyperinf.gradients.weights import AdaptedLayer


@contextmanager
def differentiable(model: nn.Module, layers: Sequence[AdaptedLayer]) -> Iterator[None]:
    """Autograd on whatever surrounds, dropout off, of all weights those that were asked for part of the graph alone."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(evaluation(model))
        stack.enter_context(_trained(model, layers))
        yield


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Dropout off; each module's own mode comes back."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _trained(model: nn.Module, layers: Sequence[AdaptedLayer]) -> Iterator[None]:
    """Put the layers' weights into the graph, and take all others out of it: what they alone need is not kept."""
    for layer in layers:
        if layer.weight.is_inference():
            raise ValueError(
                f"layer {layer.name!r}: got a weight made under torch.inference_mode, expected one that autograd knows"
            )
    wanted = {id(layer.weight) for layer in layers}
    others = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in wanted]
    frozen = [layer.weight for layer in layers if not layer.weight.requires_grad]
    try:
        for weight in others:
            weight.requires_grad_(False)
        for weight in frozen:
            weight.requires_grad_(True)
        yield
    finally:
        for weight in others:
            weight.requires_grad_(True)
        for weight in frozen:
            weight.requires_grad_(False)
