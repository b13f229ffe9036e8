"""Whether a model can be scored, asked before it is trained: what cannot is refused by the first command to see it."""

from collections.abc import Sequence
from typing import Any

import torch

from hyperinf.errors import InputError
from hyperinf.gradients import per_sample_gradients
from hyperinf.losses import LossFunction
from hyperinf.models.encoding import Encoded


def check_scorable(
    model: Any, encoded: Encoded, loss_fn: LossFunction | None = None, layers: Sequence[str] | None = None
) -> None:
    """Take gradients of two samples, with all the checks that scoring makes; the model and the random numbers stay.

    The two are the shortest and the longest, so that there is padding; both have a picture where some do.

    Args:
        model: as it will be trained, on its device.
        encoded: the samples.
        loss_fn: as scoring will use it.
        layers: the weights whose gradients will be taken.

    Raises:
        InputError: the model cannot be scored; the message is the check's.
    """
    kinds = getattr(encoded, "kinds", None)
    pictured = [index for index, kind in enumerate(kinds or ()) if kind]
    order = sorted(pictured or range(len(encoded.ids)), key=lambda index: encoded.lengths[index])
    with torch.random.fork_rng():
        try:
            per_sample_gradients(model, encoded.collate(sorted({order[0], order[-1]})), loss_fn, layers)
        except (ValueError, RuntimeError, IndexError, TypeError, NotImplementedError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"model: a {type(model).__name__} cannot be scored: {reason}") from None
