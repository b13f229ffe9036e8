"""Outputs of a model's frozen part, kept from one sweep over its batches to the next: it is run once."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import nn

from hyperinf.gradients.batches import CannotSplitError, rows_of, samples_in
from hyperinf.gradients.foretold import FEW
from hyperinf.gradients.frozen import FrozenPart, StrayedError, bytes_of
from hyperinf.gradients.frozen_search import frozen_part
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.weights import AdaptedLayer

_log = logging.getLogger(__name__)
MIB = 2**20

Found = TypeVar("Found")


class FrozenOutputs:
    """Keeps outputs of the frozen part, batch by batch, and gives them to later passes over the same batch.

    Whether a model has such a part is found by the first batch; see :func:`frozen_part`. What does not fit is run
    again, and so is all, should a pass ever be another with what was kept.

    Args:
        model: any module.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: the weights whose gradients are taken.
        memory_bytes: that outputs may take.

    Attributes:
        held_bytes: that they take.
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFunction, layers: Sequence[AdaptedLayer], memory_bytes: int
    ) -> None:
        self._model, self._loss_fn, self._layers = model, loss_fn, layers
        self._left = memory_bytes
        self._part: FrozenPart | None = None
        self._looked = False
        self._full = False
        self._outputs: dict[int, list[Any]] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        """Count the batches whose outputs are kept."""
        return len(self._outputs)

    def run(self, place: int, batch: Any, take: Callable[[], Found], same: Callable[[Found], bool] | None) -> Found:
        """Take what a pass over a batch gives, without its frozen part where that was kept.

        Args:
            place: of the batch in a sweep.
            batch: what the model is given.
            take: makes the pass.
            same: tells whether it was as in the first sweep; None in that sweep, which runs everything.
        """
        if not self._looked:
            self._look(batch)
        if self._part is None:
            return take()
        if place in self._outputs and same is not None:
            try:
                with self._part.replayed(self._outputs[place]):
                    found = take()
                if same(found):
                    return found
            except StrayedError:
                pass
            _log.warning("the frozen part of the model is run again at every sweep: its outputs alone do not do")
            self._part = None
            self._outputs.clear()
            self.held_bytes = 0
            return take()
        if place in self._outputs or self._full:
            return take()
        with self._part.recorded() as outputs:
            found = take()
        self._keep(self._part, place, outputs)
        return found

    def _look(self, batch: Any) -> None:
        self._looked = True
        samples = samples_in(batch)
        if samples is not None and samples > FEW:
            try:
                batch = rows_of(batch, range(FEW), samples)
            except CannotSplitError:
                return
        self._part = frozen_part(self._model, batch, self._loss_fn, self._layers)

    def _keep(self, part: FrozenPart, place: int, outputs: list[Any]) -> None:
        size = bytes_of(outputs)
        if outputs and size <= self._left:
            if not self._outputs:
                _log.info(
                    "what the frozen part of the model gives is kept, as far as %.0f MiB do: later sweeps take %.0f%%"
                    " fewer operations",
                    self._left / MIB,
                    100 * part.saved,
                )
            self._outputs[place] = outputs
            self._left -= size
            self.held_bytes += size
        elif outputs:
            self._full = True
