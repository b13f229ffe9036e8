"""What is seen of a model before it is trained: whether per-sample gradients can be taken of it afterwards."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients import per_sample_gradients
from hyperinf.losses import LossFunction, default_loss
from hyperinf.models.encoding import Encoded
from hyperinf.models.loading import first_line


def check_scorable(
    model: nn.Module,
    encoded: Encoded,
    loss_fn: LossFunction | None = None,
    layers: Sequence[str] | None = None,
    kinds: Sequence[bool] | None = None,
) -> None:
    """Take the gradients of two samples, the shortest and the longest, and see that their losses do not mix.

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
    losses: dict[tuple[int, ...], Tensor] = {}

    def noted(module: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        found = (loss_fn or default_loss)(module, batch)
        losses[seen] = found.detach().double().cpu()
        return found

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for seen in [tuple(rows)] if len(rows) == 1 else [tuple(rows), *((row,) for row in rows)]:
            batch = {key: value.to(device) for key, value in encoded.collate(seen).items()}
            try:
                per_sample_gradients(model, batch, noted, layers)
            except (ValueError, TypeError, IndexError, RuntimeError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise InputError(
                    f"model: per-sample gradients cannot be taken of a {_name(model)}: {first_line(error)}"
                ) from None
    together, alone = losses[tuple(rows)], torch.cat([losses[(row,)] for row in rows])
    dtype = next(model.parameters()).dtype
    tolerance = 0.1 if dtype.itemsize < 4 else 1e-4
    if not torch.allclose(together, alone, rtol=tolerance, atol=tolerance, equal_nan=True):
        worst = int((together - alone).abs().argmax())
        raise InputError(
            f"model: a {_name(model)} does not mask padding: the loss of sample {encoded.ids[rows[worst]]!r} is"
            f" {alone[worst]:.4g} alone and {together[worst]:.4g} beside a sample of another length; expected it to be"
            " the same"
        )


def _name(model: Any) -> str:
    return type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__
