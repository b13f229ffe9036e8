"""Gradients by autograd itself, one sample at a time: for weights that no layout of their modules' calls explains."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import REFUSALS, CannotSplitError, rows_of, without_padding
from hyperinf.gradients.contractions import Dense
from hyperinf.gradients.kinds import kind_of
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.rounding import close
from hyperinf.gradients.weights import AdaptedLayer, dtype_of


def gradients_by_sample(
    model: nn.Module,
    batch: Any,
    loss_fn: LossFunction,
    layers: Sequence[AdaptedLayer],
    losses: Tensor,
    epsilon: float,
) -> dict[str, Dense]:
    """Take the gradient of each sample's loss by a backward pass of its own.

    A sample is run alone where the batch can be cut and its loss alone is that in the batch; else each backward pass
    goes through the whole batch.

    Args:
        model: any module.
        batch: what ``loss_fn`` takes.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: the weights.
        losses: ``Tensor[b]``, those of the batch.
        epsilon: see :func:`rounding_of`.

    Returns:
        ``{layer name: Tensor[b, r, d]}``, held; zero where a loss does not depend on the weight.
    """
    samples = len(losses)
    weights = [layer.weight for layer in layers]
    found = {layer.name: _zeros(layer, samples) for layer in layers}
    of_batch: Tensor | None = None
    with differentiable(model, layers):
        for row in range(samples):
            loss = _alone(model, batch, loss_fn, row, losses, epsilon) if samples > 1 else None
            if loss is not None:
                gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            else:
                if of_batch is None:
                    of_batch = loss_fn(model, batch)
                if not of_batch.requires_grad:  # no loss depends on any of the weights
                    break
                gradients = torch.autograd.grad(
                    of_batch[row], weights, allow_unused=True, retain_graph=row < samples - 1
                )
            for layer, gradient in zip(layers, gradients, strict=True):
                if gradient is not None:
                    found[layer.name][row] = layer.laid_out(gradient.detach())
    return {name: Dense(gradients) for name, gradients in found.items()}


def _zeros(layer: AdaptedLayer, samples: int) -> Tensor:
    return torch.zeros(samples, *layer.shape, dtype=dtype_of(layer.weight), device=layer.weight.device)


def _alone(
    model: nn.Module, batch: Any, loss_fn: LossFunction, row: int, losses: Tensor, epsilon: float
) -> Tensor | None:
    """Compute the loss of one sample run alone, unpadded; None where that is not its loss in the batch."""
    try:
        own = without_padding(rows_of(batch, [row], len(losses)), with_labels=kind_of(model) != "sequence to sequence")
        loss = loss_fn(model, own)
    except (CannotSplitError, *REFUSALS):
        return None  # the model cannot take it like this; the batch as it came can be taken
    same = loss.shape == (1,) and close(loss.detach(), losses[row : row + 1], epsilon)
    return loss[0] if same and loss.requires_grad else None
