"""What is checked on one sample of a source's first batch, before any number is taken from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import REFUSALS, CannotSplitError, padding_of, rows_of, without_padding
from hyperinf.gradients.contractions import LayerGradients
from hyperinf.gradients.kinds import kind_of, plain_model
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.own_loss import check_own_loss
from hyperinf.gradients.rounding import close, same_gradient
from hyperinf.gradients.weights import AdaptedLayer

LARGEST = 2**24
"""Numbers of a gradient that is compared."""


def check_sample_alone(
    model: nn.Module,
    batch: Any,
    loss_fn: LossFunction,
    layers: Sequence[AdaptedLayer],
    found: Mapping[str, LayerGradients],
    losses: Tensor,
    names: Sequence[str],
    epsilon: float,
) -> None:
    """Compare the sample with the most padding with itself alone, without it: neither padding nor company may count.

    Nothing is compared where the batch cannot be cut.

    Args:
        model: any module.
        batch: the whole batch.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: the weights.
        found: their gradients in the batch.
        losses: ``Tensor[b]`` of the whole batch.
        names: of the samples.
        epsilon: see :func:`rounding_of`.

    Raises:
        ValueError: its loss or a gradient differs, and by what; see :func:`check_own_loss`.
    """
    samples = len(losses)
    padding = padding_of(batch)
    row = 0 if padding is None or len(padding) != samples else int(padding.argmax())
    try:
        padded = rows_of(batch, [row], samples)
    except CannotSplitError:
        check_own_loss(model, batch, loss_fn)
        return
    own = without_padding(padded, with_labels=kind_of(model) != "sequence to sequence")
    check_own_loss(model, own, loss_fn)
    if samples == 1 and own is padded:
        return
    kept = losses[row : row + 1].nan_to_num(nan=torch.inf)
    alone = _alone(model, own, loss_fn, layers)
    if alone is None:
        _check_without(model, batch, loss_fn, losses, names, epsilon)
        return
    if not bool(torch.isfinite(alone[0]).all()):
        return
    loss, gradients = alone
    wrong = None if close(loss, kept, epsilon) else _losses_differ(losses[row], loss)
    wrong = wrong or _gradients_differ(layers, found, gradients, row, epsilon)
    if wrong is None or not _rows_are_samples(model, batch, loss_fn, losses, epsilon):
        return
    raise ValueError(
        f"sample {names[row]!r} of a {type(plain_model(model)).__name__}: {wrong}, expected the same;"
        f" {_reason(model, padded, own, loss_fn, layers, (loss, gradients), epsilon)}"
    )


def _check_without(
    model: nn.Module, batch: Any, loss_fn: LossFunction, losses: Tensor, names: Sequence[str], epsilon: float
) -> None:
    """Compare losses with those of the batch without its first sample, as the model takes no sample alone."""
    samples = len(losses)
    others = _losses(model, batch, loss_fn, range(1, samples), samples) if samples > 2 else None
    if others is None or close(others.nan_to_num(), losses[1:].nan_to_num(), epsilon):
        return
    if _rows_are_samples(model, batch, loss_fn, losses, epsilon):
        place = int((others - losses[1:]).abs().argmax())
        raise ValueError(
            f"sample {names[1 + place]!r} of a {type(plain_model(model)).__name__}: got a loss of"
            f" {float(losses[1 + place]):.6g} in its batch and {float(others[place]):.6g} without sample {names[0]!r},"
            " expected the same; the other samples of the batch change it: loss_fn must give each sample's own loss"
        )


def _losses_differ(kept: Tensor, loss: Tensor) -> str:
    return f"got a loss of {float(kept):.6g} in its batch and {float(loss):.6g} alone"


def _gradients_differ(
    layers: Sequence[AdaptedLayer],
    found: Mapping[str, LayerGradients],
    alone: Mapping[str, Tensor],
    row: int,
    epsilon: float,
) -> str | None:
    size = sum(float(gradient.norm()) ** 2 for gradient in alone.values()) ** 0.5
    for layer in layers:
        if layer.name in alone:
            own, kept = alone[layer.name], found[layer.name].row(row)
            if not same_gradient(own, kept.to(own), size, epsilon):
                return f"got another gradient of {layer.name!r} in its batch than alone"
    return None


def _reason(
    model: nn.Module,
    padded: Any,
    own: Any,
    loss_fn: LossFunction,
    layers: Sequence[AdaptedLayer],
    alone: tuple[Tensor, dict[str, Tensor]],
    epsilon: float,
) -> str:
    """Tell whether padding alone makes the difference, or what else is in the batch."""
    if own is not padded:
        with_padding = _alone(model, padded, loss_fn, layers)
        size = sum(float(gradient.norm()) ** 2 for gradient in alone[1].values()) ** 0.5
        if with_padding is None or not (
            close(with_padding[0].nan_to_num(nan=torch.inf), alone[0], epsilon)
            and all(
                same_gradient(alone[1][name], gradient, size, epsilon) for name, gradient in with_padding[1].items()
            )
        ):
            return "its padding changes it: take samples of one length, or one at a time"
    return "the other samples of the batch change it: loss_fn must give each sample's own loss"


def _alone(
    model: nn.Module, batch: Any, loss_fn: LossFunction, layers: Sequence[AdaptedLayer]
) -> tuple[Tensor, dict[str, Tensor]] | None:
    """Take the loss ``Tensor[1]`` of a batch of one and its gradients by autograd; None where the model cannot."""
    compared = [layer for layer in layers if layer.weight.numel() <= LARGEST]
    with differentiable(model, layers):
        try:
            loss = loss_fn(model, batch)
            if loss.shape != (1,):
                return None
            gradients = torch.autograd.grad(loss[0], [layer.weight for layer in compared], allow_unused=True)
        except REFUSALS:
            return None
    return loss.detach(), {
        layer.name: layer.laid_out(torch.zeros_like(layer.weight) if gradient is None else gradient)
        for layer, gradient in zip(compared, gradients, strict=True)
    }


def _rows_are_samples(model: nn.Module, batch: Any, loss_fn: LossFunction, losses: Tensor, epsilon: float) -> bool:
    """Tell whether losses move with the rows of the batch: else its first axes are not the samples, as of pictures."""
    order = [*range(1, len(losses)), 0]
    moved = _losses(model, batch, loss_fn, order, len(losses))
    return moved is not None and close(moved.nan_to_num(), losses[order].nan_to_num(), epsilon)


def _losses(model: nn.Module, batch: Any, loss_fn: LossFunction, rows: Sequence[int], samples: int) -> Tensor | None:
    """Compute the losses of some rows of a batch without a graph; None where the model cannot take them."""
    with differentiable(model, ()), torch.no_grad():
        try:
            losses = loss_fn(model, rows_of(batch, list(rows), samples)).detach()
        except (CannotSplitError, *REFUSALS):
            return None
    return losses if losses.shape == (len(rows),) else None
