"""What is seen of a model before it is trained: whether per-sample gradients can be taken of it afterwards."""

from collections.abc import Sequence

import torch
from torch import nn

from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.gradients.kinds import plain_model
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.encoding import Encoded
from hyperinf.models.loading import first_line


def check_scorable(
    model: nn.Module,
    encoded: Encoded,
    loss_fn: LossFunction | None = None,
    layers: Sequence[str] | None = None,
    kinds: Sequence[bool] | None = None,
) -> None:
    """Take the gradients of two samples, the shortest and the longest, with all the checks that scoring makes.

    Nothing is left of it: not in the weights' gradients, the modules' modes, or the generators of random numbers.

    Args:
        model: as it is going to be trained.
        encoded: the samples.
        loss_fn: ``(model, batch) -> Tensor[b]``; ``default_loss`` when None.
        layers: names of the weights; all that are trained when None.
        kinds: samples of different kinds never share a batch; None when there is only one kind.

    Raises:
        InputError: gradients cannot be taken of such a model, or it does not mask padding.
    """
    kind = list(range(len(encoded.ids)))
    if kinds is not None and any(kinds):
        kind = [index for index in kind if kinds[index]]
    rows = sorted({min(kind, key=encoded.lengths.__getitem__), max(kind, key=encoded.lengths.__getitem__)})
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            for _ in LiveSource(model, [([encoded.ids[row] for row in rows], encoded.collate(rows))], loss_fn, layers):
                pass
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            name = type(plain_model(model)).__name__
            raise InputError(f"model: per-sample gradients cannot be taken of a {name}: {first_line(error)}") from None
