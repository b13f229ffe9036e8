"""What a training step will take, foretold from a few samples before the first: one that cannot fit is refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from hyperinf.errors import InputError
from hyperinf.gradients.batches import moved, width_of
from hyperinf.gradients.foretold import FEW, Foretold, check_fits, foretold_of_few
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.encoding import Encoded
from hyperinf.runtime.footprint import Footprint
from hyperinf.runtime.memory import free_bytes

MOMENTS = 2
"""Numbers that AdamW keeps of each that is trained."""


def check_step_fits(
    model: nn.Module, encoded: Encoded, batch_size: int, loss_fn: LossFunction, longest: Sequence[int] | None = None
) -> None:
    """Refuse a training whose widest step does not fit into the memory that is free.

    Args:
        model: in the mode and on the device that it is trained in.
        encoded: the training samples.
        batch_size: samples of a step, of each adapter where several are trained side by side.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        longest: a sample for each adapter, whose rows stand one adapter after the other's; the longest when None.

    Raises:
        InputError: says what is needed, what is free, and how many samples a step would fit.
    """
    device = _trained(model)[0].device
    if batch_size <= FEW + 1 or free_bytes(device) is None:
        return
    rows = longest or [max(range(len(encoded.ids)), key=encoded.lengths.__getitem__)]
    fewer = "batch_size, or fewer adapters at_once" if len(rows) > 1 else "batch_size"
    try:
        step = step_foretold(model, encoded, batch_size, loss_fn, rows)
        check_fits(step, device, moments_bytes(model), "AdamW's moments take", "batch_size", fewer)
    except ValueError as error:
        raise InputError(error) from None


def moments_bytes(model: nn.Module) -> int:
    """Count the bytes of what AdamW keeps."""
    return MOMENTS * sum(weight.numel() * weight.element_size() for weight in _trained(model))


def step_foretold(
    model: nn.Module, encoded: Encoded, batch_size: int, loss_fn: LossFunction, longest: Sequence[int]
) -> Foretold | None:
    """Tell what a step of more than three samples takes besides the model and moments; None where it cannot run.

    Two and three samples go through a step, which changes nothing of the model: not its weights, buffers or draws.

    Args:
        model: see :func:`check_step_fits`, as all others.
        encoded: samples.
        batch_size: of a step.
        loss_fn: of a batch.
        longest: a sample for each adapter.

    Raises:
        ValueError: there is no room for two or three.
    """
    device = _trained(model)[0].device
    # The optimizer takes what it is about to divide by, of one weight after the other; on a GPU of all at a time.
    sizes = [weight.numel() * weight.element_size() for weight in _trained(model)]
    roots = sum(sizes) if device.type == "cuda" else 2 * max(sizes)

    def tried(count: int) -> list[int]:
        batch = moved(encoded.collate([row for row in longest for _ in range(count)]), device)
        try:
            with Footprint() as footprint:
                loss_fn(model, batch).mean().backward()
                return [*footprint.changes, roots, -roots]
        finally:
            model.zero_grad(set_to_none=True)

    width = width_of(encoded.collate(longest[:1]))
    with _unchanged(model, device):
        return foretold_of_few(tried, batch_size, width, device, "batch_size", len(longest))


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put back what a pass in training mode changes besides gradients: running means, and what is drawn next."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in before and before[name].shape == buffer.shape:
                    buffer.copy_(before[name])
