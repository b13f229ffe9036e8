"""What is checked on a few samples of a source's first batch, before any number is taken from it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import CannotSplitError, padding_of, rows_of, without_padding
from hyperinf.gradients.by_sample import close
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.own_loss import check_own_loss
from hyperinf.losses import LossFunction
from hyperinf.model_kinds import kind_of, plain_model

FEW = 4
REFUSALS = (ValueError, RuntimeError, IndexError, KeyError, TypeError, AssertionError)
"""What models raise at a batch that they cannot take."""


def check_samples_alone(
    model: nn.Module, batch: Any, loss_fn: LossFunction, losses: Tensor, names: Sequence[str]
) -> None:
    """Compare the losses of a few samples alone with those in their batch: neither padding nor company may count.

    Those with the most padding are taken, without it. Nothing is compared where the batch cannot be cut.

    Args:
        model: any module.
        batch: the whole batch.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        losses: ``Tensor[b]`` of the whole batch.
        names: of the samples.

    Raises:
        ValueError: a loss differs, and by what; see :func:`check_own_loss`.
    """
    samples = len(losses)
    rows = _rows(batch, samples)
    few = _cut(model, batch, rows, samples)
    if few is None:
        check_own_loss(model, batch, loss_fn)
        return
    check_own_loss(model, few, loss_fn)
    alone = _losses(model, few, loss_fn)
    if alone is None or alone.shape != (len(rows),):
        return
    finite = torch.isfinite(alone)
    kept = losses[rows].nan_to_num(nan=torch.inf)
    if close(alone[finite], kept[finite], losses.dtype) or not _rows_are_samples(model, batch, loss_fn, losses):
        return
    place = int(torch.where(finite, (alone - kept).abs(), 0).argmax())
    padded = _losses(model, rows_of(batch, rows, samples), loss_fn)
    by_padding = padded is not None and close(padded.nan_to_num(nan=torch.inf), kept, losses.dtype)
    raise ValueError(
        f"sample {names[rows[place]]!r} of a {type(plain_model(model)).__name__}: got a loss of"
        f" {float(losses[rows[place]]):.6g} in its batch and {float(alone[place]):.6g} alone, expected the same; "
        + (
            "its padding changes it: take samples of one length, or one at a time"
            if by_padding
            else "the other samples of the batch change it: loss_fn must give each sample's own loss"
        )
    )


def _rows(batch: Any, samples: int) -> list[int]:
    """A few samples, fewer than all where there are several."""
    count = max(1, min(FEW, samples - 1))
    padding = padding_of(batch)
    if padding is None or len(padding) != samples:
        return list(range(count))
    return sorted(sorted(range(samples), key=lambda row: -int(padding[row]))[:count])


def _cut(model: nn.Module, batch: Any, rows: Sequence[int], samples: int) -> Any | None:
    try:
        part = rows_of(batch, rows, samples)
    except CannotSplitError:
        return None
    return without_padding(part, with_labels=kind_of(model) != "sequence to sequence")


def _losses(model: nn.Module, batch: Any, loss_fn: LossFunction) -> Tensor | None:
    """Losses without a graph; None where the model cannot take the batch."""
    with differentiable(model, ()), torch.no_grad():
        try:
            return loss_fn(model, batch).detach()
        except REFUSALS:
            return None


def _rows_are_samples(model: nn.Module, batch: Any, loss_fn: LossFunction, losses: Tensor) -> bool:
    """Whether losses move with the rows of the batch: else its first axes are not the samples, as of pictures."""
    order = [*range(1, len(losses)), 0]
    try:
        moved = _losses(model, rows_of(batch, order, len(losses)), loss_fn)
    except CannotSplitError:
        return False
    return (
        moved is not None
        and moved.shape == losses.shape
        and close(moved.nan_to_num(), losses[order].nan_to_num(), losses.dtype)
    )
