"""What the passes through the widest batch will take, foretold from a few of its samples before any number is taken."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hyperinf.gradients.batches import REFUSALS, CannotSplitError, moved, rows_of, samples_in, width_of
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.plans import run_pass
from hyperinf.gradients.weights import AdaptedLayer
from hyperinf.runtime.footprint import Footprint, changes_of_many, peak_of
from hyperinf.runtime.memory import GIB, free_bytes, give_back, held_for, map_large_tensors

_log = logging.getLogger(__name__)
WORTH_SAYING = GIB
FEW = 2
"""Samples that are tried, and one more. One alone may go another way through a model than several."""
_WIDER = 1.25
"""How much wider a batch that comes later has to be to be tried anew."""


@dataclass(frozen=True)
class Foretold:
    """What the passes through a batch take beside the model.

    Attributes:
        samples: b of the widest batch.
        width: its tokens a sample, or what else stands in the second axis.
        changes_of: of the bytes that tensors take, one after the other, with so many of its samples.
    """

    samples: int
    width: int
    changes_of: Callable[[int], list[float]]

    @property
    def described(self) -> str:
        """The batch, for messages."""
        return f"{self.samples} samples" + (f" of {self.width} tokens" if self.width > 1 else "")

    @property
    def bytes(self) -> int:
        """Of all tensors of the whole batch at a time."""
        return peak_of(self.changes_of(self.samples))

    def held(self, device: torch.device | str, samples: int | None = None) -> int:
        """Tell the bytes that the allocator of a device holds for so many samples, or all."""
        changes = self.changes_of(self.samples if samples is None else samples)
        return peak_of([held_for(size, device) for size in changes])

    def most(self, room: int, device: torch.device | str) -> int:
        """Count the samples at a time whose passes take no more bytes than that; 0 where one takes more."""
        return next((count for count in range(self.samples, 0, -1) if self.held(device, count) <= room), 0)


class Foreteller:
    """Foretells the passes of a source's batches: of all before the first, where they are there; else as they come.

    Args:
        model: any module.
        batches: pairs of ids and batch. A list, and what tells its ``widest()``, is known ahead.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: whose gradients are taken.
    """

    def __init__(
        self, model: nn.Module, batches: Iterable[Any], loss_fn: LossFunction, layers: Sequence[AdaptedLayer]
    ) -> None:
        self._model, self._batches, self._loss_fn = model, batches, loss_fn
        self._layers = list(layers)
        self._size = 0
        self._widest: Foretold | None = None

    def ahead(self) -> Foretold | None:
        """Tell of the widest batch; None where that is not known yet, or nothing can be foretold of it."""
        if not self._size:
            if hasattr(self._batches, "widest"):
                self._try(self._batches.widest()[1])
            elif isinstance(self._batches, Sequence):
                self._try(max((batch for _, batch in self._batches), key=_size))
        return self._widest

    def check(self, batch: Any = None) -> None:
        """Refuse passes that do not fit: of the batches that are known, or of one that is wider than those before it.

        Raises:
            ValueError: see :func:`check_fits`.
        """
        if batch is not None:
            if _size(batch) <= _WIDER * self._size:
                return
            self._try(batch)
        passes = self.ahead()
        check_fits(passes, self._device)
        needed = held_bytes(passes, self._device)
        if passes is not None and needed > WORTH_SAYING:
            _log.warning("the passes of %s take %.1f GiB", passes.described, needed / GIB)

    @property
    def _device(self) -> torch.device:
        return self._layers[0].weight.device

    def _try(self, batch: Any) -> None:
        """Run two and three samples of a batch, and count what that takes."""
        self._size, self._widest = max(1, _size(batch)), None
        samples = samples_in(batch)
        if samples is None or samples <= FEW + 1:
            return
        hooked = [layer for layer in self._layers if layer.uses]

        def tried(count: int) -> list[int]:
            cut = moved(rows_of(batch, range(count), samples), self._device)
            with differentiable(self._model, self._layers), Footprint() as footprint:
                ran = run_pass(self._model, cut, self._loss_fn, hooked)
                del ran
            return footprint.changes

        self._widest = foretold_of_few(tried, samples, width_of(batch), self._device, "batches")


def foretold_of_few(
    tried: Callable[[int], list[int]], samples: int, width: int, device: torch.device, where: str, each: int = 1
) -> Foretold | None:
    """Foretell what many samples take from what two and three do; None where those cannot be run.

    Args:
        tried: runs so many and gives :attr:`Footprint.changes`.
        samples: of the batch.
        width: its tokens a sample.
        device: where they run.
        where: samples are put together, for the message.
        each: rows of a sample, for the message.

    Raises:
        ValueError: there is no room for two or three.
    """
    changes = []
    for count in (FEW, FEW + 1):
        try:
            changes.append(tried(count))
        except torch.OutOfMemoryError:
            raise ValueError(
                f"{where}: got samples of {width} tokens, expected {count * each} of them to fit into the memory of"
                f" {device}; take shorter samples (max_length) or a smaller model"
            ) from None
        except (CannotSplitError, *REFUSALS):  # what is wrong is told where numbers are taken
            return None
    few, one_more = changes
    return Foretold(samples, width, lambda count: changes_of_many(few, one_more, FEW, count))


def _size(batch: Any) -> int:
    return (samples_in(batch) or 0) * width_of(batch)


def held_bytes(passes: Foretold | None, device: torch.device | str) -> int:
    """Tell what an allocator holds for the passes; 0 where nothing is foretold."""
    return 0 if passes is None else passes.held(device)


def check_fits(
    passes: Foretold | None,
    device: torch.device | str,
    beside: int = 0,
    what: str = "what else is held takes",
    where: str = "batches",
    fewer: str = "gradient_batch_size; of an Attributor batch_size",
) -> None:
    """Refuse passes that do not fit into the memory that is free.

    On a CPU an allocator holds more than the tensors take; where that would not fit, and they would, it is told to give
    back what is let go.

    Args:
        passes: what is foretold; nothing is checked where that is None.
        device: where they run.
        beside: bytes that are needed at the same time.
        what: needs those.
        where: samples are put together, for the message.
        fewer: what makes them fewer at a time.

    Raises:
        ValueError: says what is needed, what is free, and how many samples at a time would fit.
    """
    if passes is None or (free := free_bytes(device)) is None:
        return
    if held_bytes(passes, device) + beside > free and torch.device(device).type == "cpu":
        give_back()  # what an earlier sweep has left is free, too
        free = free_bytes(device) or free
    if held_bytes(passes, device) + beside > free and map_large_tensors():
        _log.warning("memory is short: tensors are given back at once, which takes somewhat more time")
    needed = held_bytes(passes, device)
    if needed + beside > free:
        most = passes.most(free - beside, device)
        instead = (
            f"take at most {most} at a time ({fewer})"
            if most
            else "take shorter samples (max_length) or a smaller model"
        )
        and_what = f", and {what} {beside / GIB:.1f}" if beside else ""
        raise ValueError(
            f"{where}: got {passes.described}, whose passes take {needed / GIB:.1f} GiB{and_what}, expected at most the"
            f" {free / GIB:.1f} GiB that are free; {instead}"
        )
